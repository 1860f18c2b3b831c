"""Linear algebra: solutions, inverses, determinants and triangular factors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import jvp

from frog_cli.gradients import curvature, gradient
from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import measure_second_order
from tests.jets.oracles import K, check, check_case, randn


def regular(x: Tensor) -> Tensor:
    """Return matrices that have an inverse, and are not symmetric."""
    return x.tanh() / 2 + 3 * torch.eye(x.shape[-1]).double()


def positive(x: Tensor) -> Tensor:
    """Return symmetric matrices with positive eigenvalues."""
    return x @ x.mT + torch.eye(x.shape[-2]).double()


CASES = {
    "solution": (lambda A, B: torch.linalg.solve(regular(A), B.sin()), (4, 4), (4, 3)),
    "solutions": (lambda A, B: torch.linalg.solve(regular(A), B), (2, 3, 3), (2, 3, 2)),
    "one matrix, several right-hand sides": (lambda A, B: torch.linalg.solve(regular(A), B), (3, 3), (2, 3, 2)),
    "solution of vectors": (lambda A, b: torch.linalg.solve(regular(A), b), (4, 4), (4,)),
    "solutions of vectors": (lambda A, b: torch.linalg.solve(regular(A), b), (2, 3, 3), (2, 3)),
    "solution from the left": (lambda A, B: torch.linalg.solve(regular(A), B, left=False), (4, 4), (3, 4)),
    "solution with a given matrix": (lambda B: torch.linalg.solve(regular(randn(4, 4)), B * B), (4, 3)),
    "solution of given numbers": (lambda A: torch.linalg.solve(regular(A), randn(4, 2)), (4, 4)),
    "inverse": (lambda A: torch.linalg.inv(regular(A)), (4, 4)),
    "inverses": (lambda A: torch.linalg.inv(regular(A)), (2, 3, 3)),
    "determinant": (lambda A: torch.linalg.det(regular(A)), (3, 3)),
    "determinants": (lambda A: torch.linalg.det(regular(A)), (2, 3, 3)),
    "logarithms of determinants": (lambda A: torch.linalg.slogdet(regular(A))[1], (2, 3, 3)),
    "logarithm of a determinant": (lambda A: torch.logdet(positive(A)), (3, 4)),
    "factor": (lambda A: torch.linalg.cholesky(positive(A)), (3, 4)),
    "upper factors": (lambda A: torch.linalg.cholesky(positive(A), upper=True), (2, 3, 4)),
    "lower triangle": (lambda A, B: torch.linalg.solve_triangular(regular(A), B, upper=False), (3, 3), (3, 2)),
    "upper triangle from the left": (
        lambda A, B: torch.linalg.solve_triangular(regular(A), B, upper=True, left=False),
        (3, 3),
        (2, 3),
    ),
    "triangles with a diagonal of ones": (
        lambda A, B: torch.linalg.solve_triangular(A, B, upper=False, unitriangular=True),
        (2, 3, 3),
        (2, 3, 2),
    ),
    "upper triangle with a diagonal of ones": (
        lambda A, B: torch.linalg.solve_triangular(A, B, upper=True, unitriangular=True),
        (3, 3),
        (3, 2),
    ),
    "solution by a factor": (lambda A, B: torch.cholesky_solve(B, torch.linalg.cholesky(positive(A))), (3, 4), (3, 2)),
    "solution by an upper factor": (
        lambda A, B: torch.cholesky_solve(B, torch.linalg.cholesky(positive(A), upper=True), upper=True),
        (3, 4),
        (3, 2),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])


def test_the_likelihood_of_a_gaussian_process():
    """Length, amplitude and noise of a kernel, by everything that such a model needs at once."""
    x, y = randn(7, 1), randn(7, 1, seed=1)

    def negative_log_likelihood(theta):
        length, amplitude, noise = theta.exp().unbind()
        covariance = amplitude * (-((x - x.mT) / length).square()).exp() + noise * torch.eye(7).double()
        L = torch.linalg.cholesky(covariance)
        return (y.mT @ torch.cholesky_solve(y, L)).squeeze() / 2 + L.diagonal().log().sum()

    check(lambda theta: negative_log_likelihood(theta), torch.tensor([0.3, -0.2, -1.0]).double(), tolerance=1e-7)
    assert gradient(negative_log_likelihood, torch.zeros(3).double()).isfinite().all()


def test_an_ill_conditioned_solution_keeps_its_digits():
    """Beside 1e6 between its largest and smallest singular values."""
    U, _ = torch.linalg.qr(randn(4, 4))
    V, _ = torch.linalg.qr(randn(4, 4, seed=1))
    A = U @ torch.diag(torch.tensor([1e3, 1.0, 1e-1, 1e-3]).double()) @ V
    b, directions = randn(4, seed=2), randn(K, 4, 4, seed=3)
    _, slopes, found = curvature(lambda A: torch.linalg.solve(A, b).sum(), A, directions)
    inverse = torch.linalg.inv(A)
    along = inverse @ directions
    expected = torch.stack([torch.stack([((i @ j + j @ i) @ inverse @ b).sum() for j in along]) for i in along])
    torch.testing.assert_close(slopes, -(along @ inverse @ b).sum(-1), rtol=1e-6, atol=0)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("measure", [measure_second_order, lambda f, x, V: forward(lambda x: (f(x), ()), x, V)])
def test_the_determinant_of_a_singular_matrix_is_refused_where_torch_is_wrong(measure):
    A, V = torch.diag(torch.tensor([1.0, 2.0, 0.0]).double()), randn(K, 3, 3)
    with pytest.raises(NotImplementedError, match="the determinant of a singular matrix"):
        measure(torch.linalg.det, (A,), (V,))
    assert abs(jvp(torch.linalg.det, (A,), (V[0],))[1] - 2 * V[0, 2, 2]) > 0.1  # else torch has been mended


@pytest.mark.parametrize("function", [torch.linalg.inv, lambda A: torch.linalg.solve(A, A)])
def test_singular_matrices_are_refused(function):
    with pytest.raises(RuntimeError, match="singular"):
        measure_second_order(lambda x: function(x).sum(), [torch.ones(3, 3).double()], [randn(K, 3, 3)])
