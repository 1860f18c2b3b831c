"""The length of a step from the curvature along it: a step is a direction times a length.

A step -t s along a direction s changes a function by -p t + h t^2 / 2, with the slope p = grad f . s and the curvature
h = s^T H s, which one forward pass measures. That is lowest at t = p / h; the absolute value of h keeps a step downhill
where the function is concave. Batches and tangents make p and h noisy, so that running means stand for both. FoMoH's
line search (arXiv 2408.10419, Eq. 1) is this without means, along a sampled tangent.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from frog_cli.gradients.step_rules import line_step


class Means(NamedTuple):
    """Running means of the slope, the absolute curvature and the curvature along the directions of steps, `[...]` each.

    All lack the same factor, 1 - smoothing^t after t measurements, which a length does not depend on.
    """

    slope: Tensor
    absolute: Tensor
    curvature: Tensor


def with_measurement(means: Means, slope: Tensor, curvature: Tensor, smoothing: float) -> Means:
    """Return means that know of one more slope and curvature `[...]`; of those that are finite."""
    finite = slope.isfinite() & curvature.isfinite()
    new = zip(means, (slope, curvature.abs(), curvature), strict=True)
    return Means(*(torch.where(finite, smoothing * mean + (1 - smoothing) * value, mean) for mean, value in new))


FIRST = 0.01
"""The longest first step, beside the norm of the point."""


def step_length(means: Means, factor: float) -> Tensor:
    """Return the length t `[...]` of a step along a direction, `factor` times that to the lowest point.

    NaN where there is none: the mean slope is not positive, or there is no curvature.
    """
    length = factor * line_step(means.slope, means.absolute.unsqueeze(-1), damping=0.0)
    return torch.where((length > 0) & length.isfinite(), length, torch.nan)


def longest_first_step(norm: Tensor, n: int) -> Tensor:
    """Return the norm of the longest first step from a point of a norm `[...]`; that of the origin counts as √n."""
    return FIRST * torch.where(norm > 0, norm, n**0.5)


RISEN = 0.1
"""By this share of its first value a loss has risen if it is higher than noise explains."""


def has_risen(loss: Tensor, first: Tensor) -> Tensor:
    """Return whether the running mean of a loss `[...]` is above its first value."""
    return loss > first + RISEN * first.abs()


def bounded(length: Tensor, means: Means, before: Tensor, first: Tensor, smoothing: float, risen: Tensor) -> Tensor:
    """Return a length that does not trust its first measurements: where a network starts there is next to no curvature.

    From one step to the next a length grows at most by as much as the means may: 1 / smoothing. Where the function is
    concave on average it does not grow: there is no lowest point that the curvature could tell the way to. Nor does it
    while the loss has risen: far out a softmax has no curvature, and lengths would be without bound.

    Args:
        length: `[...]`, NaN where there is none.
        means: that it was made from.
        before: the last length that there was, `[...]`, 0 at first.
        first: the longest that the first length may be, `[...]`.
        smoothing: the share of earlier steps in the means.
        risen: whether the loss has, `[...]`.
    """
    if not smoothing:  # each measurement is trusted
        return torch.minimum(length, torch.where(before > 0, torch.inf, first))
    growth = torch.where(risen | (means.curvature < 0), 1, 1 / smoothing)
    return torch.minimum(length, torch.where(before > 0, before * growth, first))  # of which NaN stays
