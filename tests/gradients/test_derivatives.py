"""Exact derivatives from forward passes, beside reverse mode."""

from __future__ import annotations

import doctest
import random

import pytest
import torch

from frog_cli.gradients import derivatives
from frog_cli.gradients.derivatives import curvature, gradient, hessian, hessian_vector_product


def function(x: torch.Tensor) -> torch.Tensor:
    """Attention of its rows to each other, a norm and products, as a function of all its entries."""
    hidden = torch.tanh(x @ torch.arange(12.0, dtype=x.dtype).view(4, 3).sin())
    weights = torch.softmax(hidden @ hidden.mT, -1)
    return (weights @ hidden.square()).log1p().sum() + x.norm() + (x[:, 0] * x[:, 1]).sin().sum()


X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
V = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
H = torch.func.hessian(function)(X).reshape(12, 12)


@pytest.mark.parametrize("chunk_size", [None, 1, 5, 12, 100])
def test_gradient(chunk_size):
    torch.testing.assert_close(gradient(function, X, chunk_size), torch.func.grad(function)(X))


@pytest.mark.parametrize("chunk_size", [1, 5, 12, 100])
def test_hessian_and_its_products(chunk_size):
    found = hessian(function, X, chunk_size)
    torch.testing.assert_close(found, H)
    assert torch.equal(found, found.mT)
    product = hessian_vector_product(function, X, V[0], chunk_size)
    torch.testing.assert_close(product, (H @ V[0].flatten()).view(3, 4))


def test_curvature_along_directions():
    value, slopes, found = curvature(function, X, V)
    torch.testing.assert_close(value, function(X))
    torch.testing.assert_close(slopes, V.flatten(1) @ torch.func.grad(function)(X).flatten())
    torch.testing.assert_close(found, V.flatten(1) @ H @ V.flatten(1).mT)


def test_under_autocast_derivatives_have_the_precision_of_x():
    x = X.float()
    with torch.autocast("cpu", torch.bfloat16):
        found = gradient(function, x), hessian_vector_product(function, x, V[0].float()), hessian(function, x)
    assert {one.dtype for one in found} == {torch.float32}
    torch.testing.assert_close(found[0], torch.func.grad(function)(x), rtol=0.05, atol=0.05)


def test_newtons_method_without_a_reverse_pass():
    x = torch.zeros(5).double()
    for _ in range(30):
        x = x - torch.linalg.solve(hessian(rosenbrock, x), gradient(rosenbrock, x))
    torch.testing.assert_close(x, torch.ones(5).double())


def rosenbrock(x: torch.Tensor) -> torch.Tensor:
    return (100 * (x[1:] - x[:-1].square()).square() + (1 - x[:-1]).square()).sum()


def test_a_function_that_returns_several_numbers_is_refused():
    derivatives_of_x = gradient, hessian, lambda f, x: hessian_vector_product(f, x, x), lambda f, x: curvature(f, x, V)
    for derivative in derivatives_of_x:
        with pytest.raises(ValueError, match=r"returns one number, not \[3, 4\]"):
            derivative(lambda x: x.sin(), X)


def test_the_examples_are_true():
    assert doctest.testmod(derivatives).failed == 0
    assert doctest.testmod(derivatives).attempted > 4


class CountingCalls(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(()).double())
        self.calls = 0

    def forward(self, x):
        self.count += 1
        self.calls += 1
        return ((x * self.count * self.calls) ** 2).sum()


DRAWING = {
    "dropout": lambda: lambda x: (torch.nn.functional.dropout(x, 0.5) ** 2).sum(),
    "python": lambda: lambda x: random.random() * (x**2).sum(),
    "counting": CountingCalls,
}


@pytest.mark.parametrize("name", DRAWING)
def test_all_passes_see_the_same(name):
    x, v = torch.ones(20).double(), torch.arange(20.0).double()

    def at_one_time(what, *arguments):
        torch.manual_seed(0)
        random.seed(0)
        return what(DRAWING[name](), x, *arguments)

    assert torch.equal(at_one_time(gradient, 3), at_one_time(gradient, None))
    assert torch.equal(at_one_time(hessian, 3), at_one_time(hessian, 20))
    assert torch.equal(at_one_time(hessian_vector_product, v, 3), at_one_time(hessian_vector_product, v, 20))
    assert at_one_time(gradient, 3).abs().sum() > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f, x: curvature(f, x, torch.ones(2, 6, 1)), r"needs directions \[K, 6\] for x \[6\], not \[2, 6, 1\]"),
        (lambda f, x: curvature(f, x, torch.ones(2, 1)), r"needs directions \[K, 6\]"),
        (lambda f, x: curvature(f, x, torch.ones(6)), r"needs directions \[K, 6\] for x \[6\], not \[6\]"),
        (lambda f, x: hessian_vector_product(f, x, torch.ones(1)), r"needs v in the shape of x, \[6\], not \[1\]"),
        (lambda f, x: hessian(f, x, chunk_size=-1), "chunk_size=-1 must be at least 1"),
        (lambda f, x: hessian(f, x, chunk_size=0), "chunk_size=0 must be at least 1"),
        (lambda f, x: gradient(f, x, chunk_size=0), "chunk_size=0 must be at least 1"),
        (lambda f, x: gradient(f, x[:0]), r"needs an x with at least one number, not \[0\]"),
    ],
)
def test_wrong_shapes_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(lambda x: (x**3).sum(), torch.ones(6))


def test_derivatives_within_derivatives_are_refused():
    def of_a_slope(x):
        return gradient(lambda y: (y**3).sum(), x).square().sum()

    x = torch.ones(3)
    for what in (gradient, hessian):
        with pytest.raises(NotImplementedError, match="cannot take forward-mode derivatives itself"):
            what(of_a_slope, x)
    torch.testing.assert_close(gradient(lambda y: (y**3).sum(), x), 3 * x)  # what was refused leaves nothing behind


def test_an_operation_that_nobody_has_a_rule_for_is_named():
    with pytest.raises(
        NotImplementedError, match="no forward-mode rule, of jets or torch, for _pdist_forward; slopes can"
    ):
        gradient(lambda x: torch.pdist(x).sum(), torch.randn(3, 3))
