"""Functions of each entry: value, slope and curvature, None for zero."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from frog_cli.jets.pieces import Formula

aten = torch.ops.aten

LOG2, LOG10 = math.log(2), math.log(10)

FORMULAS: dict[Any, Callable[[Tensor], Formula]] = {
    aten.exp.default: lambda x: (value := x.exp(), value, value),
    aten.log.default: lambda x: (x.log(), inverse := x.reciprocal(), -inverse.square()),
    aten.log1p.default: lambda x: (x.log1p(), inverse := (1 + x).reciprocal(), -inverse.square()),
    aten.exp2.default: lambda x: (value := x.exp2(), slope := LOG2 * value, LOG2 * slope),
    aten.log2.default: lambda x: (x.log2(), slope := x.reciprocal() / LOG2, -slope / x),
    aten.log10.default: lambda x: (x.log10(), slope := x.reciprocal() / LOG10, -slope / x),
    aten.tan.default: lambda x: (value := x.tan(), slope := 1 + value.square(), 2 * value * slope),
    aten.sinh.default: lambda x: (value := x.sinh(), x.cosh(), value),
    aten.cosh.default: lambda x: (value := x.cosh(), x.sinh(), value),
    aten.sin.default: lambda x: (value := x.sin(), x.cos(), -value),
    aten.cos.default: lambda x: (value := x.cos(), -x.sin(), -value),
    aten.tanh.default: lambda x: (value := x.tanh(), slope := 1 - value.square(), -2 * value * slope),
    aten.sigmoid.default: lambda x: (value := x.sigmoid(), slope := value * (1 - value), slope * (1 - 2 * value)),
    aten.sqrt.default: lambda x: (value := x.sqrt(), slope := 0.5 / value, -0.5 * slope / x),
    aten.rsqrt.default: lambda x: (value := x.rsqrt(), slope := -0.5 * value / x, -1.5 * slope / x),
    aten.reciprocal.default: lambda x: (value := x.reciprocal(), slope := -value.square(), -2 * slope * value),
    aten.square.default: lambda x: (x.square(), 2 * x, torch.full_like(x, 2)),
    aten.abs.default: lambda x: (x.abs(), x.sign(), None),
    aten.erf.default: lambda x: (x.erf(), slope := 2 / math.sqrt(math.pi) * (-x.square()).exp(), -2 * x * slope),
    aten.erfc.default: lambda x: (x.erfc(), slope := -2 / math.sqrt(math.pi) * (-x.square()).exp(), -2 * x * slope),
    aten.expm1.default: lambda x: (x.expm1(), slope := x.exp(), slope),
    aten.atan.default: lambda x: (x.atan(), slope := 1 / (1 + x.square()), -2 * x * slope.square()),
    aten.asin.default: lambda x: (x.asin(), slope := (1 - x.square()).rsqrt(), x * slope**3),
    aten.acos.default: lambda x: (x.acos(), slope := -(1 - x.square()).rsqrt(), x * slope**3),
    aten.asinh.default: lambda x: (x.asinh(), slope := (1 + x.square()).rsqrt(), -x * slope**3),
    aten.acosh.default: lambda x: (x.acosh(), slope := (x.square() - 1).rsqrt(), -x * slope**3),
    aten.atanh.default: lambda x: (x.atanh(), slope := 1 / (1 - x.square()), 2 * x * slope.square()),
    aten.erfinv.default: lambda x: (
        value := x.erfinv(),
        slope := math.sqrt(math.pi) / 2 * value.square().exp(),
        2 * value * slope.square(),
    ),
    aten.lgamma.default: lambda x: (x.lgamma(), x.digamma(), x.polygamma(1)),
    aten.digamma.default: lambda x: (x.digamma(), x.polygamma(1), x.polygamma(2)),
}
