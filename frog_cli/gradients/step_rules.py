"""Second-order step rules: how slopes and curvature along K tangents become the coefficients of a step.

The step is -learning_rate V^T c, as for first-order aggregations (arXiv 2408.10419, Section 5). Leading indices are
independent of each other.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from frog_cli import ideas
from frog_cli.gradients.aggregation import at_least_single
from frog_cli.ideas.types import Eigenvalues

StepRule = Callable[[Tensor, Tensor], Tensor]
"""Maps slopes `[..., K]` and curvature `[..., K, K]` to coefficients `[..., K]`, NaN where there is no solution."""

_JITTER = (0.0, 1e-8, 1e-6, 1e-4, 1e-2, 1.0)  # relative to the mean of |diagonal|


def line_step(slopes: Tensor, curvature: Tensor, *, damping: float) -> Tensor:
    """Divide the slope by the absolute curvature plus `damping`, for one tangent (Eq. 1)."""
    return slopes / (curvature.squeeze(-1).abs() + damping)


def hyperplane_step(slopes: Tensor, curvature: Tensor, *, absolute: bool) -> Tensor:
    """Solve for the step to the stationary point of the quadratic in the plane of the tangents (Eq. 9 and 10).

    A curvature that is singular, but for rounding along tangents of like lengths, gets multiples of the identity
    added to it, up to its own size; if that does not help either, the coefficients are NaN, never another method's.

    Args:
        slopes: `[..., K]`.
        curvature: `[..., K, K]`, symmetric.
        absolute: take the absolute values of the eigenvalues, so that the step always goes downhill; without, as in
            the paper, it goes to the stationary point, be it a minimum or not.

    Returns:
        Coefficients `[..., K]`.
    """
    given = slopes.dtype
    slopes, curvature = at_least_single(slopes), at_least_single(curvature)
    if absolute:
        eigenvalues, vectors = eigenvalues_and_vectors(curvature.nan_to_num())
        finite = curvature.isfinite().all((-2, -1))[..., None, None]
        curvature = torch.where(finite, (vectors * eigenvalues.abs().unsqueeze(-2)) @ vectors.mT, torch.nan)
    size = curvature.diagonal(dim1=-2, dim2=-1).abs().mean(-1)[..., None, None]
    identity = torch.eye(curvature.shape[-1], dtype=curvature.dtype, device=curvature.device)
    coefficients = torch.full_like(slopes, torch.nan)
    for jitter in _JITTER:
        unsolved = ~coefficients.isfinite().all(-1, keepdim=True)
        if not unsolved.any():
            break
        factors, pivots, failed = torch.linalg.lu_factor_ex(curvature + jitter * size * identity)
        solution = torch.linalg.lu_solve(factors, pivots, slopes.unsqueeze(-1)).squeeze(-1)
        low, high = factors.diagonal(dim1=-2, dim2=-1).abs().aminmax(dim=-1, keepdim=True)
        regular = low > curvature.shape[-1] * torch.finfo(curvature.dtype).eps * high  # not zero but for rounding
        found = torch.where((failed[..., None] == 0) & regular, solution, torch.nan)
        coefficients = torch.where(unsolved, found, coefficients)
    return torch.where(coefficients.isfinite().all(-1, keepdim=True), coefficients, torch.nan).to(given)


@ideas.step_rule
def fomoh_kd(slopes: Tensor, curvature: Tensor, *, eigenvalues: Eigenvalues = "signed") -> Tensor:
    """A search in the plane of k tangents (arXiv 2408.10419, Sec. 5.3)."""
    return hyperplane_step(slopes, curvature, absolute=eigenvalues == "absolute")


def eigenvalues_and_vectors(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Return those of symmetric matrices `[..., K, K]`, the same to the last bit whichever matrices stand beside one.

    LAPACK's rounding may depend on where in memory a matrix begins, so that on the CPU each is solved by itself.
    """
    if matrices.ndim == 2 or matrices.device.type != "cpu" or not matrices.numel():
        return torch.linalg.eigh(matrices)
    values, vectors = zip(*map(torch.linalg.eigh, matrices.flatten(0, -3)), strict=True)
    return torch.stack(values).view(matrices.shape[:-1]), torch.stack(vectors).view(matrices.shape)
