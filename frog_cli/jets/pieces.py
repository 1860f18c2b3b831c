"""Formulas of functions of each entry that are made of pieces: value, slope, and curvature where it is not zero.

At the ends of a piece the slopes are those of torch's reverse mode, so that forward and backward agree there, too: a
convolution without a bias gives exactly 0 wherever its image is empty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten

Formula = tuple[Tensor, Tensor, Tensor | None]
"""Value, slope and curvature, None for zero."""


def hard_tanh(x: Tensor, low: float = -1, high: float = 1) -> Formula:
    """Cut off on both sides, as ReLU6 does, too."""
    return aten.hardtanh.default(x, low, high), _between(x, low, high), None


def hard_sigmoid(x: Tensor) -> Formula:
    """Rise from 0 at -3 to 1 at 3."""
    return aten.hardsigmoid.default(x), _between(x, -3, 3) / 6, None


def hard_swish(x: Tensor) -> Formula:
    """Multiply by the hard sigmoid."""
    curvature = _between(x, -3, 3) / 3
    slope = torch.where(x >= 3, 1, (x / 3 + 0.5) * (x > -3))
    return aten.hardswish.default(x), slope, curvature


def hard_shrink(x: Tensor, size: float = 0.5) -> Formula:
    """Replace what is small by zero."""
    return aten.hardshrink.default(x, size), 1 - _within(x, size), None


def soft_shrink(x: Tensor, size: float = 0.5) -> Formula:
    """Bring entries nearer to zero, what is small to zero."""
    return aten.softshrink.default(x, size), 1 - _within(x, size), None


def threshold(x: Tensor, least: float, otherwise: float) -> Formula:
    """Replace what is not above a number by another one."""
    return aten.threshold.default(x, least, otherwise), (x > least).to(x.dtype), None


def leaky_relu(x: Tensor, factor: float = 0.01) -> Formula:
    """Multiply negative entries by a factor."""
    slope = torch.ones_like(x).masked_fill(x <= 0, factor)
    return x * slope, slope, None


def clamp(x: Tensor, low: float | None = None, high: float | None = None) -> Formula:
    """Cut off below and above; what lies at a bound goes on to vary."""
    value = aten.clamp.default(x, low, high)
    inside = (x >= low) if low is not None else torch.ones_like(x, dtype=torch.bool)
    return value, (inside if high is None else inside & (x <= high)).to(value.dtype), None


def elu(x: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Formula:
    """Bend what is negative towards -alpha, as SELU and CELU do, too."""
    bent = alpha * scale * input_scale * (input_scale * x).exp()
    slope = torch.where(x > 0, scale, bent)
    return aten.elu.default(x, alpha, scale, input_scale), slope, torch.where(x < 0, input_scale * bent, 0)


def celu(x: Tensor, alpha: float = 1) -> Formula:
    """Take the ELU whose slope does not jump."""
    return elu(x, alpha, 1, 1 / alpha)


def nan_to_num(x: Tensor, nan: float | None = None, high: float | None = None, low: float | None = None) -> Formula:
    """Replace what is not finite by numbers."""
    return aten.nan_to_num.default(x, nan, high, low), x.isfinite().to(x.dtype), None


def sawtooth(operation: Any) -> Callable[..., Formula]:
    """Make the formula of what remains of each entry beside whole multiples of a number, a line between its jumps."""
    return lambda x, *args: (operation(x, *args), torch.ones_like(x), None)


def _between(x: Tensor, low: float, high: float) -> Tensor:
    """Return 1 strictly between two numbers, 0 elsewhere."""
    return ((x > low) & (x < high)).to(x.dtype)


def _within(x: Tensor, size: float) -> Tensor:
    """Return 1 from -size to size, both included, 0 elsewhere."""
    return (x.abs() <= size).to(x.dtype)


PIECES: dict[Any, Callable[..., Formula]] = {
    aten.leaky_relu.default: leaky_relu,
    aten.threshold.default: threshold,
    aten.hardtanh.default: hard_tanh,
    aten.hardsigmoid.default: hard_sigmoid,
    aten.hardswish.default: hard_swish,
    aten.hardshrink.default: hard_shrink,
    aten.softshrink.default: soft_shrink,
    aten.elu.default: elu,
    aten.celu.default: celu,
    aten.clamp.default: clamp,
    aten.nan_to_num.default: nan_to_num,
    **{one: sawtooth(one) for one in (aten.frac.default, aten.remainder.Scalar, aten.fmod.Scalar)},
}
"""The formula of each operation."""
