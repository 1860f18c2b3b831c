"""How ranks share a step: each measures along tangents of its own, or on samples of its own, and tells the others.

All ranks have the same weights and draw the same tangents V. A shared space is a space like any other: what is measured
there is measured by all ranks together. What travels for tangents are slopes, k numbers over weights and k for each
sample over activities, however many weights there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Generator, Tensor

from frog_cli.gradients.space import Estimate, Measured, Space, Tensors
from frog_cli.ranks.ranks import Ranks

Exchange = Literal["slopes", "steps"]
"""What ranks that share tangents tell each other beside slopes: nothing, or the steps along their own tangents."""


def shared_tangents(space: Space, ranks: Ranks, exchange: Exchange = "slopes") -> Space:
    """Return a space in which each rank measures along tangents of its own, neighbouring rows of V.

    Slopes are the same numbers as in `space` if a vectorised pass there has a rank's tangents to itself. With
    `exchange="steps"` each rank combines its own tangents alone, and the steps are added up, n numbers.
    """

    def measure(inputs: Tensor, targets: Tensor, V: Tensor) -> Measured:
        own, count = own_share(ranks, len(V))
        measured = space.measure(inputs, targets, V[own])
        return measured._replace(slopes=ranks.gathered(measured.slopes[:count], ranks.sizes(len(V))))

    def step(V: Tensor, coefficients: Tensor, measured: Measured) -> Tensors:
        own, count = own_share(ranks, len(V))
        return ranks.reduced(_times(count > 0, space.step(V[own], coefficients[own], measured)))

    return replace(space, measure=measure, step=step if exchange == "steps" else space.step)


def shared_samples(space: Space, ranks: Ranks) -> Space:
    """Return a space of the mean loss in which each rank measures it on samples of its own, neighbours in the batch."""

    def measure(inputs: Tensor, targets: Tensor, V: Tensor) -> Measured:
        own_inputs, own_targets, weight = own_samples(ranks, inputs, targets)
        return mean_measured(space.measure(own_inputs, own_targets, V), ranks, weight)

    return replace(space, measure=measure)


def mean_measured(measured: Measured, ranks: Ranks, weight: float) -> Measured:
    """Return the mean over ranks of what they have measured, of which this one's counts with some weight."""
    if ranks.size == 1:
        return measured
    numbers = [measured.loss, measured.slopes, *([] if measured.curvature is None else [measured.curvature])]
    joined = ranks.summed(torch.cat([number.flatten() for number in numbers]) * weight)
    parts = joined.split([number.numel() for number in numbers])
    means = (part.view_as(number) for part, number in zip(parts, numbers, strict=True))
    return measured._replace(**dict(zip(("loss", "slopes", "curvature"), means, strict=False)))


def mean_over_samples(
    gradient: Callable[[Tensor, Tensor, Generator], Estimate], ranks: Ranks
) -> Callable[[Tensor, Tensor, Generator], Estimate]:
    """Return the estimate of a batch's gradient as the mean over samples of which each rank has its own, n numbers."""

    def of_all(inputs: Tensor, targets: Tensor, generator: Generator) -> Estimate:
        own_inputs, own_targets, weight = own_samples(ranks, inputs, targets)
        estimate = gradient(own_inputs, own_targets, generator)
        loss, *gradients = ranks.reduced(_times(weight, [estimate.loss, *estimate.gradients]))
        return Estimate(loss.clone(), tuple(gradients))  # whoever keeps it shall not keep the gradients as well

    return of_all if ranks.size > 1 else gradient


def own_samples(ranks: Ranks, inputs: Any, targets: Tensor) -> tuple[Any, Tensor, float]:
    """Return this rank's samples of a batch, and the weight of their mean in that of all; alone, the batch as it is."""
    if ranks.size == 1:
        return inputs, targets, 1.0
    own, count = own_share(ranks, len(targets))
    return inputs[own], targets[own], count / len(targets)


def own_share(ranks: Ranks, total: int) -> tuple[slice, int]:
    """Return which of some rows are this rank's and how many count: one without any takes the first for nothing."""
    own = ranks.share(total)
    return (own, own.stop - own.start) if own.stop > own.start else (slice(0, 1), 0)


def _times(factor: float, tensors: Sequence[Tensor]) -> Tensors:
    return tuple(tensor * factor for tensor in tensors)
