"""Rules for losses of differences, and of probabilities of two classes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from frog_cli.jets.elementwise import elementwise
from frog_cli.jets.jet import Jet

aten = torch.ops.aten


def mse_loss(x: Any, target: Any, reduction: int = 1) -> Jet:
    """Take the squared errors."""
    return _reduced((x - target).square(), reduction)


def huber_loss(x: Any, target: Any, reduction: int = 1, delta: float = 1.0) -> Jet:
    """Take half of the squared errors, from `delta` on as a straight line."""
    return _reduced(elementwise(_huber)(x - target, delta), reduction)


def smooth_l1_loss(x: Any, target: Any, reduction: int = 1, beta: float = 1.0) -> Jet:
    """Take the absolute errors, up to `beta` as a parabola."""
    return _reduced(elementwise(_huber)(x - target, beta) / beta, reduction)


def _huber(error: Tensor, delta: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return value, slope and curvature of Huber's loss."""
    slope, size = error.clamp(-delta, delta), error.abs()
    is_near = size < delta
    return torch.where(is_near, error.square() / 2, delta * (size - delta / 2)), slope, is_near.to(error.dtype)


def binary_cross_entropy_with_logits(
    x: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: int = 1
) -> Jet:
    """Take the cross-entropy of two classes, of which `x` is the logarithm of the odds."""
    of_positive, _ = aten.log_sigmoid_forward.default(x)
    if pos_weight is not None:
        of_positive = (1 + (pos_weight - 1) * target) * of_positive
    losses = (1 - target) * x - of_positive
    return _reduced(losses if weight is None else weight * losses, reduction)


def binary_cross_entropy(x: Any, target: Any, weight: Any = None, reduction: int = 1) -> Jet:
    """Take the cross-entropy of two classes, of which `x` is the probability; no logarithm is below -100."""
    least = max(math.exp(-100), torch.finfo(x.dtype).tiny ** 0.5)  # whose inverse square is still a number
    losses = -(target * x.clamp(min=least).log() + (1 - target) * (1 - x).clamp(min=least).log())
    return _reduced(losses if weight is None else weight * losses, reduction)


def soft_margin_loss(x: Any, target: Any, reduction: int = 1) -> Jet:
    """Take log(1 + exp(-target x))."""
    return _reduced(-aten.log_sigmoid_forward.default(target * x)[0], reduction)


def multi_margin_loss(
    x: Any, target: Tensor, p: int = 1, margin: float = 1, weight: Any = None, reduction: int = 1
) -> Jet:
    """Take the mean over classes of how far each comes within a margin of the right one, or of its square."""
    scores, right = (x if x.ndim == 2 else x.reshape(1, -1)), target.reshape(-1, 1)
    within = (margin - scores.gather(1, right) + scores).clamp(min=0).scatter(1, right, 0)
    within = within if p == 1 else within * within
    within = within if weight is None else within * weight[right]
    losses = within.sum(1) / scores.shape[1]
    return _reduced(losses if x.ndim == 2 else losses.squeeze(0), reduction)


def _reduced(losses: Any, reduction: int) -> Jet:
    """Return each loss, their mean or their sum, by torch's number of it."""
    found: Jet = (losses, losses.mean(), losses.sum())[reduction]
    return found
