"""Exact derivatives from forward passes, beside reverse mode."""

from __future__ import annotations

import doctest

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
