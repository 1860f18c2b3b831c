"""Rules for operations that rearrange entries: shapes, dimensions, slices, repetitions, concatenation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from frog_cli.jets.jet import Jet, Rule
from frog_cli.jets.terms import aligned_terms, broadcast_terms, from_right, jointly_linear

aten = torch.ops.aten


def reshape(operation: Any) -> Rule:
    """Make the rule of an operation that gives entries in the same order another shape."""

    def rule(x: Jet, shape: Sequence[int]) -> Jet:
        value = operation(x.value, shape)
        return Jet(value, x.terms.reshape(len(x.terms), *value.shape), x.directions)

    return rule


def expand(x: Jet, shape: Sequence[int], **kwargs: Any) -> Jet:
    """Repeat along dimensions, in memory only once."""
    value = aten.expand.default(x.value, shape, **kwargs)
    return Jet(value, broadcast_terms(aligned_terms(x, value.ndim), value), x.directions)


def along_dimensions(operation: Any, named: int = 1) -> Rule:
    """Make the rule of an operation on dimensions, which are counted from the right for the derivatives.

    Args:
        operation: whose first argument after x, or whose first ones, name dimensions.
        named: how many arguments do.
    """

    def rule(x: Jet, *args: Any, **kwargs: Any) -> Jet:
        value = operation(x.value, *args, **kwargs)
        args = (*(from_right(dim, x.ndim) for dim in args[:named]), *args[named:])
        return Jet(value, operation(x.terms, *args, **kwargs), x.directions)

    return rule


def slice_of(x: Jet, dim: int = 0, *bounds: Any) -> Jet:
    """Take a part of one dimension."""
    value = aten.slice.Tensor(x.value, dim, *bounds)
    return Jet(value, aten.slice.Tensor(x.terms, from_right(dim, x.ndim), *bounds), x.directions)


def diagonal(x: Jet, offset: int = 0, first: int = 0, second: int = 1) -> Jet:
    """Take the diagonals of the matrices in two dimensions."""
    value = aten.diagonal.default(x.value, offset, first, second)
    dims = from_right(first, x.ndim), from_right(second, x.ndim)
    return Jet(value, aten.diagonal.default(x.terms, offset, *dims), x.directions)


def gather(x: Jet, dim: int, index: Tensor, **kwargs: Any) -> Jet:
    """Take entries by their places in one dimension."""
    value = aten.gather.default(x.value, dim, index, **kwargs)
    dim, index = from_right(dim, x.ndim), index.expand(len(x.terms), *index.shape)
    return Jet(value, aten.gather.default(x.terms, dim, index, **kwargs), x.directions)


def permute(x: Jet, order: Sequence[int] | None = None) -> Jet:
    """Put the dimensions in another order, by default the reverse one."""
    order = [dim % x.ndim for dim in order] if order is not None else list(range(x.ndim))[::-1]
    return Jet(x.value.permute(order), x.terms.permute([0, *(dim + 1 for dim in order)]), x.directions)


def unsqueeze(x: Jet, dim: int) -> Jet:
    """Insert a dimension of size 1."""
    return Jet(x.value.unsqueeze(dim), x.terms.unsqueeze(from_right(dim, x.ndim + 1)), x.directions)


def squeeze(x: Jet) -> Jet:
    """Drop all dimensions of size 1."""
    value = x.value.squeeze()
    return Jet(value, x.terms.reshape(len(x.terms), *value.shape), x.directions)


def split(operation: Any) -> Rule:
    """Make the rule of an operation that cuts one dimension into parts of given sizes."""

    def rule(x: Jet, sizes: Any, dim: int = 0) -> list[Jet]:
        return _jets(operation(x.value, sizes, dim), operation(x.terms, sizes, from_right(dim, x.ndim)), x)

    return rule


def unbind(x: Jet, dim: int = 0) -> list[Jet]:
    """Take one dimension apart."""
    return _jets(aten.unbind.int(x.value, dim), aten.unbind.int(x.terms, from_right(dim, x.ndim)), x)


def _jets(values: Sequence[Tensor], terms: Sequence[Tensor], x: Jet) -> list[Jet]:
    return [Jet(value, term, x.directions) for value, term in zip(values, terms, strict=True)]


def each_term(operation: Any) -> Rule:
    """Make the rule of a linear operation that takes no leading dimension: it is applied to each derivative."""

    def rule(x: Jet, *args: Any) -> Jet:
        return Jet(operation(x.value, *args), torch.stack([operation(term, *args) for term in x.terms]), x.directions)

    return rule


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Jet:
    """Join along a dimension, where empty tensors go with others of any shape."""
    tensors = [tensor for tensor in tensors if tensor.shape != (0,)] or tensors
    dim = from_right(dim, tensors[0].ndim)
    return jointly_linear(lambda *parts: aten.cat.default(list(parts), dim), *tensors, broadcast=False)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Jet:
    """Join along a new dimension."""
    dim = from_right(dim, tensors[0].ndim + 1)
    return jointly_linear(lambda *parts: aten.stack.default(list(parts), dim), *tensors, broadcast=False)
