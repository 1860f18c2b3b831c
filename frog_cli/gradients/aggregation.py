"""Aggregation: how k slopes become the coefficients c of the tangents, so that the estimate is V^T c.

Every function takes tangents `[..., k, n]` (the rows are the tangents) and slopes `[..., k, m]`, the directional
derivatives along them of m functions at a time, and returns coefficients `[..., k, m]`. Leading indices are
independent of each other, to the last bit. Coefficients depend on the tangents V only through V V^T, if at all.
They are Definitions 3, 4 and 5 of arXiv 2410.17764.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from frog_cli import ideas

Aggregation = Callable[[Tensor, Tensor], Tensor]


@ideas.aggregation(of_slopes_alone=True)
def sum_(tangents: Tensor, slopes: Tensor) -> Tensor:
    """The sum of the single-tangent forward gradients (Baydin et al. 2022)."""
    del tangents
    return slopes


@ideas.aggregation(of_slopes_alone=True)
def mean(tangents: Tensor, slopes: Tensor) -> Tensor:
    """The mean of the single-tangent forward gradients (Silver et al. 2022)."""
    return slopes / tangents.shape[-2]


def projection_if_well_conditioned(tangents: Tensor, slopes: Tensor) -> Tensor:
    """Project through a Cholesky factor: of V V^T, or of V^T V if k > n; NaN where V is too dependent for that.

    That is, where a bound of the condition number of this matrix, with tangents of unit length, exceeds eps^(-1/3):
    below, the solution keeps two thirds of the digits. Without a branch on values, so that it can be recorded.
    """
    V, d = at_least_single(tangents), at_least_single(slopes)
    if V.shape[-2] > V.shape[-1]:
        length = torch.linalg.vector_norm(V, dim=-1, keepdim=True)
        unit = V / length
        factor, trusted = _cholesky(unit.mT @ unit)
        gradient = torch.cholesky_solve(unit.mT @ (d / length), factor)
        solution = unit @ torch.cholesky_solve(gradient, factor) / length  # of minimum norm
    else:
        gram = V @ V.mT
        length = gram.diagonal(dim1=-2, dim2=-1).sqrt().unsqueeze(-1)
        factor, trusted = _cholesky(gram / (length * length.mT))
        solution = torch.cholesky_solve(d / length, factor) / length
    return torch.where(trusted[..., None, None], solution, torch.nan).to(slopes.dtype)


def _cholesky(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factor of matrices `[..., k, k]`, and of which, `[...]`, it can be trusted."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    inverse_factor = torch.linalg.solve_triangular(factor, identity, upper=False)
    bound = matrix.abs().sum(-1).amax(-1) * inverse_factor.square().sum((-2, -1))
    return factor, (bound < torch.finfo(matrix.dtype).eps ** (-1 / 3)) & (failed == 0)


@ideas.aggregation(gram_only=True, without_branch=projection_if_well_conditioned)
def projection(tangents: Tensor, slopes: Tensor) -> Tensor:
    """The orthogonal projection onto the span of the tangents (Fluegel et al. 2025).

    Defined for every set of tangents: with k >= n spanning ones the estimate is the gradient itself; with dependent
    ones the coefficients are those of minimum norm. Well-conditioned tangents are solved through the Cholesky
    factor of their Gram matrix, all others through their singular values.
    """
    coefficients = projection_if_well_conditioned(tangents, slopes)
    if not coefficients.isfinite().all():
        k, m = slopes.shape[-2:]
        sets = (tangents.reshape(-1, *tangents.shape[-2:]), slopes.reshape(-1, k, m), coefficients.reshape(-1, k, m))
        general = [
            _minimum_norm(V, d) if d.isfinite().all() and not c.isfinite().all() else c
            for V, d, c in zip(*sets, strict=True)
        ]
        coefficients = torch.stack(general).reshape(slopes.shape)
    return coefficients


def at_least_single(x: Tensor) -> Tensor:
    """Return a tensor in single precision if it has half, in which nothing can be solved."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _minimum_norm(tangents: Tensor, slopes: Tensor) -> Tensor:
    """Return the coefficients of the projection for any tangents `[k, n]` and slopes `[k, m]`."""
    V, d = at_least_single(tangents), at_least_single(slopes)
    length = torch.linalg.vector_norm(V, dim=-1, keepdim=True)
    length = torch.where(length > 0, length, 1)
    U, S, _ = torch.linalg.svd(V / length, full_matrices=False)
    kept = S > S.amax() * max(V.shape) * torch.finfo(S.dtype).eps
    inverse = torch.where(kept, 1 / torch.where(kept, S, 1), 0).unsqueeze(-1)
    return (U @ (inverse * (inverse * (U.mT @ (d / length)))) / length).to(slopes.dtype)
