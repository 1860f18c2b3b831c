"""Gradients of a function of n variables at S points at once: one point for each seed of a run.

What happens at one point does not depend, to the last bit, on how many others are computed beside it. That is why
each seed has a generator of its own, tangents of a point start at a multiple of 8 elements (matrix products may round
differently elsewhere), and a single point is computed beside a copy of itself (a batch of one takes other kernels).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor
from torch.func import grad_and_value

from frog_cli.engine.recording import record
from frog_cli.gradients.aggregation import projection, projection_if_well_conditioned
from frog_cli.gradients.estimate import ForwardGradient, PointEstimate
from frog_cli.gradients.measurement import forward, simulated
from frog_cli.gradients.tangents import Sampler

Function = Callable[[Tensor], Tensor]
"""Maps points `[..., n]` to values `[...]`."""

PointGradient = Callable[[Tensor], PointEstimate]
"""Maps points `[S, n]` to what is learnt there."""

Estimator = Callable[[Function, Tensor, Sequence[int], int], PointGradient]
"""Makes an estimator of a function's gradient for points `[S, n]`, with one seed for each, after so many steps."""

_ALIGNMENT = 8  # elements: 64 bytes of float64, and a multiple of any vector register in float32
_SAMPLED_AHEAD = 2**17  # elements per seed: one large draw is faster than many small ones
_STEPS_AHEAD = 2**10


class TangentStream:
    """An endless stream of tangents `[S, k, n]`, those of each seed independent of the other seeds.

    Drawn for many steps ahead. How many depends on k and n alone, as the numbers do.
    """

    def __init__(self, tangents: Sampler, seeds: Sequence[int], points: Tensor, k: int, after: int):
        n, dtype, device = points.shape[-1], points.dtype, points.device
        self._tangents = tangents
        self._generators = [Generator(device).manual_seed(seed) for seed in seeds]
        self._shape = (min(max(1, _SAMPLED_AHEAD // (k * n)), _STEPS_AHEAD), k, n)
        aligned = -(-k * n // _ALIGNMENT) * _ALIGNMENT
        self._drawn = torch.empty(self._shape[0], len(seeds), aligned, dtype=dtype, device=device)
        self._steps = self._drawn[..., : k * n].unflatten(-1, (k, n)).unbind()
        self._next = self._shape[0]
        for _ in range(-(-after // self._shape[0])):  # what was drawn for the steps before
            self._draw()
        if after % self._shape[0]:
            self._next = after % self._shape[0]

    def peek(self) -> Tensor:
        """Return the next step's tangents without taking them."""
        tangents = next(self)
        self._next -= 1
        return tangents

    def __next__(self) -> Tensor:
        """Return the next step's tangents; their memory is written again many steps later."""
        if self._next == len(self._steps):
            self._draw()
            self._next = 0
        self._next += 1
        return self._steps[self._next - 1]

    def _draw(self) -> None:
        _, k, n = self._shape
        for index, generator in enumerate(self._generators):
            drawn = self._tangents(self._shape, generator, self._drawn.dtype)
            self._drawn[:, index, : k * n] = drawn.flatten(1)


def forward_gradient(
    method: ForwardGradient,
    function: Function,
    points: Tensor,
    seeds: Sequence[int],
    after: int = 0,
    compiled: bool = False,
) -> PointGradient:
    """Return an estimator of the function's gradient from k tangents, one seed for each of the points `[S, n]`.

    Its tangents are those that follow after so many steps. The operations may be compiled.
    """
    paired_seeds = [*seeds, *seeds] if len(points) == 1 else seeds
    stream = TangentStream(method.tangents, paired_seeds, points, method.k, after)

    projects = method.aggregation is projection
    aggregation = projection_if_well_conditioned if projects else method.aggregation

    def measured(points: Tensor, V: Tensor) -> tuple[Tensor, Tensor]:
        if method.measure == "simulated":
            gradients, values = gradient_and_value(function, points)
            return values, simulated(gradients.unsqueeze(-1), V)
        directions = V.transpose(0, 1)
        values, slopes, _ = forward(lambda x: (function(x), ()), (points,), (directions,), method.chunk_size)
        return values, slopes.transpose(0, 1).unsqueeze(-1).contiguous()

    def combined(points: Tensor, V: Tensor) -> tuple[Tensor, ...]:
        values, slopes = measured(points, V)
        gradients = (aggregation(V, slopes) * V).sum(-2)
        return (values, gradients, slopes, gradients.isfinite().all()) if projects else (values, gradients)

    replay = record(combined, paired(points), stream.peek(), compiled=compiled)

    def estimate(points: Tensor) -> PointEstimate:
        V = next(stream)
        values, gradients, *more = replay(paired(points), V)
        if more:
            slopes, finite = more
            if not finite:  # tangents that need the general solution
                gradients = (projection(V, slopes) * V).sum(-2)
        return unpaired(PointEstimate(values, gradients), points)

    return estimate


def backprop(
    function: Function, points: Tensor, seeds: Sequence[int], after: int = 0, compiled: bool = False
) -> PointGradient:
    """Return the gradient itself by one reverse pass: the reference."""
    del seeds, after
    replay = record(lambda x: gradient_and_value(function, x), paired(points), compiled=compiled)

    def estimate(points: Tensor) -> PointEstimate:
        gradients, values = replay(paired(points))
        return unpaired(PointEstimate(values, gradients), points)

    return estimate


def gradient_and_value(function: Function, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients `[S, n]` and the values `[S]` of a function at each point."""

    def total(points: Tensor) -> tuple[Tensor, Tensor]:
        values = function(points)
        return values.sum(), values

    gradients, (_, values) = grad_and_value(total, has_aux=True)(points)
    return gradients, values


def paired(points: Tensor) -> Tensor:
    """Return a single point beside a copy of itself."""
    return points.expand(2, -1).contiguous() if len(points) == 1 else points


def unpaired(estimate: PointEstimate, points: Tensor) -> PointEstimate:
    """Return what is learnt at the points themselves, without a single one's copy."""
    if len(points) > 1:
        return estimate
    return PointEstimate(*(None if learnt is None else learnt[:1] for learnt in estimate))  # type: ignore[arg-type]
