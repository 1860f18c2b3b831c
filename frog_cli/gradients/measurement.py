"""Measurement: how the slopes, the directional derivatives along k tangents, are obtained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from frog_cli.gradients.space import Tensors
from frog_cli.jets.jet import NoRuleError, measure_first_order
from frog_cli.jets.kernels import differentiable_kernels
from frog_cli.jets.transforms import measure_by_transforms
from frog_cli.modules.random_numbers import random_state, set_random_state

Function = Callable[..., tuple[Tensor, Any]]
Slopes = tuple[Tensor, Tensor, Any]
"""A value `[...]`, the slopes `[k, ...]` along k tangents, and anything else worth keeping."""


def forward(function: Function, primals: Tensors, tangents: Tensors, chunk_size: int | None = None) -> Slopes:
    """Measure slopes by forward-mode automatic differentiation: no backward pass, no stored graph.

    The value is computed once for all tangents of a pass and shared by them, which costs about 1 + k evaluations.

    Args:
        function: of `len(primals)` tensors, returning a value `[...]` and anything else worth keeping.
        primals: where to differentiate.
        tangents: the directions, for each primal a tensor `[k, *primal.shape]`.
        chunk_size: tangents per pass; bounds the memory to that many sets of activations; None for all at once.

    Returns:
        The value `[...]`, the slopes `[k, ...]`, and the function's second result.
    """
    if chunk_size is None:
        return forward_in_chunks(function, primals, lambda: [tangents])
    return forward_in_chunks(function, primals, lambda: zip(*(t.split(chunk_size) for t in tangents), strict=True))


def forward_in_chunks(function: Function, primals: Tensors, chunks: Callable[[], Iterable[Tensors]]) -> Slopes:
    """Measure slopes as `forward` does, along tangents that are made chunk by chunk, and held no longer than used."""
    random_numbers = random_state(primals[0].device)
    try:
        return _pass_by_pass(measure_first_order, function, primals, chunks(), random_numbers)
    except NoRuleError:  # an operation that torch may know
        return _pass_by_pass(measure_by_transforms, function, primals, chunks(), random_numbers)


def _pass_by_pass(
    measure: Callable[..., Slopes],
    function: Function,
    primals: Tensors,
    chunks: Iterable[Tensors],
    random_numbers: tuple[Tensor, ...],
) -> Slopes:
    """Measure along chunk after chunk with the same random numbers: one dropout mask for all tangents."""
    value, kept = torch.empty(0), None
    slopes: list[Tensor] = []
    for chunk in chunks:
        set_random_state(primals[0].device, random_numbers)
        found, slope, besides = measure(function, primals, chunk)
        if not slopes:
            value, kept = found, besides
        slopes.append(slope)
        del chunk  # before there is another one
    return value, slopes[0] if len(slopes) == 1 else torch.cat(slopes), kept


def by_differences(function: Function, primals: Tensors, tangents: Tensors, epsilon: float) -> Slopes:
    """Measure slopes by central differences: (f(x + εv) - f(x - εv)) / 2ε, from 2 k evaluations beside that of f(x).

    It needs no derivative, so it does for functions that have none; the error is of the order of ε², and the rounding
    of f divided by ε comes on top. All evaluations see the same random numbers. Zeroth-order optimisation goes by such
    slopes (Spall 1992; with random tangents of networks Malladi et al. 2023, arXiv 2305.17333).

    Args:
        function: as for `forward`.
        primals: where to measure.
        tangents: the directions, for each primal a tensor `[k, *primal.shape]`.
        epsilon: ε.

    Returns:
        As `forward`.
    """
    random_numbers = random_state(primals[0].device)
    slopes = []
    with differentiable_kernels():  # the function that other measurements see
        value, kept = function(*primals)
        for number in range(len(tangents[0])):
            sides = []
            for step in (epsilon, -epsilon):
                set_random_state(primals[0].device, random_numbers)
                beside = (x.add(tangent[number], alpha=step) for x, tangent in zip(primals, tangents, strict=True))
                sides.append(function(*beside)[0].detach())
            slopes.append((sides[0] - sides[1]) / (2 * epsilon))
    return value, torch.stack(slopes), kept


def measurement(how: str, chunk_size: int | None, epsilon: float | None) -> Callable[..., Slopes]:
    """Return `forward` in chunks, or `by_differences` with an ε if that is how slopes are measured."""
    if how != "difference":
        return partial(forward, chunk_size=chunk_size)
    assert epsilon is not None
    return partial(by_differences, epsilon=epsilon)


def share_lost(primals: Tensors, tangents: Tensors, epsilon: float) -> float:
    """Return the share of the entries of x that rounding keeps from moving to x + εv, of those where v is not 0."""
    pairs = list(zip(primals, tangents, strict=True))
    moved = sum(int((tangent != 0).sum()) for _, tangent in pairs)
    lost = sum(int(((x.add(tangent, alpha=epsilon) == x) & (tangent != 0)).sum()) for x, tangent in pairs)
    return lost / max(moved, 1)


def simulated(gradient: Tensor, tangents: Tensor) -> Tensor:
    """Compute the slopes `[..., k, m]` along tangents `[..., k, n]` from true gradients `[..., n, m]`.

    The same numbers as `forward`, unless those are per sample and the samples coupled; cheaper from two tangents on.
    Needs the gradient that frog does without.
    """
    return tangents @ gradient
