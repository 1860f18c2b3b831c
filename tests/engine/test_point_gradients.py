from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from frog_cli.engine import point_gradients
from frog_cli.engine.tangent_stream import TangentStream
from frog_cli.gradients import AGGREGATIONS, TANGENTS, ForwardGradient
from frog_cli.gradients.aggregation import projection
from tests.cases import FUNCTIONS, project, relative_error

METHOD = ForwardGradient(k=4, tangents=TANGENTS["normal"], measure="forward", aggregation=projection)


@pytest.fixture(autouse=True)
def one_thread(threads):
    torch.set_num_threads(1)


def starts(n: int, count: int) -> torch.Tensor:
    return torch.randn(count, n, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


def first_tangents(method, seeds, n):
    return next(TangentStream(method.tangents, seeds, torch.zeros(1, n).double(), method.k, after=0))


@pytest.mark.parametrize("measure", ["forward", "simulated"])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("k", "n"), [(1, 5), (3, 5), (5, 5), (9, 5), (16, 64)])
def test_projection_at_every_point(name, k, n, measure):
    function, seeds, x = FUNCTIONS[name].function, [0, 1, 2], starts(n, 3)
    method = replace(METHOD, k=k, measure=measure)
    values, (gradients,), *_ = point_gradients.forward_gradient(method, function, x, seeds)(x)
    assert torch.equal(values, function(x))
    for point, V, found in zip(x, first_tangents(method, seeds, n), gradients, strict=True):
        gradient = torch.func.grad(function)(point).unsqueeze(1)
        assert relative_error(found.unsqueeze(1), project(V, gradient)) < 1e-10


@pytest.mark.parametrize("name", FUNCTIONS)
def test_backprop_is_the_gradient(name):
    function, x = FUNCTIONS[name].function, starts(6, 2)
    values, (gradients,), *_ = point_gradients.backprop(function, x, [0, 1])(x)
    assert torch.equal(values, function(x))
    torch.testing.assert_close(gradients, torch.func.vmap(torch.func.grad(function))(x), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("chunk_size", [1, 3, 4])
def test_chunks_give_the_same_numbers(chunk_size):
    function, x = FUNCTIONS["rosenbrock"].function, starts(6, 2)
    at_once, chunked = (
        point_gradients.forward_gradient(replace(METHOD, chunk_size=size), function, x, [0, 1])(x).gradients[0]
        for size in (None, chunk_size)
    )
    torch.testing.assert_close(chunked, at_once, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("measure", ["forward", "simulated"])
@pytest.mark.parametrize("aggregation", ["mean", "projection"])
@pytest.mark.parametrize(("name", "n"), [("rosenbrock", n) for n in (1, 5, 63, 64)] + [("styblinski-tang", 5)])
def test_a_seed_does_not_depend_on_which_run_beside_it(name, n, aggregation, measure):
    for k in (1, 5, 16):
        method = replace(METHOD, k=k, aggregation=AGGREGATIONS[aggregation], measure=measure)
        walk = partial(_walk, method, FUNCTIONS[name].function)
        together = walk([0, 1, 2, 3, 4], starts(n, 5))
        for beside in ([0], [3], [1, 4], [4, 2, 0]):
            assert torch.equal(together[beside], walk(beside, starts(n, 5)[beside])), (k, beside)


def _walk(method, function, seeds, x):
    estimate = point_gradients.forward_gradient(method, function, x, seeds)
    for _ in range(5):
        x = x - 1e-6 * estimate(x).gradients[0]
    return x
