"""Rules for operations that are constant or linear, except those that only rearrange entries, which are in `shapes`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from frog_cli.jets.jet import Jet, NoRuleError, Rule, still, value_of
from frog_cli.jets.terms import (
    aligned_terms,
    broadcast_terms,
    empty_terms,
    from_right,
    in_one_batch,
    jointly_linear,
)

aten = torch.ops.aten


def constant(operation: Any) -> Rule:
    """Make the rule of a piecewise constant operation, whose result has no derivatives."""

    def rule(*args: Any, **kwargs: Any) -> Any:
        return operation(*(value_of(argument) for argument in args), **kwargs)

    return rule


def alike(operation: Any) -> Rule:
    """Make the rule of an operation that makes a tensor to be written to, with another one as its pattern."""

    def rule(x: Jet, *args: Any, **kwargs: Any) -> Any:
        value = operation(x.value, *args, **kwargs)
        return still(value, x.directions) if value.is_floating_point() and value.device == x.device else value

    return rule


def linear(operation: Any) -> Rule:
    """Make the rule of an operation that is linear in its first argument and treats leading dimensions independently.

    It acts on all derivatives at once, as on one more leading dimension.
    """

    def rule(x: Jet, *args: Any, **kwargs: Any) -> Jet:
        return Jet(operation(x.value, *args, **kwargs), operation(x.terms, *args, **kwargs), x.directions)

    return rule


def pad(x: Jet, widths: Sequence[int], value: float = 0) -> Jet:
    """Surround by a constant, whose derivatives are zero."""
    padded = aten.constant_pad_nd.default
    return Jet(padded(x.value, widths, value), padded(x.terms, widths, 0), x.directions)


def clone(x: Jet, memory_format: Any = None) -> Jet:
    """Copy."""
    return _copied(aten.clone.default, x, memory_format=memory_format)


def convert(x: Jet, **kwargs: Any) -> Any:
    """Copy to another type, device or memory layout; integers do not vary."""
    converted = aten._to_copy.default(x.value, **kwargs)
    varies = converted.is_floating_point() or converted.is_complex()
    return _copied(aten._to_copy.default, x, **kwargs) if varies else converted


def _copied(copy: Any, x: Jet, **kwargs: Any) -> Jet:
    """Copy a jet, each derivative in the memory layout that the value gets."""
    if kwargs.get("memory_format") in (None, torch.preserve_format, torch.contiguous_format):
        return linear(copy)(x, **kwargs)
    value = copy(x.value, **kwargs)
    return Jet(value, empty_terms(len(x.terms), value).copy_(x.terms), x.directions)


def reduce_dimensions(operation: Any) -> Rule:
    """Make the rule of a sum or mean over dimensions, none of which means all."""

    def rule(x: Jet, dims: Any, *args: Any, **kwargs: Any) -> Jet:
        value = operation(x.value, dims, *args, **kwargs)
        if x.ndim == 0:
            return Jet(value, x.terms.to(value.dtype), x.directions)
        dims = from_right(dims, x.ndim) if dims else list(range(-x.ndim, 0))
        return Jet(value, operation(x.terms, dims, *args, **kwargs), x.directions)

    return rule


def reduce_all(operation: Any, over_dimensions: Any) -> Rule:
    """Make the rule of a sum or mean of all entries from the same operation over dimensions."""

    def rule(x: Jet, **kwargs: Any) -> Jet:
        terms = x.terms.reshape(len(x.terms), -1)
        return Jet(operation(x.value, **kwargs), over_dimensions(terms, [1], **kwargs), x.directions)

    return rule


def pool(operation: Any) -> Rule:
    """Make the rule of an average over parts of images."""

    def rule(x: Jet, *args: Any) -> Any:
        if x.ndim == 3:
            one_image: Any = x.unsqueeze(0)
            return rule(one_image, *args).squeeze(0)
        return Jet(
            operation(x.value, *args), in_one_batch(lambda batch: operation(batch, *args), x.terms), x.directions
        )

    return rule


def embedding(
    x: Jet, indices: Tensor, padding: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Jet:
    """Look up rows, of which that of the padding is constant, as the reverse mode has it."""
    terms = x.terms[:, indices].masked_fill((indices == padding).unsqueeze(-1), 0)
    if scale_grad_by_freq:
        if x.directions.order == 2:
            raise NoRuleError("no forward-mode rule of second order for embeddings with scale_grad_by_freq")
        occurrences = torch.bincount(indices.flatten(), minlength=len(x.value))
        terms = terms / occurrences[indices].unsqueeze(-1)
    return Jet(aten.embedding.default(x.value, indices), terms, x.directions)


def dropout(x: Jet, p: float, train: bool | None) -> tuple[Jet, Tensor]:
    """Drop the same entries of the value and of all derivatives."""
    value, mask = aten.native_dropout.default(x.value, p, train)
    return Jet(value, x.terms * mask / (1 - p) if train else x.terms, x.directions), mask


def fill(x: Jet, number: Any) -> Jet:
    """Replace all entries by a constant, whose derivatives are zero."""
    return Jet(aten.fill.Scalar(x.value, number), torch.zeros_like(x.terms), x.directions)


def masked_fill(x: Jet, mask: Tensor, value: Any) -> Jet:
    """Replace entries by a constant, whose derivatives are zero."""
    result = aten.masked_fill.Scalar(x.value, mask, value)
    terms = broadcast_terms(aligned_terms(x, result.ndim), result)
    return Jet(result, terms.masked_fill(mask, 0), x.directions)


def where(condition: Tensor, x: Any, y: Any) -> Jet:
    """Choose entries of two tensors."""
    return jointly_linear(lambda a, b: torch.where(value_of(condition), a, b), x, y)


def add(operation: Any, factors: Callable[[Any], tuple[Any, Any]]) -> Rule:
    """Make the rule of a weighted sum of two tensors, one of which may be a number or a plain tensor.

    Args:
        operation: of the two and `alpha`.
        factors: returns their weights for an alpha.
    """

    def rule(x: Any, y: Any, alpha: Any = 1) -> Jet:
        if isinstance(x, Jet) and isinstance(y, Jet):
            return jointly_linear(lambda a, b: operation(a, b, alpha=alpha), x, y)
        value = operation(value_of(x), value_of(y), alpha=alpha)
        of_x, of_y = factors(alpha)
        jet, factor = (x, of_x) if isinstance(x, Jet) else (y, of_y)  # the other one does not vary
        terms = broadcast_terms(aligned_terms(jet, value.ndim), value)
        return Jet(value, terms if factor == 1 else terms * factor, jet.directions)

    return rule
