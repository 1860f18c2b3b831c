from __future__ import annotations

import pytest
import torch

from frog_cli.gradients.measurement import forward, simulated


def function(matrix, vector):
    return (matrix @ vector).tanh().sum() * vector.exp().mean(), ()


@pytest.fixture
def point():
    torch.manual_seed(0)
    return torch.randn(4, 3).double(), torch.randn(3).double()


@pytest.fixture
def directions():
    torch.manual_seed(1)
    return torch.randn(7, 4, 3).double(), torch.randn(7, 3).double()


def test_slopes_are_the_directional_derivatives(point, directions):
    value, slopes, _ = forward(function, point, directions)
    gradients = torch.func.grad(lambda *p: function(*p)[0], argnums=(0, 1))(*point)
    expected = sum((d * g).flatten(1).sum(1) for d, g in zip(directions, gradients, strict=True))
    torch.testing.assert_close(slopes, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(value, function(*point)[0])


def test_slopes_are_central_differences(point, directions):
    _, slopes, _ = forward(function, point, directions)
    step = 1e-5
    for index, slope in enumerate(slopes):
        ahead, behind = (
            function(*(p + sign * step * d[index] for p, d in zip(point, directions, strict=True)))[0]
            for sign in (1, -1)
        )
        assert abs((ahead - behind) / (2 * step) - slope) < 1e-8


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 7, 100])
def test_chunks_give_the_same_numbers(point, directions, chunk_size):
    value, slopes, _ = forward(function, point, directions)
    chunked_value, chunked, _ = forward(function, point, directions, chunk_size)
    assert torch.equal(value, chunked_value)
    torch.testing.assert_close(chunked, slopes, rtol=1e-13, atol=1e-13)


def test_the_value_is_computed_once_for_all_tangents(point, directions):
    calls = []

    class Spy(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if getattr(func, "__name__", "") == "tanh":
                calls.append(args[0].shape)
            return func(*args, **(kwargs or {}))

    with Spy():
        forward(function, point, directions)
    assert len(calls) == 1


def test_nothing_carries_a_graph(point, directions):
    wanting = tuple(p.requires_grad_() for p in point)
    value, slopes, _ = forward(function, wanting, directions)
    assert not value.requires_grad
    assert not slopes.requires_grad


def test_random_masks_are_the_same_for_all_tangents():
    ones = torch.ones(7, 50).double()

    def masked(x):
        return torch.nn.functional.dropout(x, 0.5).sum(), ()

    torch.manual_seed(0)
    _, slopes, _ = forward(masked, (ones[0],), (ones,))
    assert len(slopes.unique()) == 1


def test_simulated_slopes():
    gradient, V = torch.randn(5, 2).double(), torch.randn(3, 5).double()
    torch.testing.assert_close(simulated(gradient, V)[1, 0], V[1].dot(gradient[:, 0]))
