"""Gradients of a function of n variables at S points at once, recorded: one point for each seed of a run.

What happens at one point does not depend, to the last bit, on how many others are computed beside it. That is why
each seed has a generator of its own, tangents of a point start at a multiple of 8 elements (matrix products may round
differently elsewhere), and a single point is computed beside a copy of itself (a batch of one takes other kernels).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from frog_cli import ideas
from frog_cli.engine.recording import record, with_recorded_measurement
from frog_cli.engine.tangent_stream import TangentStream
from frog_cli.gradients.aggregation import Aggregation
from frog_cli.gradients.estimate import ForwardGradient
from frog_cli.gradients.points import Function, gradient_and_value, points
from frog_cli.gradients.second_order import SecondOrder, step_along
from frog_cli.gradients.space import Estimate, Measured, Tensors

PointGradient = Callable[[Tensor], Estimate]
"""Maps points `[S, n]` to what is learnt there."""

Estimator = Callable[[Function, Tensor, Sequence[int], int], PointGradient]
"""Makes an estimator of a function's gradient for points `[S, n]`, with one seed for each, after so many steps."""


def forward_gradient(
    method: ForwardGradient,
    function: Function,
    start: Tensor,
    seeds: Sequence[int],
    after: int = 0,
    compiled: bool = False,
) -> PointGradient:
    """Return an estimator of the function's gradient from k tangents, one seed for each of the points `[S, n]`.

    Its tangents are those that follow after so many steps. The operations may be compiled.
    """
    stream = TangentStream(method.tangents, paired_seeds(seeds), start, method.k, after)
    space = points(function, method.measure, method.chunk_size, start.dtype, method.epsilon)
    recorded_form: Aggregation = ideas.trait(method.aggregation, "without_branch", method.aggregation)

    def along(points: Tensor, V: Tensor) -> Tensors:
        measured = space.measure(points, V)
        (gradients,) = space.step(V, recorded_form(V, measured.slopes), measured)
        branches = recorded_form is not method.aggregation
        return measured.loss, gradients, *((measured.slopes, gradients.isfinite().all()) if branches else ())

    replay = record(along, paired(start), stream.peek(), compiled=compiled)

    def estimate(points: Tensor) -> Estimate:
        V = next(stream)
        values, gradients, *more = replay(paired(points), V)
        if more:
            slopes, finite = more
            if not finite:  # tangents that need the general solution
                (gradients,) = space.step(V, method.aggregation(V, slopes), Measured(values, slopes))
        return unpaired(Estimate(values, (gradients,)), points)

    return estimate


def backprop(
    function: Function, start: Tensor, seeds: Sequence[int], after: int = 0, compiled: bool = False
) -> PointGradient:
    """Return the gradient itself by one reverse pass: the reference."""
    del seeds, after
    replay = record(lambda x: gradient_and_value(function, x), paired(start), compiled=compiled)

    def estimate(points: Tensor) -> Estimate:
        gradients, values = replay(paired(points))
        return unpaired(Estimate(values, (gradients,)), points)

    return estimate


def second_order(
    method: SecondOrder, function: Function, start: Tensor, seeds: Sequence[int], after: int = 0
) -> PointGradient:
    """Return an estimator of second-order steps at points `[S, n]`, with one seed for each, after so many steps."""
    n = start.shape[1]
    stream = TangentStream(method.tangents, paired_seeds(seeds), start, method.k, after)
    basis = torch.eye(n, dtype=start.dtype, device=start.device).expand(len(paired(start)), n, n)
    space = points(function, "second order", dtype=start.dtype)

    def directions(points: Tensor) -> Tensor:
        if method.directions == "sampled":
            return next(stream)
        if method.directions == "gradient":
            return gradient_and_value(function, points)[0].unsqueeze(1)
        return basis

    example = stream.peek() if method.directions == "sampled" else directions(paired(start))
    space = with_recorded_measurement(space, lambda function: record(function, paired(start), example))

    def estimate(points: Tensor) -> Estimate:
        V = directions(paired(points))
        return unpaired(step_along(V, method.rule, space, paired(points)), points)

    return estimate


def curvature(function: Function, start: Tensor) -> Callable[[Tensor, Tensor], Measured]:
    """Return what measures slope `[S, 1]` and curvature `[S, 1, 1]` along directions `[S, n]` from points."""
    space, example = points(function, "second order", dtype=start.dtype), paired(start)
    space = with_recorded_measurement(space, lambda function: record(function, example, example.unsqueeze(1)))

    def along(points: Tensor, direction: Tensor) -> Measured:
        loss, slopes, curvature, _ = space.measure(paired(points), paired(direction).unsqueeze(1))
        assert curvature is not None
        count = len(points)
        return Measured(loss[:count], slopes[:count], curvature[:count])

    return along


def norms(points: Tensor) -> Tensor:
    """Return the norms `[S]` of vectors `[S, n]`."""
    return torch.linalg.vector_norm(paired(points), dim=-1)[: len(points)]


def paired(points: Tensor) -> Tensor:
    """Return a single point beside a copy of itself."""
    return points.expand(2, -1).contiguous() if len(points) == 1 else points


def paired_seeds(seeds: Sequence[int]) -> Sequence[int]:
    """Return a single seed twice."""
    return [*seeds, *seeds] if len(seeds) == 1 else seeds


def unpaired(estimate: Estimate, points: Tensor) -> Estimate:
    """Return what is learnt at the points themselves, without a single one's copy."""
    if len(points) > 1:
        return estimate
    failed = None if estimate.failed is None else estimate.failed[:1]
    return Estimate(estimate.loss[:1], tuple(gradient[:1] for gradient in estimate.gradients), failed)
