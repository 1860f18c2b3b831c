"""Operations that are formulas of others, which have rules: only their values are torch's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import softplus

from frog_cli.jets.jet import value_of
from frog_cli.jets.losses import binary_cross_entropy
from frog_cli.jets.matrices import solve_by_factor
from frog_cli.jets.norms import distances
from frog_cli.jets.products import cumulative_product, product, product_along

aten = torch.ops.aten


def hypotenuse(x: Any, y: Any) -> Any:
    """Return the root of the sum of two squares, of numbers of the size of 1."""
    size = torch.maximum(value_of(x).abs(), value_of(y).abs())
    size = torch.where(size == 0, 1, size)
    return size * ((x / size).square() + (y / size).square()).sqrt()


def angle(y: Any, x: Any) -> Any:
    """Return the angle of a point (x, y), less that of where it stands: the arctangent of its slope from there."""
    a, b = value_of(x), value_of(y)
    return ((y * a - x * b) / (x * a + y * b)).atan()


def times_logarithm(x: Any, y: Any) -> Any:
    """Return x log y, where 0 log y is 0 for every y."""
    nothing = (value_of(x) == 0) & (value_of(y) <= 0)
    return x * torch.where(nothing, 1, y).log()


def logarithm_of_sum(x: Any, y: Any) -> Any:
    """Return log(exp x + exp y), also where there is nothing to add."""
    nothing = (value_of(x) == value_of(y)) & value_of(x).isinf()
    return y + softplus(torch.where(nothing, 0, x - y), 1, 40)


WITH_OWN_VALUE: dict[Any, Callable[..., Any]] = {
    aten.addcmul.default: lambda x, a, b, value=1: x + value * (a * b),
    aten.addcdiv.default: lambda x, a, b, value=1: x + value * (a / b),
    aten.lerp.Scalar: lambda x, y, weight: x + weight * (y - x),
    aten.lerp.Tensor: lambda x, y, weight: x + weight * (y - x),
    aten.clamp_min.Tensor: lambda x, low: torch.where(x >= low, x, low),
    aten.clamp_max.Tensor: lambda x, high: torch.where(x <= high, x, high),
    aten.logaddexp.default: logarithm_of_sum,
    aten.hypot.default: hypotenuse,
    aten.atan2.default: angle,
    aten.xlogy.Tensor: times_logarithm,
    aten.special_entr.default: lambda x: -times_logarithm(x, x),
    aten.logit.default: lambda x, eps=None: (p := x if eps is None else x.clamp(eps, 1 - eps)).log() - (1 - p).log(),
    aten.remainder.Tensor: lambda x, y: x - y * (value_of(x) / value_of(y)).floor(),
    aten.fmod.Tensor: lambda x, y: x - y * (value_of(x) / value_of(y)).trunc(),
    aten.prod.default: lambda x, dtype=None: product(x),
    aten.prod.dim_int: lambda x, dim, keepdim=False, dtype=None: product_along(x, dim, keepdim),
    aten.cumprod.default: lambda x, dim, dtype=None: cumulative_product(x, dim),
    aten.binary_cross_entropy.default: binary_cross_entropy,
    aten.cholesky_solve.default: solve_by_factor,
    aten.addmv.default: lambda bias, A, x, beta=1, alpha=1: beta * bias + alpha * (A @ x),
    aten.addr.default: lambda bias, x, y, beta=1, alpha=1: beta * bias + alpha * x.unsqueeze(-1) * y,
    aten._cdist_forward.default: distances,
    aten._euclidean_dist.default: lambda x, y: distances(x, y, 2.0),
    aten.linalg_cross.default: lambda x, y, dim=-1: (x * y.roll(-1, dim) - x.roll(-1, dim) * y).roll(-1, dim),
}
"""Operations whose derivatives are those of a formula, whose value would round or overflow otherwise."""
