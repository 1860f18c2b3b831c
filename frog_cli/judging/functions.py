"""The judge of functions of n variables: batches, derivatives of both orders against differences, the start."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from frog_cli.gradients.measurement import forward
from frog_cli.gradients.points import Function, gradient_and_value
from frog_cli.jets.jet import NoRuleError, measure_second_order
from frog_cli.judging.findings import Check, Finding, Seen, as_tensor, difference, judged, same, seed_all_sources, sizes
from frog_cli.judging.recordings import recorded_otherwise
from frog_cli.objectives.functions import starting

_DIMENSIONS = 2, 5, 8
_DIRECTIONS = 3
_STEP = 1e-5  # of differences, whose error is its square and the rounding of the values divided by it
_NEAR = 1e-4  # how close derivatives and differences are, relative to the larger of 1 and the largest one


def judge_function(function: Function, start: float | Callable[[int], Tensor]) -> list[Finding]:
    """Judge a function whose options are bound.

    Args:
        function: maps points `[..., n]` to values `[...]`.
        start: where its minimisation starts: a number for all coordinates, or a function of n.
    """

    def start_at(n: int) -> Tensor:
        return as_tensor(starting(start)(n))

    def call(x: Tensor) -> Tensor:
        return as_tensor(function(x.clone()))

    runs = ("start", "shape")
    same_values = ("shape", "same points, same values")
    measured = (*same_values, "finite at the start")
    first = (*measured, "first derivative, forward")
    independent = (*first, "values of a batch are independent")
    return judged(
        [
            Check("start", lambda: _start(start_at)),
            Check("shape", lambda: _shape(call)),
            Check("same points, same values", lambda: _repeatable(call), ("shape",)),
            Check("dtype", lambda: _dtype(call), same_values),
            Check("leaves its argument as it is", lambda: _writes(function), ("shape",)),
            Check("finite at the start", lambda: _finite(call, start_at), runs),
            Check("values of a batch are independent", lambda: _independent(call), same_values),
            Check("first derivative, forward", lambda: _slopes(call, start_at), measured),
            Check("first derivative, reverse", lambda: _gradient(call, start_at), independent),
            Check("second derivative", lambda: _curvature(call, start_at), first),
            Check("recordable", lambda: _recordable(function), (*first, "leaves its argument as it is")),
        ]
    )


Start = Callable[[int], Tensor]
"""Returns where a minimisation in n dimensions starts, `[n]`."""


def _start(start_at: Start) -> Seen:
    for n in _DIMENSIONS:
        x = start_at(n)
        if x.shape != (n,) or not x.is_floating_point():
            return False, f"expected real numbers {sizes((n,))}, saw {x.dtype} {sizes(x.shape)}"
        if not x.isfinite().all():
            return False, f"expected finite coordinates, saw {x.tolist()}"
    return True, f"of n = {', '.join(map(str, _DIMENSIONS))} coordinates"


def _points(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def _shape(call: Function) -> Seen:
    for n in _DIMENSIONS:
        for leading in ((), (3,), (2, 3), (1,)):
            seen = call(_points(*leading, n)).shape
            if seen != leading:
                return False, f"expected values {sizes(leading)} at points {sizes((*leading, n))}, saw {sizes(seen)}"
    return True, "one value for each point of [n], [S, n] and [A, S, n]"


def _dtype(call: Function) -> Seen:
    for dtype in (torch.float32, torch.float64):
        seen = call(_points(3, 5, dtype=dtype)).dtype
        if seen != dtype:
            return False, f"expected {dtype}, that of the points, saw {seen}"
    x = _points(8, 5)
    far = difference(call(x.float()).double(), call(x.float().double()))
    if far > 1e-3:
        return False, f"expected about the same values in float32 as in float64, saw {far:.1g} of difference"
    return True, f"that of the points; float32 and float64 differ by {far:.1g}"


def _writes(function: Function) -> Seen:
    x = _points(3, 5)
    given = x.clone()
    function(given)
    if not same(x, given):
        return False, "expected points that stay as they are, saw it write to them"
    return True, "the points"


def _finite(call: Function, start_at: Start) -> Seen:
    for n in _DIMENSIONS:
        for dtype in (torch.float32, torch.float64):
            value = call(start_at(n).to(dtype))
            if not value.isfinite():
                return False, f"expected a finite value, saw {value.item()} (n = {n}, {dtype})"
    return True, f"{call(start_at(_DIMENSIONS[-1]).double()).item():.6g} for n = {_DIMENSIONS[-1]}"


def _repeatable(call: Function) -> Seen:
    x = _points(3, 5)
    values = []
    for seed in (0, 1):
        seed_all_sources(seed)
        values.append(call(x))
    if not same(*values):
        return False, "expected the same values at the same points, saw others"
    return True, "to the last bit"


def _independent(call: Function) -> Seen:
    """Compare a point among others with the same point beside a copy of itself."""
    for dtype in (torch.float32, torch.float64):
        for n in _DIMENSIONS:
            x = _points(7, n, dtype=dtype) * torch.tensor([1, 1e-2, 1e2, 1, -1, 10, 0], dtype=dtype).unsqueeze(1)
            together = call(x)
            for index in range(len(x)):
                alone = call(x[[index, index]])[0]
                if not same(alone, together[index]):
                    saw = f"{alone.item():.9g} and {together[index].item():.9g}"
                    return False, f"expected the same bits alone as among others, saw {saw} (n = {n}, {dtype})"
    return True, "to the last bit"


def _places(start_at: Start) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield a description, points `[S, n]`, and directions `[K, S, n]`."""
    for n in _DIMENSIONS:
        start = start_at(n).double()
        V = _points(_DIRECTIONS, 4, n, seed=1)
        yield f"at the start, n = {n}", start.expand(4, n).contiguous(), V
        yield f"near the start, n = {n}", start + 0.3 * _points(4, n, seed=2), V
        yield f"at random points, n = {n}", _points(4, n, seed=3), V


def _slopes(call: Function, start_at: Start) -> Seen:
    for where, x, V in _places(start_at):
        expected = torch.stack([(call(x + _STEP * v) - call(x - _STEP * v)) / (2 * _STEP) for v in V])
        far = _far(_forward(call, x, V), expected)
        if far > _NEAR:
            return False, f"expected that of central differences, saw one that differs by {far:.1g} {where}"
    return True, "that of central differences, at the start and at random points"


def _forward(call: Function, x: Tensor, V: Tensor) -> Tensor:
    """Return the slopes `[K, S]` at points `[S, n]` along directions `[K, S, n]`."""
    return forward(lambda points: (call(points), ()), (x,), (V,))[1]


def _gradient(call: Function, start_at: Start) -> Seen:
    for where, x, V in _places(start_at):
        gradients, _ = gradient_and_value(call, x)
        far = _far((V * gradients).sum(-1), _forward(call, x, V))
        if far > _NEAR:
            return False, f"expected that of the forward mode, saw one that differs by {far:.1g} {where}"
    return True, "that of the forward mode"


def _curvature(call: Function, start_at: Start) -> Seen:
    for where, x, V in _places(start_at):
        try:
            _, _, curvature = measure_second_order(call, (x,), (V,))
        except NoRuleError as error:
            return None, f"no second-order steps: {error}"
        columns = [(_forward(call, x + _STEP * v, V) - _forward(call, x - _STEP * v, V)) / (2 * _STEP) for v in V]
        far = _far(curvature, torch.stack(columns, dim=-1).transpose(0, 1))
        if far > _NEAR:
            return False, f"expected that of differences of slopes, saw one that differs by {far:.1g} {where}"
    return True, "that of differences of slopes, at the start and at random points"


def _far(seen: Tensor, expected: Tensor) -> float:
    """Return the largest difference relative to the larger of 1 and the largest expected one; NaN is far from all."""
    far = ((seen - expected).abs().max() / expected.abs().max().clamp(min=1)).item()
    return far if far == far else float("inf")


def _recordable(function: Function) -> Seen:
    x = _points(3, 5)
    others = {
        "other points": _points(3, 5, seed=1),
        "points near 0": 1e-3 * x,
        "points far from 0": 1e3 * x,
        "points of another sign": -x,
        "positive points": x.abs(),
        "negative points": -x.abs(),
        "the origin": torch.zeros_like(x),
    }

    def value_and_gradient(points: Tensor) -> tuple[Tensor, Tensor]:
        gradients, values = gradient_and_value(function, points)
        return values, gradients

    return recorded_otherwise(value_and_gradient, (x,), ((name, (points,)) for name, points in others.items()))
