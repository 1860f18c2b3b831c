"""Rules for functions of each entry, from the value and its first two derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from frog_cli.jets.jet import Jet, Rule, pairs, value_of
from frog_cli.jets.terms import broadcast_terms, padded_terms, with_zero_second

aten = torch.ops.aten


def elementwise(formulas: Callable[..., tuple[Tensor, Tensor, Tensor | None]]) -> Rule:
    """Make the rule of a function of each entry.

    Args:
        formulas: returns value, slope and curvature, None for zero, from the plain tensor and further arguments.
    """

    def rule(x: Jet, *args: Any) -> Jet:
        return _chained(x, *formulas(x.value, *args))

    return rule


def _chained(x: Jet, value: Tensor, slope: Tensor, curvature: Tensor | None, finite: bool = True) -> Jet:
    """Apply the chain rule; where a curvature is not finite, what does not vary has none."""
    scaled = x.terms * slope
    if curvature is None or x.directions.order == 1:
        return Jet(value, scaled, x.directions)
    terms = scaled if x.second is not None else with_zero_second(scaled, x.K)
    second = iter(terms[x.K :])
    for i in range(x.K):
        bend = curvature * x.first[i] if finite else _times(curvature, x.first[i])
        for j in range(i, x.K):
            if finite:
                next(second).addcmul_(bend, x.first[j])
            else:
                next(second).add_(_times(bend, x.first[j]))
    return Jet(value, terms, x.directions)


def relu(x: Jet) -> Jet:
    """Replace negative entries by zero."""
    return Jet(x.value.relu(), aten.threshold_backward(x.terms, x.value.expand_as(x.terms), 0), x.directions)


def softplus(x: Tensor, beta: float = 1, threshold: float = 20) -> tuple[Tensor, Tensor, Tensor]:
    """Return value, slope and curvature of log(1 + exp(beta x)) / beta, which torch takes as linear for large x."""
    slope = (beta * x).sigmoid().masked_fill(x * beta > threshold, 1)
    return aten.softplus.default(x, beta, threshold), slope, beta * slope * (1 - slope)


def log_sigmoid(x: Jet) -> tuple[Jet, Tensor]:
    """Return the logarithm of the logistic function, and nothing for its reverse mode to remember."""
    slope, value = (-x.value).sigmoid(), torch.nn.functional.logsigmoid(x.value)
    return _chained(x, value, slope, -slope * x.value.sigmoid()), x.value.new_empty(0)


def randomised_leaky_relu(
    x: Jet, noise: Tensor, low: float = 1 / 8, high: float = 1 / 3, training: bool = False, generator: Any = None
) -> Jet:
    """Multiply negative entries by factors that are drawn into `noise`, in evaluation by their mean."""
    factors = value_of(noise)
    value = aten.rrelu_with_noise.default(x.value, factors, low, high, training, generator)
    slope = torch.where(x.value > 0, 1, factors if training else (low + high) / 2)
    return Jet(value, x.terms * slope, x.directions)


def gelu(x: Jet, approximate: str = "none") -> Jet:
    """Multiply by the normal distribution's cumulative function, or torch's approximation of it."""
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
        return 0.5 * x * (1 + inner.tanh())  # type: ignore[return-value]
    density = torch.exp(-0.5 * x.value.square()) / math.sqrt(2 * math.pi)
    cumulative = 0.5 * (1 + torch.erf(x.value / math.sqrt(2)))
    slope = cumulative + x.value * density
    return _chained(x, aten.gelu.default(x.value), slope, (2 - x.value.square()) * density)


def power(x: Jet, exponent: float) -> Jet:
    """Take the power of a number, whose curvature between 1 and 2 is infinite at 0."""
    a = x.value
    if exponent in (0, 1):
        return _chained(x, a.pow(exponent), torch.full_like(a, exponent), None)
    slope = exponent * (a if exponent == 2 else a.pow(exponent - 1))
    curvature = exponent * (exponent - 1) * a.pow(exponent - 2)
    return _chained(x, a.pow(exponent), slope, curvature, finite=not 1 < exponent < 2)


def general_power(operation: Any) -> Rule:
    """Make the rule of f(a, e) = a^e; what does not vary may have no derivative, as a negative base by e."""

    def rule(x: Any, exponent: Any) -> Jet:
        value = operation(value_of(x), value_of(exponent))
        a, e = (torch.as_tensor(value_of(one), dtype=value.dtype, device=value.device) for one in (x, exponent))
        jets = [one for one in (x, exponent) if isinstance(one, Jet)]
        K, count = jets[0].K, max(len(jet.terms) for jet in jets)
        x_terms, e_terms = (
            broadcast_terms(padded_terms(one, count, value.ndim), value)
            for one in (x if isinstance(x, Tensor) else a, exponent)
        )
        log = a.log()
        by_a = torch.where(e == 0, 0, e * a.pow(e - 1))
        by_e = torch.where(value == 0, 0, value * log)
        terms = _times(by_a, x_terms) + _times(by_e, e_terms)
        if jets[0].directions.order == 1:
            return Jet(value, terms, jets[0].directions)
        i, j = pairs(K, value.device)
        by_aa = torch.where(e * (e - 1) == 0, 0, e * (e - 1) * a.pow(e - 2))
        by_ae = torch.where((a == 0) & (e > 1), 0, a.pow(e - 1) * (1 + e * log))
        by_ee = torch.where(value == 0, 0, by_e * log)
        first_x, first_e = x_terms[:K], e_terms[:K]
        second = _times(by_aa, first_x[i] * first_x[j]) + _times(by_ee, first_e[i] * first_e[j])
        second = second + _times(by_ae, first_x[i] * first_e[j] + first_x[j] * first_e[i])
        terms = terms if count > K else with_zero_second(terms, K)
        terms[K:] += second
        return Jet(value, terms, jets[0].directions)

    return rule


def _times(derivative: Tensor, term: Tensor) -> Tensor:
    """Return a product that is 0 where a term is, also for derivatives that are not finite."""
    return torch.where(term == 0, 0, derivative * term)
