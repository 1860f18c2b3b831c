"""Forward mode of first and second order: truncated Taylor jets through ordinary modules and functions.

A jet is what a function of K small numbers e_1..e_K looks like up to second order: its value, its K first derivatives
and its K (K + 1) / 2 second ones,

    x = x_0 + sum_i e_i x_i + sum_{i <= j} e_i e_j x_ij / (1 + [i = j]),

the hyper-dual numbers of arXiv 2408.10419, Section 4, for all pairs of directions at once: no value and no first
derivative is computed again for a pair. Jets of first order end before the last sum. A `Jet` is a tensor; torch hands
every operation on one to its rule in the table `RULES`, which `frog_cli.jets.rules` fills.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import _SingleLevelFunction
from torch.utils._pytree import tree_leaves, tree_map

from frog_cli.jets.kernels import kernels_with_rules
from frog_cli.jets.refusals import check_torch_knows, without_reverse_passes

Rule = Callable[..., Any]
"""What an operation does to its own arguments, some of which are jets."""

RULES: dict[Any, Rule] = {}
"""The rule of each operation, and of each function that `may_have_rule`."""

_OF_AN_EARLIER_PASS = "a tensor that the function keeps has derivatives of an earlier pass; keep x.detach() instead"

P = ParamSpec("P")
R = TypeVar("R")


class Directions(NamedTuple):
    """How many directions jets are taken along, and to which order, 1 or 2."""

    number: int
    order: int


_evaluating: ContextVar[Directions | None] = ContextVar("evaluating", default=None)
"""The directions of the pass that is going on."""


class Jet(torch.Tensor):
    """A value `[*S]` with its derivatives along K directions.

    Attributes:
        value: the value, a plain tensor `[*S]`.
        terms: the derivatives: the first ones `[K, *S]`, followed by the second ones, `[K + K (K + 1) / 2, *S]`,
            in the order of `pairs(K)`, unless those are all zero or the order is 1.
        directions: how many directions there are, and the order.
        is_given: whether the value is a part of the point, which is not the function's own to write to.
        is_still: whether it does not vary before it is written to, as what is made like another tensor to hold results.
    """

    value: Tensor
    terms: Tensor
    directions: Directions
    is_given: bool = False
    is_still: bool = False
    _same_memory: list[weakref.ref[Any]]  # this jet and those that would be views of one tensor

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
        """Apply an operation's rule."""
        kwargs = kwargs or {}
        directions, jets = _evaluating.get(), [*_jets_among(args)]
        if directions and any(jet.directions is not directions for jet in jets):
            raise NotImplementedError(_OF_AN_EARLIER_PASS)
        if any(jet.is_still for jet in jets):
            if not any(isinstance(one, Jet) and not one.is_still for one in tree_leaves((args, kwargs))):
                return _of_still(function, args, kwargs)
            if not function._schema.is_mutable:
                args = _values_of_still(args)
        if function not in RULES:
            check_torch_knows(function, args, kwargs)
            result = function.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
            raise NoRuleError(
                f"no forward-mode rule for the operation {function}: write the model without it, or add a rule of your "
                "own to frog_cli.jets.jet.RULES, for a function of each entry by frog_cli.jets.elementwise.elementwise"
            )
        if not torch.is_grad_enabled():  # the model says that here nothing is to be differentiated
            return _without_gradient(function, args, kwargs)
        result = RULES[function](*args, **kwargs)
        if any(isinstance(one, Jet) and one.is_complex() for one in tree_leaves(result)):
            raise NoRuleError(f"no forward-mode rule for complex numbers, which {function} makes")
        if function.is_view:
            args[0].note_views(result)
        return result

    def note_views(self, views: Any) -> None:
        """Note that a result, or each of a list of them, shows this jet's memory."""
        for view in views if isinstance(views, list | tuple) else [views]:
            view._same_memory, view.is_still = self._same_memory, self.is_still
            self._same_memory.append(weakref.ref(view))

    def others_in_memory(self) -> list[Any]:
        """Return what else shows this jet's memory, so that a write to the one ought to change the other."""
        return [other for shown in self._same_memory if (other := shown()) is not None and other is not self]


def _jets_among(args: Any) -> Iterator[Jet]:
    """Yield the jets among an operation's arguments, and those in lists of them."""
    for one in args:
        if isinstance(one, Jet):
            yield one
        elif isinstance(one, list | tuple):
            yield from _jets_among(one)


def _values_of_still(args: Any) -> tuple[Any, ...]:
    """Return arguments with the values of jets that do not vary yet in their places."""
    return tuple(one.value if isinstance(one, Jet) and one.is_still else one for one in args)


def still(value: Tensor, directions: Directions) -> Jet:
    """Return a jet that does not vary before it is written to: its derivatives are zero, in memory only once."""
    jet = Jet(value, value.new_zeros(()).expand(directions.number, *value.shape), directions)
    jet.is_still = True
    return jet


def _of_still(function: Any, args: Any, kwargs: Any) -> Any:
    """Apply an operation to jets that do not vary yet, and nor does what it writes to them, or shows of them.

    Raises:
        NoRuleError: if one that it writes to would have another shape.
    """
    jets = [one for one in args if isinstance(one, Jet)]
    result = function(*tree_map(value_of, args), **tree_map(value_of, kwargs))
    if any((one.value.shape, one.value.stride()) != (one.shape, one.stride()) for one in jets):
        raise NoRuleError(f"{function} would give a tensor that is written to another shape")

    def shown(one: Any) -> Any:
        for jet in jets if isinstance(one, Tensor) else []:
            if one is jet.value:
                return jet
            if one.untyped_storage().data_ptr() == jet.value.untyped_storage().data_ptr() and one.numel():
                view = still(one, jet.directions)
                jet.note_views(view)
                return view
        return one

    return tree_map(shown, result)


def _without_gradient(function: Any, args: Any, kwargs: Any) -> Any:
    """Apply an operation to values; a jet that it writes to has the derivatives that it had.

    Raises:
        NoRuleError: if more than this jet shows what is written.
    """
    named = dict(zip((one.name for one in function._schema.arguments), args, strict=False)) | kwargs
    writes = [one.name for one in function._schema.arguments if one.alias_info is not None and one.alias_info.is_write]
    written = [named[name] for name in writes if isinstance(named.get(name), Jet)]
    varying = [jet for jet in written if not jet.is_still]
    if any(jet.others_in_memory() or jet.is_given for jet in varying):
        raise NoRuleError(f"{function} would write into a tensor with derivatives, without a gradient")
    for jet in varying:
        jet.value = jet.value.clone()
    result = function(*tree_map(value_of, args), **tree_map(value_of, kwargs))
    if any(jet.value.shape != jet.shape for jet in written):
        raise NoRuleError(f"{function} would give a tensor with derivatives another shape")
    if function.is_view:
        args[0].note_views(result)
    return written[0] if written else result


def value_of(x: Any) -> Any:
    """Return the value of a jet, and anything else as it is."""
    return x.value if isinstance(x, Jet) else x


@cache
def pairs(K: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the indices i and j of the pairs i <= j, in the order of the second derivatives."""
    first, second = torch.triu_indices(K, K, device=device)
    return first, second


class NoRuleError(NotImplementedError):
    """An operation that jets cannot pass through."""


@contextmanager
def laid_over(rules: Mapping[Any, Rule]) -> Iterator[None]:
    """Let other rules stand for those of the table, or beside them, while the body runs."""
    before = {operation: RULES[operation] for operation in rules if operation in RULES}
    RULES.update(rules)
    try:
        yield
    finally:
        for operation in rules:
            if operation in before:
                RULES[operation] = before[operation]
            else:
                del RULES[operation]


def may_have_rule(function: Callable[P, R]) -> Callable[P, R]:
    """Let the table hold a rule for a function of jets, which otherwise passes through its operations' rules."""

    @wraps(function)
    def by_rule_if_any(*args: P.args, **kwargs: P.kwargs) -> R:
        rule = RULES.get(by_rule_if_any)
        if rule is not None and any(isinstance(one, Jet) for one in (*args, *kwargs.values())):
            return rule(*args, **kwargs)
        return function(*args, **kwargs)

    return by_rule_if_any


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
    with (
        _not_within_another(directions),
        torch.enable_grad(),
        kernels_with_rules(primals[0].device),
        _without_derivatives_of_others(),
        without_reverse_passes(),
    ):
        point = [Jet(p.detach(), tangent, directions) for p, tangent in zip(primals, tangents, strict=True)]
        for jet in point:
            jet.is_given = True
        result = function(*point)
    if any(isinstance(one, Jet) and one.directions is not directions for one in tree_leaves(result)):
        raise NotImplementedError(_OF_AN_EARLIER_PASS)
    return result


@contextmanager
def _not_within_another(directions: Directions) -> Iterator[None]:
    """Refuse derivatives of derivatives, whose directions would be confused."""
    if _evaluating.get():
        raise NotImplementedError("a function that is differentiated cannot take forward-mode derivatives itself")
    before = _evaluating.set(directions)
    try:
        yield
    finally:
        _evaluating.reset(before)


@contextmanager
def _without_derivatives_of_others() -> Iterator[None]:
    """Refuse a `torch.autograd.Function` for jets: its derivative is its author's, not that of its operations."""

    def refuse(cls: Any, *args: Any, **kwargs: Any) -> Any:
        args = _values_of_still(args)
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


def measure_first_order(
    function: Callable[..., tuple[Tensor, Any]], primals: Sequence[Tensor], tangents: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Any]:
    """Return a function's value `[*S]`, its slopes `[K, *S]` along K directions, and its second result."""
    value, kept = evaluate(function, primals, tangents, order=1)
    if not isinstance(value, Jet):
        return value, value.new_zeros(tangents[0].shape[0], *value.shape), kept
    return value.value, value.first, tree_map(value_of, kept)


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
    curvature = value_of(result).new_zeros(*result.shape, K, K)
    if not isinstance(result, Jet):
        return result, result.new_zeros(*result.shape, K), curvature
    i, j = pairs(K, result.device)
    if result.second is not None:
        curvature[..., i, j] = curvature[..., j, i] = result.second.movedim(0, -1)
    return result.value, result.first.movedim(0, -1), curvature
