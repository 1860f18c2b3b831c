"""Measurement: how the slopes, the directional derivatives along k tangents, are obtained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from frog_cli.gradients.space import Tensors
from frog_cli.jets.jets import Jet, NoRuleError, evaluate
from frog_cli.jets.transforms import by_transforms
from frog_cli.modules.restoring import random_state, set_random_state

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
        return _pass_by_pass(_by_jets, function, primals, chunks(), random_numbers)
    except NoRuleError:  # an operation that torch may know
        return _pass_by_pass(by_transforms, function, primals, chunks(), random_numbers)


def _pass_by_pass(
    measure: Callable[..., Slopes],
    function: Function,
    primals: Tensors,
    chunks: Iterable[Tensors],
    random_numbers: Tensor,
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


def _by_jets(function: Function, primals: Tensors, tangents: Tensors) -> Slopes:
    value, kept = evaluate(function, primals, tangents, order=1)
    if not isinstance(value, Jet):
        return value, value.new_zeros(tangents[0].shape[0], *value.shape), kept
    return value.value, value.first, tree_map(lambda one: one.value if isinstance(one, Jet) else one, kept)


def simulated(gradient: Tensor, tangents: Tensor) -> Tensor:
    """Compute the slopes `[..., k, m]` along tangents `[..., k, n]` from true gradients `[..., n, m]`.

    The same numbers as `forward`, unless those are per sample and the samples coupled; cheaper from two tangents on.
    Needs the gradient that frog does without.
    """
    return tangents @ gradient
