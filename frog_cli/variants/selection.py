"""Aggregation by selection: of all tangents only the steepest count, with the slopes along them.

How steep a tangent is does not depend on its length: |slope| / length. Selections are not linear in the slopes, and
even from unbiased tangents the estimates are biased: towards the gradient, in their length.
"""

from __future__ import annotations

import torch
from torch import Tensor

from frog_cli import ideas
from frog_cli.ideas.types import Count, Switch


@ideas.aggregation(gram_only=True)
def max_(tangents: Tensor, slopes: Tensor, *, corrected: Switch = False) -> Tensor:
    """The forward gradient along the steepest tangent alone.

    It is in the code released with arXiv 2410.17764.

    Args:
        tangents: `[..., k, n]`.
        slopes: `[..., k, m]`.
        corrected: true: divide by the tangent's length, so that from normal tangents the estimate is about as long as
            the gradient, not √n times as long.
    """
    return top_mean(tangents, slopes, steepest=1, corrected=corrected)


@ideas.aggregation(gram_only=True)
def top_mean(tangents: Tensor, slopes: Tensor, *, steepest: Count = 4, corrected: Switch = False) -> Tensor:
    """The mean of the forward gradients along the steepest tangents.

    The code released with arXiv 2410.17764 takes those whose cosine to the gradient is within 0.1 of the best; here
    their number is fixed.

    Args:
        tangents: `[..., k, n]`.
        slopes: `[..., k, m]`.
        steepest: how many tangents count, all if there are no more.
        corrected: true: divide by the tangents' lengths, so that from normal tangents the estimate is about as long as
            the gradient, not √n times as long.
    """
    length = torch.linalg.vector_norm(tangents, dim=-1, keepdim=True)
    length = torch.where(length > 0, length, 1)
    number = min(steepest, slopes.shape[-2])
    chosen = (slopes / length).abs().topk(number, dim=-2).indices
    kept = torch.zeros_like(slopes).scatter(-2, chosen, slopes.gather(-2, chosen)) / number
    return kept / length if corrected else kept
