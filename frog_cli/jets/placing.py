"""Rules for operations that put entries of one tensor, or numbers, at places of another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from frog_cli.jets.jet import Jet, Rule
from frog_cli.jets.terms import broadcast_terms, from_right, jointly_linear, padded_terms

aten = torch.ops.aten


def placed(operation: Any) -> Rule:
    """Make the rule of an operation that puts or adds entries at places along a dimension."""

    def rule(x: Any, dim: int, index: Tensor, source: Any, **kwargs: Any) -> Jet:
        along, dims = from_right(dim, x.ndim), x.ndim

        def place(x: Tensor, source: Tensor) -> Tensor:
            where = index if x.ndim == dims else _for_each_term(operation, index, len(x))
            return operation(x, along, where, source, **kwargs)

        return jointly_linear(place, x, source, broadcast=False)

    return rule


def filled(operation: Any) -> Rule:
    """Make the rule of an operation that puts a number, which does not vary, at places along a dimension."""

    def rule(x: Jet, dim: int, index: Tensor, number: Any) -> Jet:
        where = _for_each_term(operation, index, len(x.terms))
        terms = operation(x.terms, from_right(dim, x.ndim), where, 0)
        return Jet(operation(x.value, dim, index, number), terms, x.directions)

    return rule


def _for_each_term(operation: Any, index: Tensor, count: int) -> Tensor:
    """Return places for so many terms: a scatter has one for each entry, other operations one for each row."""
    return index.expand(count, *index.shape) if "scatter" in operation._schema.name else index


def put_at_indices(x: Any, indices: Sequence[Tensor | None], values: Any, accumulate: bool = False) -> Jet:
    """Put values where several indices, one for each dimension, point to, as an assignment to `x[i, j]` does."""
    shape = x[tuple(slice(None) if one is None else one for one in indices)].shape

    def put(x: Tensor, values: Tensor) -> Tensor:
        if x.ndim == dims:
            return aten.index_put.default(x, indices, values, accumulate)
        return torch.stack([put(one, given) for one, given in zip(x, values, strict=True)])

    dims = x.ndim
    if isinstance(values, Jet):
        count = max(len(one.terms) for one in (x, values) if isinstance(one, Jet))
        expanded = broadcast_terms(padded_terms(values, count, len(shape)), values.value.expand(shape))
        values = Jet(values.value.expand(shape), expanded, values.directions)
    else:
        values = values.expand(shape)
    return jointly_linear(put, x, values, broadcast=False)


def part_replaced(operation: Any) -> Rule:
    """Make the rule of an operation that puts a tensor where a part of another one was, along a dimension."""

    def rule(x: Any, source: Any, dim: int = 0, *where: Any) -> Jet:
        along = from_right(dim, x.ndim)
        return jointly_linear(lambda x, source: operation(x, source, along, *where), x, source, broadcast=False)

    return rule
