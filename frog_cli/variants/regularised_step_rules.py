"""Step rules that do not go all the way to the stationary point in the plane of the tangents.

As for the others, leading indices are independent of each other, and NaN stands where there is no step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from frog_cli import ideas
from frog_cli.gradients.aggregation import at_least_single
from frog_cli.gradients.step_rules import eigenvalues_and_vectors
from frog_cli.ideas.types import Count, Positive


@ideas.step_rule(curvature="gauss_newton")
def gauss_newton(slopes: Tensor, curvature: Tensor, *, damping: Positive = 1e-3) -> Tensor:
    """Damped Gauss-Newton steps by one pass of first order (SOFO: Yu et al. 2024).

    With slopes d and the curvature G of the Gauss-Newton matrix along the tangents, c = (G + λ I)⁻¹ d.

    Args:
        slopes: `[..., K]`.
        curvature: `[..., K, K]`, positive semidefinite.
        damping: λ, beside the largest eigenvalue of G.
    """
    given = slopes.dtype
    slopes, curvature = at_least_single(slopes), at_least_single(curvature)
    finite = curvature.isfinite().all(-1).all(-1, keepdim=True)
    eigenvalues, vectors = eigenvalues_and_vectors(
        torch.where(finite.unsqueeze(-1), curvature, 0)
    )  # which raises for others
    eigenvalues = eigenvalues.clamp(min=0)  # what is below is rounding
    largest = eigenvalues[..., -1:]
    along = (vectors * slopes.unsqueeze(-1)).sum(-2)  # a product of matrices may round otherwise among others
    steps = along / torch.where(largest > 0, eigenvalues + damping * largest, torch.nan)
    return torch.where(finite, (vectors * steps.unsqueeze(-2)).sum(-1), torch.nan).to(given)


@ideas.step_rule
def fomoh_diagonal(slopes: Tensor, curvature: Tensor, *, damping: Positive = 1e-8) -> Tensor:
    """The sum of line searches along k tangents, by the diagonal of the curvature.

    c = d / (|diagonal| + damping): Newton's step where the tangents are conjugate to each other, as unit vectors are
    for a Hessian that is diagonal (Becker and LeCun 1988); too far where their directions overlap.

    Args:
        slopes: `[..., K]`.
        curvature: `[..., K, K]`, of which only the diagonal counts.
        damping: added to the absolute curvature that each slope is divided by.
    """
    diagonal = curvature.diagonal(dim1=-2, dim2=-1).abs()
    return slopes / (torch.where(diagonal.isfinite(), diagonal, torch.nan) + damping)


@ideas.step_rule
def fomoh_cg(slopes: Tensor, curvature: Tensor, *, iterations: Count = 4) -> Tensor:
    """Conjugate gradients in the plane of k tangents, cut short (Steihaug 1983).

    After as many iterations as there are tangents, or fewer, the step is that to the stationary point if the curvature
    is positive, but for rounding, which grows with its condition. Where a direction of no or negative curvature is met
    the iterations end before it; if it is the first, the step is a line search along it by the absolute curvature. So
    each step goes downhill.

    Args:
        slopes: `[..., K]`.
        curvature: `[..., K, K]`, symmetric.
        iterations: how many products of the curvature with a direction at most.
    """
    given = slopes.dtype
    slopes, curvature = at_least_single(slopes), at_least_single(curvature)
    largest = slopes.abs().amax(-1, keepdim=True)
    slopes = slopes / torch.where(largest > 0, largest, 1)  # whose squares have a place among the numbers
    step, residual, direction = torch.zeros_like(slopes), slopes, slopes
    going = torch.ones_like(slopes[..., :1], dtype=torch.bool)
    for number in range(min(iterations, slopes.shape[-1])):
        product = (curvature @ direction.unsqueeze(-1)).squeeze(-1)
        along = (direction * product).sum(-1, keepdim=True)
        square = residual.square().sum(-1, keepdim=True)
        if number == 0:
            smallest = torch.finfo(slopes.dtype).eps ** 2 * square  # what is left then is rounding
            curved = torch.where(along != 0, along.abs(), torch.nan)
        else:
            going, curved = going & (along > 0) & (square > smallest), along
        length = torch.where(going, square / curved, 0)
        going = going & (along > 0)
        step = step + length * direction
        residual = residual - length * product
        direction = residual + residual.square().sum(-1, keepdim=True) / torch.where(square > 0, square, 1) * direction
    step = torch.where((largest == 0) & curvature.isfinite().all(-1).all(-1, keepdim=True), 0, largest * step)
    return torch.where(step.isfinite().all(-1, keepdim=True), step, torch.nan).to(given)
