"""Rules for operations in place: the jet takes over the result of the operation that makes a new one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch
from torch.utils._pytree import tree_leaves

from frog_cli.jets.jet import RULES, Jet, NoRuleError, Rule
from frog_cli.jets.terms import padded_terms

aten = torch.ops.aten

IN_PLACE = (
    aten.add.Tensor,
    aten.add.Scalar,
    aten.sub.Tensor,
    aten.mul.Tensor,
    aten.div.Tensor,
    aten.copy.default,
    aten.index_put.default,
    aten.index_add.default,
    aten.index_copy.default,
    aten.scatter_add.default,
    aten.scatter.src,
    aten.zero.default,
    aten.fill.Scalar,
    aten.fill.Tensor,
    aten.masked_fill.Scalar,
    aten.clamp.default,
    aten.clamp_min.default,
    aten.clamp_min.Tensor,
    aten.clamp_max.default,
    aten.neg.default,
    aten.abs.default,
    aten.sqrt.default,
    aten.rsqrt.default,
    aten.reciprocal.default,
    aten.exp.default,
    aten.log.default,
    aten.relu.default,
    aten.leaky_relu.default,
    aten.threshold.default,
    aten.hardtanh.default,
    aten.hardsigmoid.default,
    aten.hardswish.default,
    aten.sigmoid.default,
    aten.tanh.default,
    aten.silu.default,
    aten.mish.default,
    aten.elu.default,
    aten.celu.default,
)
"""Operations whose forms in place have rules, too: arithmetic, what sets or adds entries, `inplace=True`."""


def form_in_place(operation: Any) -> Any:
    """Return the operation in place that does the same as one that makes a new tensor."""
    name = operation._schema.name.removeprefix("aten::")
    return getattr(getattr(aten, f"{name}_"), operation._overloadname)


def in_place(operation: Any) -> Rule:
    """Make the rule of the form in place of an operation; views of the same memory see what it writes."""

    def rule(x: Any, *args: Any, **kwargs: Any) -> Jet:
        if not isinstance(x, Jet):
            raise NoRuleError(
                f"{form_in_place(operation)} would write derivatives into a tensor that has none; one made by "
                "x.new_zeros or torch.empty_like can take them"
            )
        others = x.others_in_memory()
        if not all(_can_see_writes_to(x, one) for one in (x, *others)):
            raise NoRuleError(f"{form_in_place(operation)} would write into memory that is shown in other ways, too")
        given = [one for one in tree_leaves((args, kwargs)) if any(one is other for other in others)]
        if any(_overlaps(x, one) for one in given):
            raise NoRuleError(f"{form_in_place(operation)} would write where it reads")
        result = RULES[operation](x, *args, **kwargs)
        if result.shape != x.shape:
            raise NoRuleError(f"{form_in_place(operation)} would make {list(x.shape)} of {list(result.shape)}")
        result = Jet(result.value.to(x.dtype), result.terms.to(x.dtype), x.directions)
        for one in (x, *others):
            one.is_still = False
        if others:
            _write_through(x, result, others)
        else:
            x.value, x.terms = result.value, result.terms
        return x

    return rule


def _can_see_writes_to(x: Jet, other: Any) -> bool:
    """Return whether a jet shows entries of x's memory, each of them once."""
    if not isinstance(other, Jet) or other.dtype != x.dtype:
        return False
    start, of_other = (jet.value.untyped_storage().data_ptr() for jet in (x, other))
    return start == of_other and _shows_each_once(other.value)


def _shows_each_once(tensor: Tensor) -> bool:
    """Return whether no two entries are in one place: each step is longer than all smaller ones together reach."""
    reach = 0
    for step, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1 and step <= reach:
            return False
        reach += (size - 1) * step
    return True


def _overlaps(x: Jet, other: Jet) -> bool:
    """Return whether one of two in the same memory shows some entries of the other one, but not all in their order."""
    where = [(jet.value.shape, jet.value.stride(), jet.value.storage_offset()) for jet in (x, other)]
    if where[0] == where[1]:
        return False
    written = torch.zeros(x.value.untyped_storage().nbytes() // x.value.element_size(), dtype=torch.bool)
    written.as_strided(*where[0]).fill_(True)
    return bool(written.as_strided(*where[1]).any())


def _write_through(x: Jet, result: Jet, others: Sequence[Jet]) -> None:
    """Give x the entries of a result, and others what they show of these, in memory of their own."""
    shown = [(jet, jet.shape, jet.value.stride(), jet.value.storage_offset()) for jet in (*others, x)]
    start = min(offset for *_, offset in shown)
    ends = [offset + sum((n - 1) * step for n, step in zip(*where, strict=True)) for _, *where, offset in shown]
    count, size = max(len(jet.terms) for jet in (*others, result)), 1 + max(ends) - start
    values, terms = x.value.new_empty(size), x.terms.new_empty(count, size)
    places = [
        (
            values.as_strided(shape, strides, offset - start),
            terms.as_strided((count, *shape), (size, *strides), offset - start),
        )
        for _, shape, strides, offset in shown
    ]
    for (value, its_terms), jet in zip(places, (*others, result), strict=True):  # what is written comes last
        value.copy_(jet.value)
        its_terms.copy_(padded_terms(jet, count, jet.ndim))
    for (value, its_terms), (jet, *_) in zip(places, shown, strict=True):
        jet.value, jet.terms = value, its_terms


def transpose_in_place(x: Any, *dims: int) -> Jet:
    """Swap two dimensions of the jet itself."""
    if not isinstance(x, Jet) or x.others_in_memory():
        raise NoRuleError("transpose_ would be of a tensor that has no derivatives, or that a view shows, too")
    swapped = RULES[aten.transpose.int](x, *dims)
    x.value, x.terms = swapped.value, swapped.terms
    with no_dispatch():  # of the jet's own shape
        aten.transpose_.default(x, *dims)
    return x


def as_strided_in_place(x: Jet, size: Sequence[int], stride: Sequence[int], offset: int | None = None) -> Jet:
    """Give other strides to dimensions of one entry, as torch does to means of images that lie channels last."""
    entries = zip(size, stride, x.stride(), strict=False)
    if list(size) != list(x.shape) or offset or any(n > 1 and new != old for n, new, old in entries):
        raise NoRuleError("no forward-mode rule for as_strided_ to other entries")
    x.value = x.value.as_strided(size, stride)
    with no_dispatch():  # of the jet's own strides
        aten.as_strided_.default(x, size, stride)
    return x
