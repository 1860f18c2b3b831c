"""Terms, the derivatives of a jet along all directions `[M, ..]`: their shapes, memory layouts and batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from frog_cli.jets.jet import Jet, NoRuleError, Rule, value_of


def aligned_terms(x: Jet, ndim: int) -> Tensor:
    """Return the derivatives with `ndim` dimensions each, so that they broadcast as the value does."""
    return x.terms if x.ndim == ndim else x.terms.reshape(len(x.terms), *[1] * (ndim - x.ndim), *x.shape)


def padded_terms(x: Tensor, count: int, ndim: int) -> Tensor:
    """Return `count` derivatives of a tensor, those that it does not have being zero, with `ndim` dimensions each."""
    zero = torch.zeros((), dtype=x.dtype, device=x.device)
    if not isinstance(x, Jet):
        return zero.expand(count, *[1] * (ndim - x.ndim), *x.shape)
    terms = aligned_terms(x, ndim)
    missing = count - len(terms)
    return torch.cat([terms, zero.expand(missing, *terms.shape[1:])]) if missing else terms


def broadcast_terms(terms: Tensor, value: Tensor) -> Tensor:
    """Return derivatives that broadcast to a value's shape in that shape, and in its type."""
    terms = terms.to(value.dtype)
    return terms if terms.shape[1:] == value.shape else terms.expand(-1, *value.shape)


def empty_terms(count: int, like: Tensor) -> Tensor:
    """Return room for `count` derivatives of a tensor, each in its memory layout."""
    dense = torch.empty_like(like, device="meta")
    return like.new_empty_strided((count, *like.shape), (like.numel(), *dense.stride()))


def with_zero_second(first: Tensor, K: int) -> Tensor:
    """Return terms whose first derivatives are given and whose second ones are zero."""
    terms = empty_terms(K + K * (K + 1) // 2, first[0])
    terms[:K] = first
    terms[K:] = 0
    return terms


def write_each_term(x: Jet, value: Tensor, write: Callable[[Tensor, Tensor], object]) -> Jet:
    """Return the jet whose derivatives are each written, to the first argument, from one of x's, the second.

    Several small operations on one derivative after the other find it in the cache; on all at once they would not.
    """
    terms = empty_terms(len(x.terms), value)
    for result, term in zip(terms, x.terms, strict=True):
        write(result, term)
    return Jet(value, terms, x.directions)


def jointly_linear(function: Callable[..., Tensor], *arguments: Any, broadcast: bool = True) -> Jet:
    """Apply an operation that is linear in all its arguments together; those that are no jets do not vary."""
    jets = [argument for argument in arguments if isinstance(argument, Jet)]
    count = max(len(jet.terms) for jet in jets)
    arguments = tuple(
        a if isinstance(a, Tensor) else torch.tensor(a, dtype=jets[0].dtype, device=jets[0].device) for a in arguments
    )
    value = function(*(value_of(argument) for argument in arguments))
    terms = function(
        *(padded_terms(argument, count, value.ndim if broadcast else argument.ndim) for argument in arguments)
    )
    return Jet(value, broadcast_terms(terms, value), jets[0].directions)


def with_value_of(operation: Callable[..., Tensor], formula: Callable[..., Any]) -> Rule:
    """Make a rule of a formula of other operations whose values round, or overflow, where the operation's do not."""

    def rule(*args: Any, **kwargs: Any) -> Jet:
        value = operation(*map(value_of, args), **{name: value_of(one) for name, one in kwargs.items()})
        found = formula(*args, **kwargs)
        return Jet(value, found.terms.to(value.dtype), found.directions)

    return rule


def from_right(dim: Any, ndim: int) -> Any:
    """Count a dimension, or several, from the right, where a leading dimension does not shift it."""
    if ndim == 0:
        raise NoRuleError("no forward-mode rule for operations along a dimension of a number")
    if isinstance(dim, (list, tuple)):
        return [from_right(one, ndim) for one in dim]
    return dim % ndim - ndim


def shared_by_batch(terms: Tensor) -> bool:
    """Return whether terms `[M, B, ..]` are, in memory, the same for all samples."""
    return terms.ndim > 2 and terms.shape[1] > 1 and terms.stride(1) == 0


def for_each_sample(function: Callable[[Tensor], Tensor], terms: Tensor) -> Tensor:
    """Apply an operation that treats samples alike to terms `[M, B, ..]`, once for the batch where they share theirs.

    The tangent of a layer's output is shared by the batch, up to the next nonlinearity.
    """
    if shared_by_batch(terms):
        shared = function(terms[:, :1])
        return shared.expand(-1, terms.shape[1], *shared.shape[2:])
    return function(terms)


def as_one_batch(terms: Tensor) -> Tensor:
    """Return terms `[M, B, ..]` as one batch `[M B, ..]`, in the memory layout that each of them has."""
    batch = terms.flatten(0, 1)
    if terms.ndim == 5 and terms[0].is_contiguous(memory_format=torch.channels_last):
        return batch.contiguous(memory_format=torch.channels_last)
    return batch


def in_one_batch(function: Callable[[Tensor], Tensor], terms: Tensor) -> Tensor:
    """Apply an operation on batches to all derivatives at once."""
    return function(as_one_batch(terms)).unflatten(0, terms.shape[:2])
