"""Forward mode of first and second order: truncated Taylor jets through ordinary modules and functions.

A jet is what a function of K small numbers e_1..e_K looks like up to second order: its value, its K first derivatives
and its K (K + 1) / 2 second ones,

    x = x_0 + sum_i e_i x_i + sum_{i <= j} e_i e_j x_ij / (1 + [i = j]),

the hyper-dual numbers of arXiv 2408.10419, Section 4, for all pairs of directions at once: no value and no first
derivative is computed again for a pair. Jets of first order end before the last sum. A `Jet` is a tensor; torch hands
every operation on one to the rules below, which are grouped by kind.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import _SingleLevelFunction
from torch.utils._mode_utils import no_dispatch
from torch.utils._pytree import tree_leaves, tree_map

from frog_cli.engine.attention import attention_jet
from frog_cli.engine.products import matrix_product
from frog_cli.jets.kernels import attention_by_rule
from frog_cli.jets.refusals import check_torch_knows, without_reverse_passes

aten = torch.ops.aten

Rule = Callable[..., Any]
RULES: dict[Any, Rule] = {}


class Directions(NamedTuple):
    """How many directions jets are taken along, and to which order, 1 or 2."""

    number: int
    order: int


class Jet(torch.Tensor):
    """A value `[*S]` with its derivatives along K directions.

    Attributes:
        value: the value, a plain tensor `[*S]`.
        terms: the derivatives: the first ones `[K, *S]`, followed by the second ones, `[K + K (K + 1) / 2, *S]`,
            in the order of `pairs(K)`, unless those are all zero or the order is 1.
        directions: how many directions there are, and the order.
    """

    value: Tensor
    terms: Tensor
    directions: Directions
    _same_memory: list[weakref.ref[Jet]]  # this jet and those that would be views of one tensor

    @staticmethod
    def __new__(cls, value: Tensor, terms: Tensor, directions: Directions) -> Jet:
        """Make a jet from a plain value and its derivatives."""
        jet: Jet = torch.Tensor._make_wrapper_subclass(
            cls, value.shape, strides=value.stride(), dtype=value.dtype, device=value.device
        )
        jet.value, jet.terms, jet.directions = value, terms, directions
        jet._same_memory = [weakref.ref(jet)]
        return jet

    @property
    def K(self) -> int:  # noqa: N802
        """The number of directions."""
        return self.directions.number

    @property
    def first(self) -> Tensor:
        """The first derivatives `[K, *S]`."""
        return self.terms[: self.K] if len(self.terms) > self.K else self.terms

    @property
    def second(self) -> Tensor | None:
        """The second derivatives `[K (K + 1) / 2, *S]`, None if all are zero."""
        return self.terms[self.K :] if len(self.terms) > self.K else None

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Jet({self.value!r}, {self.directions})"

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        """Apply the rule of an operation."""
        if function not in RULES:
            check_torch_knows(function, args, kwargs or {})
            raise NoRuleError(f"no forward-mode rule for the operation {function}; see {__name__}")
        kwargs = kwargs or {}
        if not torch.is_grad_enabled():  # the model says that here nothing is to be differentiated
            if function._schema.is_mutable:
                raise NoRuleError(f"{function} would write into a tensor with derivatives, without a gradient")
            return function(*tree_map(_value, args), **tree_map(_value, kwargs))
        result = RULES[function](function, *args, **kwargs)
        if any(isinstance(one, Jet) and one.is_complex() for one in tree_leaves(result)):
            raise NoRuleError(f"no forward-mode rule for complex numbers, which {function} makes")
        if function.is_view:
            for view in result if isinstance(result, list) else [result]:
                view._same_memory = args[0]._same_memory
                view._same_memory.append(weakref.ref(view))
        return result

    def seen_elsewhere(self) -> bool:
        """Return whether a write to this jet ought to change another one, which its rule would not do."""
        return any(jet() is not None and jet() is not self for jet in self._same_memory)


@cache
def pairs(K: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the indices i and j of the pairs i <= j, in the order of the second derivatives."""
    first, second = torch.triu_indices(K, K, device=device)
    return first, second


class NoRuleError(NotImplementedError):
    """An operation that jets cannot pass through."""


def evaluate(function: Callable[..., Any], primals: Sequence[Tensor], tangents: Sequence[Tensor], order: int) -> Any:
    """Return a function's result for jets around a point: whatever depends on the point in it is a `Jet`.

    Args:
        function: of `len(primals)` tensors.
        primals: the point.
        tangents: the directions V, for each primal a tensor `[K, *primal.shape]`.
        order: 1 or 2.

    An operation without a rule raises NoRuleError with its name. What the function does under `torch.no_grad` or to
    `x.detach()` does not count, as for the other modes; tensors that it holds should not require gradients.
    """
    directions = Directions(tangents[0].shape[0], order)
    with torch.enable_grad(), attention_by_rule(), _without_derivatives_of_others(), without_reverse_passes():
        return function(*(Jet(p.detach(), tangent, directions) for p, tangent in zip(primals, tangents, strict=True)))


@contextmanager
def _without_derivatives_of_others() -> Iterator[None]:
    """Refuse a `torch.autograd.Function` for jets: its derivative is its author's, not that of its operations."""

    def refuse(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(argument, Jet) for argument in args):
            raise NoRuleError(f"no forward-mode rule for {cls.__qualname__}, which has a derivative of its own")
        function: Any = super(_SingleLevelFunction, cls)
        return function.apply(*args, **kwargs)

    # what `Function.apply` calls, also through a name that somebody gave it earlier
    level: Any = _SingleLevelFunction
    level.apply = classmethod(refuse)
    try:
        yield
    finally:
        del level.apply


def measure_second_order(
    function: Callable[..., Tensor], primals: Sequence[Tensor], tangents: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Measure value, slopes and curvature of a function along K directions in one forward pass.

    Args:
        function: of `len(primals)` tensors, returning one tensor `[*S]`, a scalar or not.
        primals: where to differentiate.
        tangents: the directions V, for each primal a tensor `[K, *primal.shape]`.

    Returns:
        The value `[*S]`, the slopes V g `[*S, K]`, and the curvature V H V^T `[*S, K, K]`, with gradient g and
        Hessian H of each entry.

    An operation without a rule raises NoRuleError with its name.
    """
    K = tangents[0].shape[0]
    result = evaluate(function, primals, tangents, order=2)
    curvature = _value(result).new_zeros(*result.shape, K, K)
    if not isinstance(result, Jet):
        return result, result.new_zeros(*result.shape, K), curvature
    i, j = pairs(K, result.device)
    if result.second is not None:
        curvature[..., i, j] = curvature[..., j, i] = result.second.movedim(0, -1)
    return result.value, result.first.movedim(0, -1), curvature


def _rule(*operations: Any) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(operations, rule))
        return rule

    return register


def _value(x: Any) -> Any:
    """Return the value of a jet, and anything else as it is."""
    return x.value if isinstance(x, Jet) else x


# Piecewise constant operations: no derivatives.


@_rule(
    aten.eq.Scalar, aten.eq.Tensor, aten.ne.Scalar, aten.ne.Tensor, aten.gt.Scalar, aten.gt.Tensor, aten.ge.Scalar,
    aten.ge.Tensor, aten.lt.Scalar, aten.lt.Tensor, aten.le.Scalar, aten.le.Tensor, aten.argmax.default,
    aten.argmin.default, aten.sign.default, aten.isfinite.default, aten.isnan.default, aten.zeros_like.default,
    aten.ones_like.default, aten.new_zeros.default, aten.new_ones.default, aten.new_empty.default,
    aten.empty_like.default, aten.full_like.default, aten.floor.default, aten.round.default, aten.detach.default,
)  # fmt: skip
def _constant(function: Any, *args: Any, **kwargs: Any) -> Any:
    return function(*(_value(argument) for argument in args), **kwargs)


# Operations that are linear in their first argument act on all derivatives at once, as on one more leading dimension.


@_rule(
    aten.neg.default, aten.alias.default, aten.lift_fresh.default, aten.mul.Scalar,
    aten.div.Scalar, aten.triu.default, aten.tril.default,
)  # fmt: skip
def _linear(function: Any, x: Jet, *args: Any, **kwargs: Any) -> Jet:
    """Apply an operation that treats leading dimensions independently."""
    return Jet(function(x.value, *args, **kwargs), function(x.terms, *args, **kwargs), x.directions)


@_rule(aten.constant_pad_nd.default)
def _pad(function: Any, x: Jet, widths: Sequence[int], value: float = 0) -> Jet:
    return Jet(function(x.value, widths, value), function(x.terms, widths, 0), x.directions)


@_rule(aten.clone.default)
def _clone(function: Any, x: Jet, memory_format: Any = None) -> Jet:
    return _copied(function, x, memory_format=memory_format)


@_rule(aten._to_copy.default)
def _convert(function: Any, x: Jet, **kwargs: Any) -> Any:
    converted = function(x.value, **kwargs)
    varies = converted.is_floating_point() or converted.is_complex()
    return _copied(function, x, **kwargs) if varies else converted


def _copied(function: Any, x: Jet, **kwargs: Any) -> Jet:
    """Copy a jet, each derivative in the memory layout that the value gets."""
    if kwargs.get("memory_format") in (None, torch.preserve_format, torch.contiguous_format):
        return _linear(function, x, **kwargs)
    value = function(x.value, **kwargs)
    return Jet(value, _empty_terms(len(x.terms), value).copy_(x.terms), x.directions)


@_rule(aten.view.default, aten._unsafe_view.default, aten.reshape.default, aten.expand.default)
def _reshape(function: Any, x: Jet, shape: Sequence[int], **kwargs: Any) -> Jet:
    value = function(x.value, shape, **kwargs)
    if function is aten.expand.default:
        terms = _broadcast(_aligned(x, value.ndim), value)
    else:
        terms = x.terms.reshape(len(x.terms), *value.shape)
    return Jet(value, terms, x.directions)


@_rule(
    aten.transpose.int, aten.slice.Tensor, aten.select.int, aten.squeeze.dim, aten.squeeze.dims, aten.sum.dim_IntList,
    aten.mean.dim, aten.gather.default, aten.index_select.default, aten.cumsum.default, aten.flip.default,
    aten.diagonal.default, aten.unfold.default,
)  # fmt: skip
def _along_dimensions(function: Any, x: Jet, *args: Any, **kwargs: Any) -> Jet:
    """Apply an operation whose next arguments name dimensions, which are counted from the right for the derivatives."""
    value = function(x.value, *args, **kwargs)
    named = 2 if function in (aten.transpose.int, aten.diagonal.default) else 1
    if function is aten.diagonal.default:
        args = (args[0] if args else 0, *(args[1:] or (0, 1)))
        args = (args[0], *(_from_right(dim, x.ndim) for dim in args[1:]))
    elif function is aten.slice.Tensor:
        args = (_from_right(args[0] if args else 0, x.ndim), *args[1:])
    elif x.ndim == 0 and function in (aten.sum.dim_IntList, aten.mean.dim):
        return Jet(value, x.terms.to(value.dtype), x.directions)
    elif function in (aten.sum.dim_IntList, aten.mean.dim) and not args[0]:
        args = (list(range(-x.ndim, 0)), *args[1:])
    else:
        args = (*(_from_right(dim, x.ndim) for dim in args[:named]), *args[named:])
    if function is aten.gather.default:
        index = args[1]
        args = (args[0], index.expand(len(x.terms), *index.shape), *args[2:])
    return Jet(value, function(x.terms, *args, **kwargs), x.directions)


@_rule(aten.t.default, aten.permute.default)
def _permute(function: Any, x: Jet, order: Sequence[int] | None = None) -> Jet:
    order = [dim % x.ndim for dim in order] if order is not None else list(range(x.ndim))[::-1]
    return Jet(x.value.permute(order), x.terms.permute([0, *(dim + 1 for dim in order)]), x.directions)


@_rule(aten.unsqueeze.default)
def _unsqueeze(function: Any, x: Jet, dim: int) -> Jet:
    return Jet(x.value.unsqueeze(dim), x.terms.unsqueeze(_from_right(dim, x.ndim + 1)), x.directions)


@_rule(aten.squeeze.default)
def _squeeze(function: Any, x: Jet) -> Jet:
    value = x.value.squeeze()
    return Jet(value, x.terms.reshape(len(x.terms), *value.shape), x.directions)


@_rule(aten.sum.default, aten.mean.default)
def _reduce(function: Any, x: Jet, **kwargs: Any) -> Jet:
    reduce = aten.sum.dim_IntList if function is aten.sum.default else aten.mean.dim
    terms = x.terms.reshape(len(x.terms), -1)
    return Jet(function(x.value, **kwargs), reduce(terms, [1], **kwargs), x.directions)


@_rule(aten.split.Tensor, aten.unsafe_split.Tensor, aten.split_with_sizes.default, aten.unbind.int)
def _to_many(function: Any, x: Jet, *args: Any) -> list[Jet]:
    named = 0 if function is aten.unbind.int else 1
    dim = args[named] if len(args) > named else 0
    values = function(x.value, *args)
    terms = function(x.terms, *args[:named], _from_right(dim, x.ndim))
    return [Jet(value, term, x.directions) for value, term in zip(values, terms, strict=True)]


@_rule(aten.avg_pool2d.default, aten._adaptive_avg_pool2d.default)
def _pool(function: Any, x: Jet, *args: Any) -> Jet:
    return Jet(function(x.value, *args), _in_batch(lambda batch: function(batch, *args), x.terms), x.directions)


@_rule(aten.embedding.default)
def _embedding(
    function: Any, x: Jet, indices: Tensor, padding: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Jet:
    terms = x.terms[:, indices].masked_fill((indices == padding).unsqueeze(-1), 0)  # as the reverse mode has it
    if scale_grad_by_freq:
        if x.directions.order == 2:
            raise NoRuleError("no forward-mode rule of second order for embeddings with scale_grad_by_freq")
        occurrences = torch.bincount(indices.flatten(), minlength=len(x.value))
        terms = terms / occurrences[indices].unsqueeze(-1)
    return Jet(function(x.value, indices), terms, x.directions)


@_rule(aten.index.Tensor, aten.repeat.default, aten.roll.default)
def _term_by_term(function: Any, x: Jet, *args: Any) -> Jet:
    return Jet(function(x.value, *args), torch.stack([function(term, *args) for term in x.terms]), x.directions)


@_rule(aten.nll_loss_forward.default, aten.nll_loss2d_forward.default)
def _nll_loss(function: Any, x: Jet, *args: Any) -> tuple[Jet, Tensor]:
    loss, total_weight = function(x.value, *args)
    return Jet(loss, torch.stack([function(term, *args)[0] for term in x.terms]), x.directions), total_weight


@_rule(aten.native_dropout.default)
def _dropout(function: Any, x: Jet, p: float, train: bool | None) -> tuple[Jet, Tensor]:
    value, mask = function(x.value, p, train)
    return Jet(value, x.terms * mask / (1 - p) if train else x.terms, x.directions), mask


@_rule(aten.masked_fill.Scalar)
def _masked_fill(function: Any, x: Jet, mask: Tensor, value: Any) -> Jet:
    result = function(x.value, mask, value)
    return Jet(result, _broadcast(_aligned(x, result.ndim), result).masked_fill(mask, 0), x.directions)


@_rule(aten.where.self)
def _where(function: Any, condition: Tensor, x: Any, y: Any) -> Jet:
    return _sum_of(lambda a, b: torch.where(_value(condition), a, b), x, y)


@_rule(aten.cat.default, aten.stack.default)
def _concatenate(function: Any, tensors: Sequence[Tensor], dim: int = 0) -> Jet:
    if function is aten.cat.default:  # which takes empty ones with others of any shape
        tensors = [tensor for tensor in tensors if tensor.shape != (0,)] or tensors
    dim = _from_right(dim, tensors[0].ndim + (function is aten.stack.default))
    return _sum_of(lambda *parts: function(list(parts), dim), *tensors, broadcast=False)


@_rule(aten.add.Tensor, aten.sub.Tensor, aten.rsub.Scalar, aten.add.Scalar, aten.sub.Scalar, aten.rsub.Tensor)
def _add(function: Any, x: Any, y: Any, alpha: Any = 1) -> Jet:
    if isinstance(x, Jet) and isinstance(y, Jet):
        return _sum_of(lambda a, b: function(a, b, alpha=alpha), x, y)
    value = function(_value(x), _value(y), alpha=alpha)
    factors = {aten.add: (1, alpha), aten.sub: (1, -alpha), aten.rsub: (-alpha, 1)}[function.overloadpacket]
    jet, factor = (x, factors[0]) if isinstance(x, Jet) else (y, factors[1])  # the other one does not vary
    terms = _broadcast(_aligned(jet, value.ndim), value)
    return Jet(value, terms if factor == 1 else terms * factor, jet.directions)


def _sum_of(function: Callable[..., Tensor], *arguments: Any, broadcast: bool = True) -> Jet:
    """Apply an operation that is linear in all its arguments together; those that are no jets do not vary."""
    jets = [argument for argument in arguments if isinstance(argument, Jet)]
    count = max(len(jet.terms) for jet in jets)
    arguments = tuple(
        a if isinstance(a, Tensor) else torch.tensor(a, dtype=jets[0].dtype, device=jets[0].device) for a in arguments
    )
    value = function(*(_value(argument) for argument in arguments))
    terms = function(*(_padded(argument, count, value.ndim if broadcast else argument.ndim) for argument in arguments))
    return Jet(value, _broadcast(terms, value), jets[0].directions)


def _add_to(result: Any, x: Tensor) -> Jet:
    """Add a tensor, which broadcasts to a result that nobody else holds, in place where it has all of its terms."""
    if isinstance(x, Jet):
        if not isinstance(result, Jet) or len(x.terms) > len(result.terms) or _shared_by_batch(result.terms):
            return result + x
        result.terms[: len(x.terms)] += _aligned(x, result.ndim)
    result.value.add_(_value(x))
    return result


def _padded(x: Tensor, count: int, ndim: int) -> Tensor:
    """Return `count` derivatives of a tensor, those that it does not have being zero, with `ndim` dimensions each."""
    zero = torch.zeros((), dtype=x.dtype, device=x.device)
    if not isinstance(x, Jet):
        return zero.expand(count, *[1] * (ndim - x.ndim), *x.shape)
    terms = _aligned(x, ndim)
    missing = count - len(terms)
    return torch.cat([terms, zero.expand(missing, *terms.shape[1:])]) if missing else terms


def _aligned(x: Jet, ndim: int) -> Tensor:
    """Return the derivatives with `ndim` dimensions each, so that they broadcast as the value does."""
    return x.terms if x.ndim == ndim else x.terms.reshape(len(x.terms), *[1] * (ndim - x.ndim), *x.shape)


def _broadcast(terms: Tensor, value: Tensor) -> Tensor:
    """Return derivatives that broadcast to a value's shape in that shape, and in its type."""
    terms = terms.to(value.dtype)
    return terms if terms.shape[1:] == value.shape else terms.expand(-1, *value.shape)


def _from_right(dim: Any, ndim: int) -> Any:
    """Count a dimension, or several, from the right, where a leading dimension does not shift it."""
    if ndim == 0:
        raise NoRuleError("no forward-mode rule for operations along a dimension of a number")
    if isinstance(dim, (list, tuple)):
        return [_from_right(one, ndim) for one in dim]
    return dim % ndim - ndim


def _shared_by_batch(terms: Tensor) -> bool:
    """Return whether terms `[M, B, ..]` are, in memory, the same for all samples."""
    return terms.ndim > 2 and terms.shape[1] > 1 and terms.stride(1) == 0


def _for_each_sample(function: Callable[[Tensor], Tensor], terms: Tensor) -> Tensor:
    """Apply an operation that treats samples alike to terms `[M, B, ..]`, once for the batch where they share theirs.

    The tangent of a layer's output is shared by the batch, up to the next nonlinearity.
    """
    if _shared_by_batch(terms):
        shared = function(terms[:, :1])
        return shared.expand(-1, terms.shape[1], *shared.shape[2:])
    return function(terms)


def _batched(terms: Tensor) -> Tensor:
    """Return terms `[M, B, ..]` as one batch `[M B, ..]`, in the memory layout that each of them has."""
    batch = terms.flatten(0, 1)
    if terms.ndim == 5 and terms[0].is_contiguous(memory_format=torch.channels_last):
        return batch.contiguous(memory_format=torch.channels_last)
    return batch


def _in_batch(function: Callable[[Tensor], Tensor], terms: Tensor) -> Tensor:
    """Apply an operation on batches to all derivatives at once."""
    return function(_batched(terms)).unflatten(0, terms.shape[:2])


# Bilinear operations: the product rule. Terms are added where they end up, so that a step holds its operands and its
# result, and no third set of terms.


Bilinear = Callable[[Tensor, Tensor], Tensor]


def _product(x: Any, y: Any, multiply: Bilinear, add_product: Callable[..., Any]) -> Jet:
    """Return the jet of a bilinear operation.

    Args:
        x: the first factor.
        y: the second factor; one of the two may be a plain tensor, which does not vary.
        multiply: the operation, which treats a leading dimension of one factor independently.
        add_product: adds to its first argument alpha times the operation on the other two.
    """
    value = multiply(_value(x), _value(y))
    if not isinstance(y, Jet):
        return Jet(value, multiply(_aligned(x, value.ndim), y), x.directions)
    if not isinstance(x, Jet):
        return Jet(value, multiply(_value(x), _aligned(y, value.ndim)), y.directions)
    x_first, y_terms = _aligned(x, value.ndim)[: x.K], _aligned(y, value.ndim)
    scaled = multiply(_aligned(x, value.ndim), y.value)
    scaled = scaled.contiguous() if _shared_by_batch(scaled) else scaled  # it is written to
    needs_second = x.directions.order == 2 and x.second is None
    terms = _with_second(scaled, x.K) if needs_second else scaled
    for term, y_term in zip(terms, y_terms, strict=False):  # y may have no second ones
        add_product(term, x.value, y_term, alpha=1)
    for term, (i, j) in zip(terms[x.K :], combinations_with_replacement(range(x.K), 2), strict=False):  # if any
        add_product(term, x_first[i], y_terms[j], alpha=2 if i == j else 1)
        if i != j:
            add_product(term, x_first[j], y_terms[i], alpha=1)
    return Jet(value, terms, x.directions)


def _term_wise(x: Jet, value: Tensor, write: Callable[[Tensor, Tensor], object]) -> Jet:
    """Return the jet whose derivatives are each written, to the first argument, from one of x's, the second.

    Several small operations on one derivative after the other find it in the cache; on all at once they would not.
    """
    terms = _empty_terms(len(x.terms), value)
    for result, term in zip(terms, x.terms, strict=True):
        write(result, term)
    return Jet(value, terms, x.directions)


def _with_second(first: Tensor, K: int) -> Tensor:
    """Return terms whose first derivatives are given and whose second ones are zero."""
    terms = _empty_terms(K + K * (K + 1) // 2, first[0])
    terms[:K] = first
    terms[K:] = 0
    return terms


def _empty_terms(count: int, like: Tensor) -> Tensor:
    """Return room for `count` derivatives of a tensor, each in its memory layout."""
    dense = torch.empty_like(like, device="meta")
    return like.new_empty_strided((count, *like.shape), (like.numel(), *dense.stride()))


@_rule(aten.mm.default, aten.bmm.default, aten.matmul.default, aten.mv.default, aten.dot.default)
def _matrix_product(function: Any, x: Any, y: Any) -> Jet:
    if x.ndim == 1:
        return (x.unsqueeze(0) @ y).squeeze(-2 if y.ndim > 1 else -1)
    if y.ndim == 1:
        return (x @ y.unsqueeze(-1)).squeeze(-1)
    if x.ndim > y.ndim == 2:
        return (x.flatten(0, -2) @ y).unflatten(0, x.shape[:-1])
    if x.ndim > 3 or x.shape[:-2] != y.shape[:-2]:
        batch = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        x, y = (factor.expand(*batch, *factor.shape[-2:]).reshape(-1, *factor.shape[-2:]) for factor in (x, y))
        return (x @ y).view(*batch, x.shape[-2], y.shape[-1])
    if x.ndim > 2:
        return _product(x, y, matrix_product, Tensor.baddbmm_)

    def multiply(left: Tensor, right: Tensor) -> Tensor:
        if left.ndim > 2:
            return _for_each_sample(lambda terms: matrix_product(terms, right), left)
        return matrix_product(left, right)

    return _product(x, y, multiply, Tensor.addmm_)


@_rule(aten.linear.default)
def _affine(function: Any, x: Any, weight: Any, bias: Any = None) -> Jet:
    product = x @ weight.t()
    return product if bias is None else _add_to(product, bias)


@_rule(aten.mul.Tensor)
def _multiply(function: Any, x: Any, y: Any) -> Jet:
    if not (isinstance(x, Tensor) and isinstance(y, Tensor)):
        jet, factor = (x, y) if isinstance(x, Jet) else (y, x)
        return Jet(jet.value * factor, jet.terms * factor, jet.directions)
    return _product(x, y, torch.mul, lambda term, a, b, alpha: term.addcmul_(a, b, value=alpha))


@_rule(aten.div.Tensor)
def _divide(function: Any, x: Any, y: Any) -> Jet:
    if isinstance(y, Jet):
        return _multiply(aten.mul.Tensor, x, y.reciprocal())
    value = x.value / y  # not times the reciprocal, which is rounded to the precision of y
    return Jet(value, _aligned(x, value.ndim) / y, x.directions)


@_rule(aten.addmm.default, aten.baddbmm.default)
def _add_product(function: Any, bias: Any, x: Any, y: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    product = x @ y
    return bias * beta + product * alpha if (beta, alpha) != (1, 1) else _add_to(product, bias)


@_rule(aten.convolution.default)
def _convolution(
    function: Any, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int,
) -> Jet:  # fmt: skip
    def convolve(x: Tensor, weight: Tensor) -> Tensor:
        alike = torch.empty_like(_value(jet_or_weight)).copy_(weight)  # so that all results have one memory layout
        return function(x, alike, None, stride, padding, dilation, transposed, output_padding, groups)

    def convolve_all(x: Tensor, weight: Tensor) -> Tensor:
        """Convolve where one of the two may have a leading dimension of terms."""
        if x.ndim > images:
            return _for_each_sample(lambda terms: _in_batch(lambda batch: convolve(batch, weight), terms), x)
        if weight.ndim == images:
            return convolve(x, weight)
        convolved = [convolve(x, one) for one in weight]  # faster than with all as one weight
        terms = _empty_terms(len(weight), convolved[0])
        for term, one in zip(terms, convolved, strict=True):
            term.copy_(one)
        return terms

    images, jet_or_weight = x.ndim, weight
    if not (isinstance(x, Jet) or isinstance(weight, Jet)):
        product: Any = convolve(x, weight)
    else:
        product = _product(
            x, weight, convolve_all, lambda term, x, weight, alpha: term.add_(convolve(x, weight), alpha=alpha)
        )
    return product if bias is None else _add_to(product, bias.reshape(-1, *[1] * (images - 2)))


# Elementwise operations, from the value and its first two derivatives; None stands for zero.


def _elementwise(x: Jet, value: Tensor, slope: Tensor, curvature: Tensor | None) -> Jet:
    scaled = x.terms * slope
    if curvature is None or x.directions.order == 1:
        return Jet(value, scaled, x.directions)
    terms = scaled if x.second is not None else _with_second(scaled, x.K)
    second = iter(terms[x.K :])
    for i in range(x.K):
        bend = curvature * x.first[i]
        for j in range(i, x.K):
            next(second).addcmul_(bend, x.first[j])
    return Jet(value, terms, x.directions)


@_rule(aten.exp.default)
def _exp(function: Any, x: Jet) -> Jet:
    value = x.value.exp()
    return _elementwise(x, value, value, value)


@_rule(aten.log.default)
def _log(function: Any, x: Jet) -> Jet:
    inverse = x.value.reciprocal()
    return _elementwise(x, x.value.log(), inverse, -inverse.square())


@_rule(aten.log1p.default)
def _log1p(function: Any, x: Jet) -> Jet:
    inverse = (1 + x.value).reciprocal()
    return _elementwise(x, x.value.log1p(), inverse, -inverse.square())


@_rule(aten.sin.default)
def _sin(function: Any, x: Jet) -> Jet:
    value = x.value.sin()
    return _elementwise(x, value, x.value.cos(), -value)


@_rule(aten.cos.default)
def _cos(function: Any, x: Jet) -> Jet:
    value = x.value.cos()
    return _elementwise(x, value, -x.value.sin(), -value)


@_rule(aten.tanh.default)
def _tanh(function: Any, x: Jet) -> Jet:
    value = x.value.tanh()
    slope = 1 - value.square()
    return _elementwise(x, value, slope, -2 * value * slope)


@_rule(aten.sigmoid.default)
def _sigmoid(function: Any, x: Jet) -> Jet:
    value = x.value.sigmoid()
    slope = value * (1 - value)
    return _elementwise(x, value, slope, slope * (1 - 2 * value))


@_rule(aten.silu.default)
def _silu(function: Any, x: Jet) -> Jet:
    return x * x.sigmoid()  # type: ignore[return-value]


@_rule(aten.softplus.default)
def _softplus(function: Any, x: Jet, beta: float = 1, threshold: float = 20) -> Jet:
    slope = (beta * x.value).sigmoid().masked_fill(x.value * beta > threshold, 1)
    return _elementwise(x, function(x.value, beta, threshold), slope, beta * slope * (1 - slope))


@_rule(aten.gelu.default)
def _gelu(function: Any, x: Jet, approximate: str = "none") -> Jet:
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
        return 0.5 * x * (1 + inner.tanh())  # type: ignore[return-value]
    density = torch.exp(-0.5 * x.value.square()) / math.sqrt(2 * math.pi)
    cumulative = 0.5 * (1 + torch.erf(x.value / math.sqrt(2)))
    slope = cumulative + x.value * density
    return _elementwise(x, function(x.value), slope, (2 - x.value.square()) * density)


@_rule(aten.sqrt.default)
def _sqrt(function: Any, x: Jet) -> Jet:
    value = x.value.sqrt()
    slope = 0.5 / value
    return _elementwise(x, value, slope, -0.5 * slope / x.value)


@_rule(aten.rsqrt.default)
def _rsqrt(function: Any, x: Jet) -> Jet:
    value = x.value.rsqrt()
    slope = -0.5 * value / x.value
    return _elementwise(x, value, slope, -1.5 * slope / x.value)


@_rule(aten.reciprocal.default)
def _reciprocal(function: Any, x: Jet) -> Jet:
    value = x.value.reciprocal()
    slope = -value.square()
    return _elementwise(x, value, slope, -2 * slope * value)


@_rule(aten.square.default)
def _square(function: Any, x: Jet) -> Jet:
    return _elementwise(x, x.value.square(), 2 * x.value, torch.full_like(x.value, 2))


@_rule(aten.pow.Tensor_Scalar)
def _pow(function: Any, x: Jet, exponent: float) -> Jet:
    if exponent in (0, 1):
        return _elementwise(x, x.value.pow(exponent), torch.full_like(x.value, exponent), None)
    slope = exponent * (x.value if exponent == 2 else x.value.pow(exponent - 1))
    return _elementwise(x, x.value.pow(exponent), slope, exponent * (exponent - 1) * x.value.pow(exponent - 2))


@_rule(aten.pow.Tensor_Tensor, aten.pow.Scalar)
def _general_pow(function: Any, x: Any, exponent: Any) -> Jet:
    """Apply the chain rule for f(a, e) = a^e; what does not vary may have no derivative, as a negative base by e."""
    value = function(_value(x), _value(exponent))
    a, e = (torch.as_tensor(_value(one), dtype=value.dtype, device=value.device) for one in (x, exponent))
    jets = [one for one in (x, exponent) if isinstance(one, Jet)]
    K, count = jets[0].K, max(len(jet.terms) for jet in jets)
    x_terms, e_terms = (
        _broadcast(_padded(one, count, value.ndim), value) for one in (x if isinstance(x, Tensor) else a, exponent)
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
    terms = terms if count > K else _with_second(terms, K)
    terms[K:] += second
    return Jet(value, terms, jets[0].directions)


def _times(derivative: Tensor, term: Tensor) -> Tensor:
    """Return a product that is 0 where a term is, also for derivatives that are not finite."""
    return torch.where(term == 0, 0, derivative * term)


@_rule(aten.relu.default)
def _relu(function: Any, x: Jet) -> Jet:
    return Jet(x.value.relu(), aten.threshold_backward(x.terms, x.value.expand_as(x.terms), 0), x.directions)


@_rule(aten.leaky_relu.default)
def _leaky_relu(function: Any, x: Jet, negative_slope: float = 0.01) -> Jet:
    slope = torch.ones_like(x.value).masked_fill(x.value <= 0, negative_slope)
    return _elementwise(x, x.value * slope, slope, None)


@_rule(aten.elu.default)
def _elu(function: Any, x: Jet, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Jet:
    value = function(x.value, alpha, scale, input_scale)
    curve = torch.where(x.value > 0, 0, alpha * scale * input_scale * (input_scale * x.value).exp())
    slope = torch.where(x.value > 0, scale, curve)
    return _elementwise(x, value, slope, input_scale * curve)


@_rule(aten.mish.default)
def _mish(function: Any, x: Jet) -> Jet:
    return x * torch.nn.functional.softplus(x).tanh()  # type: ignore[return-value]


@_rule(aten.hardswish.default)
def _hardswish(function: Any, x: Jet) -> Jet:
    return x * (x + 3).clamp(0, 6) / 6  # type: ignore[return-value]


@_rule(aten.abs.default)
def _abs(function: Any, x: Jet) -> Jet:
    return _elementwise(x, x.value.abs(), x.value.sign(), None)


@_rule(aten.clamp.default)
def _clamp(function: Any, x: Jet, low: Any = None, high: Any = None) -> Jet:
    value = function(x.value, low, high)
    return _elementwise(x, value, (value == x.value).to(value.dtype), None)


# Selections: the derivatives follow the chosen entries.


@_rule(aten.max_pool2d_with_indices.default)
def _max_pool2d(function: Any, x: Jet, *args: Any) -> tuple[Jet, Tensor]:
    value, indices = function(x.value, *args)
    terms, where, among = x.terms.flatten(-2), indices.flatten(-2), -1
    if indices.is_contiguous(memory_format=torch.channels_last):  # and is to stay so
        terms, where, among = terms.mT, where.mT, -2
    chosen = terms.gather(among, where.expand(len(terms), *where.shape))
    chosen = chosen if among == -1 else chosen.mT
    return Jet(value, chosen.unflatten(-1, indices.shape[-2:]), x.directions), indices


@_rule(aten.amax.default, aten.amin.default)
def _extreme(function: Any, x: Jet, dim: Any = (), keepdim: bool = False) -> Jet:
    dims = list(dim) if dim else list(range(x.value.ndim))
    extreme = function(x.value, dims, True)
    share = (x.value == extreme).to(x.value.dtype)
    share = share / share.sum(dims, keepdim=True)  # ties share, as in torch's own derivative
    chosen = (x.terms * share).sum(_from_right(dims, x.ndim), keepdim)
    return Jet(function(x.value, dims, keepdim), chosen, x.directions)


@_rule(aten.max.default, aten.min.default)
def _extreme_of_all(function: Any, x: Jet) -> Jet:
    return x.amax() if function is aten.max.default else x.amin()  # type: ignore[return-value]


@_rule(aten.max.dim, aten.min.dim)
def _extreme_with_index(function: Any, x: Jet, dim: int, keepdim: bool = False) -> tuple[Jet, Tensor]:
    value, index = function(x.value, dim, keepdim)
    where = index if keepdim else index.unsqueeze(dim)
    dim = _from_right(dim, x.ndim)
    chosen = x.terms.gather(dim, where.expand(len(x.terms), *where.shape))
    return Jet(value, chosen if keepdim else chosen.squeeze(dim), x.directions), index


# Compositions.


@_rule(aten._softmax.default, aten._safe_softmax.default)
def _softmax(function: Any, x: Jet, dim: int, *_: Any, **__: Any) -> Jet:
    if x.directions.order == 1:
        p = function(x.value, dim, *_)
        # the Jacobian is symmetric, so that torch's kernel for the reverse mode serves, here and below
        backward = aten._softmax_backward_data.out
        return _term_wise(x, p, lambda result, term: backward(term, p, dim, p.dtype, grad_input=result))
    result: Any = _log_softmax(aten._log_softmax.default, x, dim, False).exp()
    if function is aten._softmax.default:
        return result
    return result.masked_fill((x.value == -torch.inf).all(dim, keepdim=True), 0)  # where there is nothing to choose


@_rule(aten._scaled_dot_product_flash_attention_for_cpu.default)
def _attention(
    function: Any, query: Any, key: Any, value: Any, dropout_p: float = 0.0, is_causal: bool = False,
    *, attn_mask: Any = None, scale: float | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    if query.shape[1] != key.shape[1]:
        raise NoRuleError("no forward-mode rule for attention whose queries share their keys")
    jets = [x for x in (query, key, value) if isinstance(x, Jet)]
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    unused = _value(query).new_empty(0)  # what the reverse mode would need
    if len(jets) == 3 and query.directions.order == 1 and not is_causal and attn_mask is None:
        result, terms = attention_jet([x.value for x in jets], [x.terms for x in jets], scale)
        return Jet(result, terms, query.directions), unused
    scores = query @ key.transpose(-2, -1) * scale
    if is_causal:
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(hidden, -torch.inf)
    if attn_mask is not None:
        scores = scores + attn_mask
    return aten._safe_softmax(scores, -1) @ value, unused


@_rule(aten._log_softmax.default)
def _log_softmax(function: Any, x: Jet, dim: int, half_to_float: bool = False) -> Jet:
    """Subtract the derivatives of logsumexp: with softmax p, p.x_i, and p.x_ij + cov_p(x_i, x_j)."""
    value = function(x.value, dim, half_to_float)
    p = value.exp()
    dim = _from_right(dim, value.ndim)  # the same for all terms
    means = (p * x.terms).sum(dim, keepdim=True)
    if x.directions.order == 1:
        return Jet(value, x.terms - means, x.directions)
    i, j = pairs(x.K, value.device)
    covariance = (p * x.first[i] * x.first[j]).sum(dim, keepdim=True) - means[: x.K][i] * means[: x.K][j]
    first = x.first - means[: x.K]
    if x.second is None:
        return Jet(value, torch.cat([first, (-covariance).expand(-1, *value.shape)]), x.directions)
    return Jet(value, torch.cat([first, x.second - means[x.K :] - covariance]), x.directions)


@_rule(aten.logsumexp.default)
def _logsumexp(function: Any, x: Jet, dim: Any, keepdim: bool = False) -> Jet:
    shift = x.value.amax(dim, keepdim=True)
    shift = shift.masked_fill(shift.isinf(), 0)
    total = (x - shift).exp().sum(dim, keepdim).log()
    return total + (shift if keepdim else shift.sum(dim))  # type: ignore[return-value]


def _standardise(x: Any, dims: list[int], eps: float) -> tuple[Any, Any, Any]:
    """Return x with mean 0 and variance 1 over some dimensions, its mean, and 1 / (its deviation)."""
    mean = x.mean(dims, keepdim=True)
    centred = x - mean
    inverse_deviation = ((centred * centred).mean(dims, keepdim=True) + eps).rsqrt()
    return centred * inverse_deviation, mean, inverse_deviation


@_rule(aten.native_layer_norm.default)
def _layer_norm(function: Any, x: Any, shape: Any, weight: Any, bias: Any, eps: float) -> tuple[Any, Tensor, Tensor]:
    if isinstance(x, Jet) and x.directions.order == 1:
        value, mean, inverse_deviation = function(x.value, shape, None, None, eps)
        factor = value.new_ones(()) if weight is None or isinstance(weight, Jet) else weight

        def write(result: Tensor, term: Tensor) -> None:
            given = term, x.value, shape, mean, inverse_deviation, None, None, [True, False, False]
            torch.mul(aten.native_layer_norm_backward(*given)[0], factor, out=result)

        result = _term_wise(x, value * factor, write)
        weight = weight if isinstance(weight, Jet) else None  # else it is in the result
    else:
        result, mean, inverse_deviation = _standardise(x, list(range(-len(shape), 0)), eps)
    result = result if weight is None else result * weight
    result = result if bias is None else result + bias
    return result, _value(mean), _value(inverse_deviation)


@_rule(aten.native_batch_norm.default, aten._native_batch_norm_legit.default, aten.cudnn_batch_norm.default)
def _batch_norm(
    function: Any, x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool,
    momentum: float, eps: float,
) -> tuple[Any, Tensor, Tensor]:  # fmt: skip
    value, mean, inverse_deviation = function(  # in training also updates the running statistics, once
        _value(x), _value(weight), _value(bias), running_mean, running_var, training, momentum, eps
    )[:3]
    channels = [1, -1] + [1] * (x.ndim - 2)
    if not training:
        result = (x - running_mean.reshape(channels)) * (running_var.reshape(channels) + eps).rsqrt()
    elif isinstance(x, Jet) and x.directions.order == 1:
        factor = None if isinstance(weight, Jet) else weight
        statistics = running_mean, running_var, mean, inverse_deviation, True, eps, [True, False, False]

        def write(result: Tensor, term: Tensor) -> None:
            result.copy_(aten.native_batch_norm_backward(term, x.value, factor, *statistics)[0])

        standardised = (x.value - mean.reshape(channels)) * inverse_deviation.reshape(channels)
        result = _term_wise(x, standardised, write)
        weight = weight if isinstance(weight, Jet) else None  # else it is in the derivatives
    else:
        result, _, _ = _standardise(x, [0, *range(2, x.ndim)], eps)
    result = result if weight is None else result * weight.reshape(channels)
    result = result if bias is None else result + bias.reshape(channels)
    return Jet(value, result.terms, result.directions), mean, inverse_deviation


@_rule(aten.native_group_norm.default)
def _group_norm(
    function: Any, x: Any, weight: Any, bias: Any, N: int, C: int, HxW: int, groups: int, eps: float
) -> tuple[Any, Tensor, Tensor]:
    result, mean, inverse_deviation = _standardise(x.reshape(N, groups, -1), [-1], eps)
    channels = [1, -1] + [1] * (x.ndim - 2)
    result = result.reshape(x.shape)
    result = result if weight is None else result * weight.reshape(channels)
    result = result if bias is None else result + bias.reshape(channels)
    return result, _value(mean), _value(inverse_deviation)


@_rule(aten.var.correction)
def _variance(function: Any, x: Jet, dim: Any = None, *, correction: Any = 1, keepdim: bool = False) -> Jet:
    dims = list(dim or range(x.ndim))  # none means all of them
    count = math.prod(x.shape[d] for d in dims)
    centred = x - x.mean(dims, keepdim=True)
    return (centred * centred).sum(dims, keepdim) / (count - correction)


@_rule(aten.std.correction)
def _deviation(function: Any, x: Jet, *args: Any, **kwargs: Any) -> Jet:
    return _root(x.var(*args, **kwargs))


@_rule(aten.linalg_vector_norm.default)
def _norm(function: Any, x: Jet, order: float = 2, dim: Any = None, keepdim: bool = False, **_: Any) -> Jet:
    if order != 2:
        raise NoRuleError(f"no forward-mode rule for the norm of order {order}")
    return _root((x * x).sum(list(range(x.ndim)) if dim is None else dim, keepdim))


def _root(x: Any) -> Jet:
    """Return the root of a sum of squares, whose derivatives at 0 are 0 as torch has them, where it has a kink."""
    root = x.sqrt()
    return Jet(root.value, root.terms.masked_fill(root.value == 0, 0), root.directions)


@_rule(aten.mse_loss.default)
def _mse_loss(function: Any, x: Any, target: Any, reduction: int = 1) -> Jet:
    squares = (x - target).square()
    return (squares, squares.mean(), squares.sum())[reduction]


# In place: the jet takes over the result.


def _in_place(rule: Rule) -> Rule:
    def change(function: Any, x: Any, *args: Any, **kwargs: Any) -> Jet:
        if not isinstance(x, Jet):
            raise NoRuleError(f"{function} would write derivatives into a tensor that has none")
        if x.seen_elsewhere():
            raise NoRuleError(f"{function} would write into memory that a view shows, too")
        result = rule(function, x, *args, **kwargs)
        x.value, x.terms = (of_result.to(x.dtype) for of_result in (result.value, result.terms))
        return x

    return change


for _operation, _functional in {
    aten.add_.Tensor: aten.add.Tensor,
    aten.sub_.Tensor: aten.sub.Tensor,
    aten.mul_.Tensor: aten.mul.Tensor,
    aten.div_.Tensor: aten.div.Tensor,
    aten.relu_.default: aten.relu.default,
    aten.sigmoid_.default: aten.sigmoid.default,
    aten.tanh_.default: aten.tanh.default,
    aten.masked_fill_.Scalar: aten.masked_fill.Scalar,
}.items():
    RULES[_operation] = _in_place(lambda _, *args, to=_functional, **kwargs: RULES[to](to, *args, **kwargs))


@_rule(aten.transpose_.default)
def _transpose_in_place(function: Any, x: Jet, *dims: int) -> Jet:
    change = _in_place(lambda _, x, *dims: _along_dimensions(aten.transpose.int, x, *dims))
    change(function, x, *dims)
    with no_dispatch():  # of the jet's own shape
        function(x, *dims)
    return x
