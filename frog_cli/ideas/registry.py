"""The decorators by which an idea is registered, and what is registered."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar, get_args, overload

Kind = Literal["tangents", "aggregation", "step_rule", "function", "model", "data"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Curvature = Literal["hessian", "gauss_newton"]

Made = TypeVar("Made", bound=Callable[..., Any])


class Idea(NamedTuple):
    """A function that was registered.

    Attributes:
        kind: what it is an idea of.
        name: by which it is chosen.
        function: what was decorated; `trait` tells what its decorator says of it, such as the `start` of a function.
    """

    kind: Kind
    name: str
    function: Callable[..., Any]


_registered: dict[tuple[str, Kind, str], Idea] = {}
"""By module, kind and name: an idea never takes the place of one of another file."""


def registered(kind: Kind, module: str | None = None) -> dict[str, Idea]:
    """Return the ideas of a kind that have been imported, by their names: those of one module, or of all."""
    ideas = [(where, idea) for (where, one, _), idea in _registered.items() if one == kind]
    return {idea.name: idea for where, idea in ideas if module in (None, where)}


def name_of(function: str, given: str | None = None) -> str:
    """Return the name by which an idea is chosen: the given one, or the function's without underscores at its end."""
    return given or function.rstrip("_")


def trait(function: Callable[..., Any], name: str, otherwise: Any = None) -> Any:
    """Return what the decorator of a function says of it, also if some of its options have been given by `partial`."""
    while isinstance(function, partial) and not hasattr(function, name):
        function = function.func
    return getattr(function, name, otherwise)


def _register(kind: Kind, name: str | None, **traits: Any) -> Callable[[Made], Made]:
    """Return a decorator that registers a function as an idea of its module."""

    def register(function: Made) -> Made:
        vars(function).update(traits)
        idea = Idea(kind, name_of(function.__name__, name), function)
        _registered[function.__module__, kind, idea.name] = idea
        return function

    return register


@overload
def tangents(function: Made, /) -> Made: ...
@overload
def tangents(
    *, name: str | None = None, unbiased: bool | None = None, independent_entries: bool | None = None
) -> Callable[[Made], Made]: ...
def tangents(
    function: Made | None = None,
    /,
    *,
    name: str | None = None,
    unbiased: bool | None = None,
    independent_entries: bool | None = None,
) -> Made | Callable[[Made], Made]:
    """Register a sampler `(shape, generator, dtype, *, options)` of tangents V of that shape, `[..., k, n]`.

    Args:
        function: what is decorated.
        name: by which it is chosen; that of the function if it is not given.
        unbiased: whether the mean of forward gradients along these tangents is the gradient; None: it is not said.
        independent_entries: whether no entry depends on another, so that a tangent may be drawn part by part.
    """
    register = _register("tangents", name, unbiased=unbiased, independent_entries=independent_entries)
    return register if function is None else register(function)


@overload
def aggregation(function: Made, /) -> Made: ...
@overload
def aggregation(
    *,
    name: str | None = None,
    gram_only: bool = False,
    of_slopes_alone: bool = False,
    without_branch: Callable[..., Any] | None = None,
) -> Callable[[Made], Made]: ...
def aggregation(
    function: Made | None = None,
    /,
    *,
    name: str | None = None,
    gram_only: bool = False,
    of_slopes_alone: bool = False,
    without_branch: Callable[..., Any] | None = None,
) -> Made | Callable[[Made], Made]:
    """Register `(tangents [..., k, n], slopes [..., k, m], *, options)`, which returns coefficients `[..., k, m]`.

    Args:
        function: what is decorated.
        name: by which it is chosen; that of the function if it is not given.
        gram_only: whether the coefficients depend on the tangents V through V V^T alone, so that they may be had from
            tangents that are never all there.
        of_slopes_alone: whether the tangents are not looked at.
        without_branch: a form whose operations do not depend on values, with NaN where only the function itself has a
            result; it is recorded in the function's place.
    """
    traits: dict[str, Any] = {"gram_only": gram_only or of_slopes_alone, "of_slopes_alone": of_slopes_alone}
    if without_branch is not None:
        traits["without_branch"] = without_branch
    register = _register("aggregation", name, **traits)
    return register if function is None else register(function)


@overload
def step_rule(function: Made, /) -> Made: ...
@overload
def step_rule(*, name: str | None = None, curvature: Curvature = "hessian") -> Callable[[Made], Made]: ...
def step_rule(
    function: Made | None = None, /, *, name: str | None = None, curvature: Curvature = "hessian"
) -> Made | Callable[[Made], Made]:
    """Register `(slopes [..., K], curvature [..., K, K], *, options)`, which returns coefficients `[..., K]`.

    They are NaN where there is no step.

    Args:
        function: what is decorated.
        name: by which it is chosen; that of the function if it is not given.
        curvature: which is measured: V H V^T of the Hessian, or that of the Gauss-Newton matrix, of networks alone.

    Raises:
        ValueError: if it is neither.
    """
    if curvature not in get_args(Curvature):
        raise ValueError(f"curvature={curvature!r} must be {' or '.join(get_args(Curvature))}")
    register = _register("step_rule", name, curvature=curvature)
    return register if function is None else register(function)


def function(
    *, start: float | Callable[[int], Any], steps: int | None = None, name: str | None = None
) -> Callable[[Made], Made]:
    """Register a function `(x [..., n], *, options)` of n variables, which returns values `[...]`.

    Args:
        start: of its minimisation, a number for all variables, or a function of n that returns `[n]`.
        steps: of its minimisation unless they are given, a plain number; that of all functions if it is not.
        name: by which it is chosen; that of the function if it is not given.
    """
    return _register("function", name, start=start, steps=steps)


@overload
def model(function: Made, /) -> Made: ...
@overload
def model(*, name: str) -> Callable[[Made], Made]: ...
def model(function: Made | None = None, /, *, name: str | None = None) -> Made | Callable[[Made], Made]:
    """Register `(image (C, H, W), classes, *, options)`, which returns a `torch.nn.Sequential`, or a Module."""
    register = _register("model", name)
    return register if function is None else register(function)


@overload
def data(function: Made, /) -> Made: ...
@overload
def data(*, validation: float | str | None = None, name: str | None = None) -> Callable[[Made], Made]: ...
def data(
    function: Made | None = None, /, *, validation: float | str | None = None, name: str | None = None
) -> Made | Callable[[Made], Made]:
    """Register `(*, options)`, which returns splits of images `[N, C, ..]` with labels `[N]`, and how many classes.

    The splits are training, validation and test, or training and test, each a pair of tensors; the images are uint8 or
    real numbers.

    Args:
        function: what is decorated.
        validation: what data.validation is unless it is given, a plain value: so many training images, or such a share
            of them.
        name: by which it is chosen; that of the function if it is not given.
    """
    register = _register("data", name, validation=validation)
    return register if function is None else register(function)
