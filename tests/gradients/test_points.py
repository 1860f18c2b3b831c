"""The space of a function's own variables against reverse mode, for a function that frog does not ship."""

from __future__ import annotations

import pytest
import torch

from frog_cli.gradients.aggregation import projection
from frog_cli.gradients.estimate import estimate_along
from frog_cli.gradients.points import gradient_and_value, points
from tests.cases import project, relative_error


def function(x: torch.Tensor) -> torch.Tensor:
    return (x[..., 1:] * x[..., :-1]).sin().sum(-1) + x.square().sum(-1).exp().log1p()


@pytest.fixture
def starts() -> torch.Tensor:
    return torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def directions(k: int) -> torch.Tensor:
    return torch.randn(3, k, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("chunk_size", [None, 2])
@pytest.mark.parametrize("how", ["forward", "simulated"])
@pytest.mark.parametrize("k", [1, 4, 5, 8])
def test_a_projection_is_that_of_each_points_gradient(starts, k, how, chunk_size):
    space = points(function, how, chunk_size, starts.dtype)
    assert space.dimension(starts) == 5
    values, (found,), failed, _ = estimate_along(directions(k), projection, space, starts)
    assert failed is None
    torch.testing.assert_close(values, function(starts), rtol=1e-14, atol=0)
    for point, V, step in zip(starts, directions(k), found, strict=True):
        gradient = torch.func.grad(function)(point).unsqueeze(1)
        assert relative_error(step.unsqueeze(1), project(V, gradient)) < 1e-9


@pytest.mark.parametrize("k", [1, 3])
def test_slopes_and_curvature_are_those_of_gradient_and_hessian(starts, k):
    V = directions(k)
    measured = points(function, "second order", dtype=starts.dtype).measure(starts, V)
    for index, point in enumerate(starts):
        gradient, hessian = torch.func.grad(function)(point), torch.func.hessian(function)(point)
        torch.testing.assert_close(measured.slopes[index], V[index] @ gradient, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(measured.curvature[index], V[index] @ hessian @ V[index].mT, rtol=1e-9, atol=1e-9)


def test_the_gradient_is_that_of_each_point_alone(starts):
    gradients, values = gradient_and_value(function, starts)
    torch.testing.assert_close(gradients, torch.func.vmap(torch.func.grad(function))(starts))
    torch.testing.assert_close(values, function(starts))
