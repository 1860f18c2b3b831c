"""Rules for linear algebra, by refinement: from the exact value, each step gets the terms of one more order right.

X solves A X = B, and A_0 is the value of A. If X is right but for an error of order m in the directions, then so is
X + A_0^-1 (B - A X) but for one of order m + 1: what is left of the error is multiplied by 1 - A_0^-1 A.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from frog_cli.jets.jet import Jet, value_of

aten = torch.ops.aten


def _refined(value: Tensor, correction: Callable[[Any], Any], order: int) -> Jet:
    """Return the jet of a value, to which what is missing is added once for each order."""
    found: Any = value
    for _ in range(order):
        found = found + correction(found)
    return Jet(value, found.terms, found.directions)


def _solution(value: Tensor, A: Any, B: Any, left: bool) -> Jet:
    """Return the jet of a solution of A X = B, or of X A = B."""
    inverse = torch.linalg.inv(value_of(A))
    order = max(one.directions.order for one in (A, B) if isinstance(one, Jet))
    return _refined(value, lambda X: inverse @ (B - A @ X) if left else (B - X @ A) @ inverse, order)


def solve(A: Any, B: Any, *, left: bool = True, **kwargs: Any) -> tuple[Any, Any, Any, Any]:
    """Solve A X = B, or X A = B; the factors of A that come with the solution do not vary."""
    value, *factors = aten._linalg_solve_ex.default(value_of(A), value_of(B), left=left, **kwargs)
    if B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1]):  # vectors
        found: Any = _solution(value.unsqueeze(-1), A, B.unsqueeze(-1), left=True)
        return found.squeeze(-1), *factors
    return _solution(value, A, B, left), *factors


def solve_triangular(A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Jet:
    """Solve with one triangle of a matrix, whose diagonal may count as 1."""
    options = {"upper": upper, "left": left, "unitriangular": unitriangular}
    value = aten.linalg_solve_triangular.default(value_of(A), value_of(B), **options)
    triangle = A.triu(int(unitriangular)) if upper else A.tril(-int(unitriangular))
    if unitriangular:
        triangle = triangle + torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    return _solution(value, triangle, B, left)


def inverse(A: Jet, **kwargs: Any) -> tuple[Jet, Tensor]:
    """Invert matrices."""
    value, info = aten.linalg_inv_ex.default(A.value, **kwargs)
    identity = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    return _refined(value, lambda X: value @ (identity - A @ X), A.directions.order), info


def log_determinant(A: Jet) -> tuple[Tensor, Jet, Tensor, Tensor]:
    """Take the sign and the logarithm of the size of determinants: log det (1 + E) = tr E - tr E^2 / 2 + .."""
    sign, value, *factors = aten._linalg_slogdet.default(A.value)
    first, second = _traces(A)
    found = first - second / 2
    return sign, Jet(value, found.terms, found.directions), *factors


def determinant(A: Jet) -> tuple[Jet, Tensor, Tensor]:
    """Take determinants: det (1 + E) = 1 + tr E + ((tr E)^2 - tr E^2) / 2 + .."""
    value, *factors = aten._linalg_det.default(A.value)
    first, second = _traces(A)
    found = value * (first + (first * first - second) / 2)
    return Jet(value, found.terms, found.directions), *factors


def _traces(A: Jet) -> tuple[Any, Any]:
    """Return the traces of E and E^2 for A = A_0 (1 + E)."""
    try:
        E = torch.linalg.inv(A.value) @ (A - A.value)
    except RuntimeError as error:
        # no NoRuleError, after which torch's own forward mode would find slopes of zero
        raise NotImplementedError("no forward-mode rule for the determinant of a singular matrix") from error
    return E.diagonal(0, -2, -1).sum(-1), (E * E.mT).sum((-2, -1))


def cholesky(A: Jet, *, upper: bool = False, **kwargs: Any) -> tuple[Jet, Tensor]:
    """Take the triangular factor of symmetric matrices: A = L_0 (1 + E) L_0^T, to second order in E."""
    value, info = aten.linalg_cholesky_ex.default(A.value, upper=upper, **kwargs)
    L = value.mT if upper else value
    identity = torch.eye(L.shape[-1], dtype=L.dtype, device=L.device)
    inverse = torch.linalg.solve_triangular(L, identity, upper=False)
    E = inverse @ (A - A.value) @ inverse.mT
    halves = torch.ones_like(L).tril() - 0.5 * identity
    first = halves * (E + E.mT) / 2  # the triangle of numbers that, with its transpose, adds up to E
    found = L @ (first - halves * (first @ first.mT))
    found = found.mT if upper else found
    return Jet(value, found.terms, found.directions), info


def solve_by_factor(B: Any, L: Any, upper: bool = False) -> Any:
    """Solve L L^T X = B, or L^T L X = B."""
    halfway = torch.linalg.solve_triangular(L.mT if upper else L, B, upper=False)
    return torch.linalg.solve_triangular(L if upper else L.mT, halfway, upper=True)
