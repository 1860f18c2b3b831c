"""Second-order forward mode in the space of weights: the FoMoH family and Newton's method (arXiv 2408.10419).

Value, slopes and curvature along all directions come from one forward pass with jets; a search makes a step of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn import Module

from frog_cli.engine.phases import begins
from frog_cli.engine.recording import record
from frog_cli.gradients.estimate import Estimate, PointEstimate, SampleLoss, without_autocast
from frog_cli.gradients.measurement import random_state
from frog_cli.gradients.points import Function, PointGradient, TangentStream, gradient_and_value, paired, unpaired
from frog_cli.gradients.step_rules import Search
from frog_cli.gradients.tangents import Sampler
from frog_cli.gradients.weights import backprop, shaped
from frog_cli.jets.jet import measure_second_order
from frog_cli.modules.calls import call_with, kept_as_it_is, trainable, untouched
from frog_cli.modules.requirements import check_batch, check_reached_through_modules


@dataclass(frozen=True, kw_only=True)
class SecondOrder:
    """A second-order method: along which directions it measures, and how it searches there.

    Attributes:
        directions: `sampled` tangents, the `gradient` itself by one reverse pass, or the whole `basis`.
        k: number of sampled tangents.
        tangents: samples them.
        search: makes coefficients of slopes and curvature.
    """

    directions: Literal["sampled", "gradient", "basis"]
    k: int
    tangents: Sampler
    search: Search


Measure = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""Maps inputs, targets and directions V `[K, n]` to value, slopes `[K]` and curvature `[K, K]` of the mean loss."""


def search_in_weights(
    method: SecondOrder,
    model: Module,
    loss: SampleLoss,
    inputs: Tensor,
    targets: Tensor,
    generator: Generator,
    measure: Measure | None = None,
) -> Estimate:
    """Search for a step in the space of all trained parameters, by the mean loss over the batch.

    Buffers such as the running statistics of batch normalisation change once, as in a plain forward pass. The
    measurement may be given, as a recording of it.
    """
    check_batch(inputs)
    parameters = [parameter for _, parameter in trainable(model)]
    sizes = [parameter.numel() for parameter in parameters]
    if method.directions == "sampled":
        begins("tangents")
        V = method.tangents((method.k, sum(sizes)), generator, parameters[0].dtype)
    elif method.directions == "gradient":
        # the model has been called once when the search below has run, which sees what this pass sees
        random_numbers = random_state(parameters[0].device)
        with kept_as_it_is(model):
            gradients = backprop(model, loss, inputs, targets, generator).gradients
        random_state(parameters[0].device, random_numbers)
        V = torch.cat([gradient.flatten() for gradient in gradients]).unsqueeze(0)
    else:
        V = torch.eye(sum(sizes), dtype=parameters[0].dtype, device=parameters[0].device)

    begins("derivatives")
    value, slopes, curvature = (measure or measure_in_weights(model, loss))(inputs, targets, V)
    begins("aggregation")
    with without_autocast(V.device):
        coefficients = method.search(slopes, curvature).to(V.dtype)
        failed = ~coefficients.isfinite().all()
        step = torch.where(failed, 0, coefficients) @ V
    steps = tuple(s.view_as(p) for s, p in zip(step.split(sizes), parameters, strict=True))
    return Estimate(value, steps, failed)


def measure_in_weights(model: Module, loss: SampleLoss) -> Measure:
    """Return what measures the mean loss of a model over a batch, where its weights are."""
    parameters = [parameter for _, parameter in trainable(model)]

    def measure(inputs: Tensor, targets: Tensor, V: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        def mean_loss(*values: Tensor) -> Tensor:
            losses = loss(call_with(model, values, {}, untouched(inputs, model)), targets)
            return check_reached_through_modules(losses, parameters).mean()

        return measure_second_order(mean_loss, parameters, shaped(V, parameters))

    return measure


def search_at_points(
    method: SecondOrder, function: Function, points: Tensor, seeds: Sequence[int], after: int = 0
) -> PointGradient:
    """Return a search for steps of a function at points `[S, n]`, with one seed for each, after so many steps."""
    n = points.shape[1]
    paired_seeds = [*seeds, *seeds] if len(points) == 1 else seeds
    stream = TangentStream(method.tangents, paired_seeds, points, method.k, after)
    basis = torch.eye(n, dtype=points.dtype, device=points.device).expand(len(paired_seeds), n, n)

    def measured(points: Tensor, V: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return measure_second_order(function, (points,), (V.transpose(0, 1),))

    def directions(points: Tensor) -> Tensor:
        if method.directions == "sampled":
            return next(stream)
        if method.directions == "gradient":
            return gradient_and_value(function, points)[0].unsqueeze(1)
        return basis

    example = stream.peek() if method.directions == "sampled" else directions(paired(points))
    replay = record(measured, paired(points), example)

    def estimate(points: Tensor) -> PointEstimate:
        V = directions(paired(points))
        values, slopes, curvature = replay(paired(points), V)
        coefficients = method.search(slopes, curvature)
        failed = ~coefficients.isfinite().all(-1)
        steps = (torch.where(failed.unsqueeze(-1), 0, coefficients).unsqueeze(-1) * V).sum(-2)
        return unpaired(PointEstimate(values, steps, failed), points)

    return estimate
