"""Closed-form functions of n variables, for any n, of points `[..., n]` at once.

Powers are written as squares: `x**4` rounds differently in vector registers and in the rest of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from frog_cli import ideas
from frog_cli.errors import RequestError
from frog_cli.ideas import sources
from frog_cli.settings.schema import Function


def _minus_one_then_zeros(n: int) -> Tensor:
    start = torch.zeros(n)
    start[0] = -1
    return start


@ideas.function(start=-1.0)
def sphere(x: Tensor) -> Tensor:
    """The sum of x_i^2: strictly convex, minimum 0 at the origin."""
    return x.square().sum(-1)


@ideas.function(start=_minus_one_then_zeros, steps=25000)
def rosenbrock(x: Tensor) -> Tensor:
    """The sum of 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2: a curved valley.

    Its minimum is 0 at (1, .., 1). For n = 1 the sum is empty and the function is 0.
    """
    left, right = x[..., :-1], x[..., 1:]
    return (100 * (right - left.square()).square() + (1 - left).square()).sum(-1)


@ideas.function(start=0.0, name="styblinski-tang")
def styblinski_tang(x: Tensor) -> Tensor:
    """Half the sum of x_i^4 - 16 x_i^2 + 5 x_i: many minima.

    There are 2^n local ones, the lowest about -39.16617 n.
    """
    squares = x.square()
    return 0.5 * (squares.square() - 16 * squares + 5 * x).sum(-1)


class ClosedForm(NamedTuple):
    """A function and where its minimisation starts in arXiv 2410.17764, Section IV-B."""

    function: Callable[[Tensor], Tensor]
    start: Callable[[int], Tensor]


def check(settings: Function) -> None:
    """Refuse a function from outside that does not start at a point `[n]`, or has no value for each of two points."""
    source = sources.source_of(settings)
    with sources.refusing(source, f"function {settings.name} raises"):
        function, start = closed_form(settings)
        x = start(settings.n) if settings.start == "published" else torch.ones(settings.n)
        if not isinstance(x, Tensor) or x.shape != (settings.n,) or x.is_complex() or not x.isfinite().all():
            what = f"start of {settings.name} must be a tensor of {settings.n} finite real numbers, not {_form(x)}"
            raise RequestError(f"ideas={source.name}", what)
        if settings.start == "published" and not torch.equal(start(settings.n), x):
            raise RequestError(f"ideas={source.name}", f"start of {settings.name} must be the same each time")
        before = torch.stack([x, x + torch.linspace(0.3, 1.1, settings.n)]).detach().to(getattr(torch, settings.dtype))
        points = before.clone()
        values, alone = function(points), function(before[:1].clone())
    if not isinstance(values, Tensor) or values.shape != (2,) or values.dtype != points.dtype:
        what = (
            f"function {settings.name} must return values [2] of {points.dtype} for points [2, n], not {_form(values)}"
        )
        raise RequestError(f"ideas={source.name}", what)
    if not torch.equal(points, before):
        raise RequestError(f"ideas={source.name}", f"function {settings.name} must not write to its points")
    rounding = 1e-3 * values.abs().nan_to_num().max().item()  # which may be all that is left at a minimum
    if not torch.allclose(values[:1], alone, rtol=1e-5, atol=rounding, equal_nan=True):
        what = f"function {settings.name} must have one value at a point, whichever points beside it and each time"
        raise RequestError(f"ideas={source.name}", what)


def _form(returned: object) -> str:
    """Return what something is, in a few words."""
    if not isinstance(returned, Tensor):
        return f"a {type(returned).__name__}"
    return f"{list(returned.shape)} of {returned.dtype}" + ("" if returned.isfinite().all() else " with others")


def starting(at: float | Callable[[int], Tensor]) -> Callable[[int], Tensor]:
    """Return the start of a minimisation as a function of n."""
    return at if callable(at) else lambda n: torch.full((n,), float(at))


def closed_form(settings: Function) -> ClosedForm:
    """Return the function that settings name, with its start."""
    return with_start(sources.imported(settings))


def with_start(function: Callable[..., Tensor]) -> ClosedForm:
    """Return a function with the start that its decorator says."""
    return ClosedForm(function, starting(ideas.trait(function, "start")))
