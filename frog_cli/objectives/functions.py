"""Closed-form functions of n variables, for any n, of points `[..., n]` at once.

Powers are written as squares: `x**4` rounds differently in vector registers and in the rest of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


def sphere(x: Tensor) -> Tensor:
    """Return the sum of x_i^2: strictly convex, minimum 0 at the origin."""
    return x.square().sum(-1)


def rosenbrock(x: Tensor) -> Tensor:
    """Return the sum of 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2: a curved valley, minimum 0 at (1, .., 1).

    For n = 1 the sum is empty and the function is 0.
    """
    left, right = x[..., :-1], x[..., 1:]
    return (100 * (right - left.square()).square() + (1 - left).square()).sum(-1)


def styblinski_tang(x: Tensor) -> Tensor:
    """Return half the sum of x_i^4 - 16 x_i^2 + 5 x_i: 2^n local minima, the lowest about -39.16617 n."""
    squares = x.square()
    return 0.5 * (squares.square() - 16 * squares + 5 * x).sum(-1)


def _all_minus_one(n: int) -> Tensor:
    return -torch.ones(n)


def _minus_one_then_zeros(n: int) -> Tensor:
    start = torch.zeros(n)
    start[0] = -1
    return start


class ClosedForm(NamedTuple):
    """A function and where its minimisation starts in arXiv 2410.17764, Section IV-B."""

    function: Callable[[Tensor], Tensor]
    start: Callable[[int], Tensor]


FUNCTIONS = {
    "sphere": ClosedForm(sphere, _all_minus_one),
    "rosenbrock": ClosedForm(rosenbrock, _minus_one_then_zeros),
    "styblinski-tang": ClosedForm(styblinski_tang, torch.zeros),
}
