"""Steps of a network's training: the gradient that the settings describe, as fast as it goes, and an optimiser."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import Module, Sequential
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from frog_cli.data.dataset import Split
from frog_cli.engine.batch_gradients import (
    BatchGradient,
    fast_backprop,
    fast_curvature,
    fast_forward_gradient,
    fast_second_order,
    forward_gradient_over_ranks,
    recordable,
)
from frog_cli.engine.phases import enter_phase
from frog_cli.engine.regenerated import estimate_from_regenerated_weights
from frog_cli.errors import RequestError
from frog_cli.gradients.activities import activities
from frog_cli.gradients.second_order import curved_weights
from frog_cli.gradients.space import Estimate, SampleLoss, Space
from frog_cli.gradients.weights import flat, weights
from frog_cli.ideas.registry import Curvature
from frog_cli.jets.jet import NoRuleError
from frog_cli.modules.calls import parameters_of
from frog_cli.modules.requirements import coupling_modules
from frog_cli.modules.restoring import changes_in_a_call, kept_as_it_is
from frog_cli.modules.state import identity
from frog_cli.objectives import estimators
from frog_cli.objectives.sample_gradient import SampleGradient
from frog_cli.objectives.step_lengths import StepLengths
from frog_cli.ranks.grid import ONE_RANK, Grid
from frog_cli.ranks.sharing import mean_over_samples
from frog_cli.settings.schema import (
    Backprop,
    ClassificationRun,
    SecondOrder,
    StepLength,
    are_of_samples,
    are_regenerated,
)

SPACES: dict[str, tuple[Callable[..., Space], str]] = {
    "weights": (weights, "aggregation"),
    "activities": (activities, "local gradients"),
}
"""Where tangents live, and the phase that making a step of coefficients belongs to."""

sample_loss: SampleLoss = partial(cross_entropy, reduction="none")


def take_step(
    gradient: Callable[..., Estimate],
    parameters: Sequence[Tensor],
    optimizer: Optimizer,
    inputs: Any,
    targets: Any,
    generator: Generator,
    *measured_on: Split,
) -> Estimate:
    """Let an optimiser take one step by the gradient of a batch; return what was learnt before it.

    Steps with lengths from the curvature may be told which samples that is measured on.
    """
    estimate = gradient(inputs, targets, generator, *measured_on)
    enter_phase("optimiser")
    for parameter, estimated in zip(parameters, estimate.gradients, strict=True):
        parameter.grad = estimated
    optimizer.step()
    for parameter in parameters:
        parameter.grad = None  # before there are others
    return estimate


def with_lengths(direction: BatchGradient, lengths: StepLengths, model: Module) -> Callable[..., Estimate]:
    """Return steps along a method's directions, of lengths from the curvature of the mean loss along them.

    It is measured on the batch of the direction, or on other samples if these are given as well.
    """
    measure = fast_curvature(model, sample_loss)
    found: dict[Hashable, bool] = {}  # of each state that the model was in when it was measured

    def keeps_nothing(images: Tensor) -> bool:
        now = identity(model)
        if now not in found:
            found[now] = recordable(model) and not changes_in_a_call(model, images, images.device)
        return found[now]

    def gradient(images: Tensor, labels: Tensor, generator: Generator, measured_on: Split | None = None) -> Estimate:
        measures = lengths.measures
        # buffers change, and dropout draws, once for each step: in the measurement, from where the direction did
        kept = kept_as_it_is(model, images.device) if measures and not keeps_nothing(images) else nullcontext()
        with kept:
            estimate = direction(images, labels, generator)
        measured = measure(*(measured_on or (images, labels)), estimate.gradients) if measures else None
        return lengths.lengthen(estimate, _norm(estimate.gradients), measured)

    return gradient


def half_new(order: Tensor, batch_size: int) -> list[Tensor]:
    """Return for each batch of an epoch the samples that lengths are measured on: the half of it, and as many new ones.

    A batch's loss falls more steeply along its own gradient than that of other samples does. On the batch alone the
    lowest point lies too far out; on others alone, so near that training hardly proceeds. With a single batch for an
    epoch it is that batch.

    Args:
        order: the samples of an epoch, batch by batch.
        batch_size: samples in each batch but the last.
    """
    around = torch.cat([order, order[:batch_size]])
    batches = order.split(batch_size)
    middles = [number * batch_size + len(batch) // 2 for number, batch in enumerate(batches)]
    return [around[middle : middle + len(batch)] for middle, batch in zip(middles, batches, strict=True)]


def step_lengths(settings: StepLength, model: Module) -> StepLengths:
    """Return the step lengths of a network that begins with the weights that it has."""
    parameters = parameters_of(model)
    return StepLengths(settings, _norm(parameters), sum(map(torch.numel, parameters)))


def check_curvature(
    given: str, model: Module, images: Tensor, labels: Tensor, curvature: Curvature = "hessian"
) -> None:
    """Refuse a network whose curvature cannot be measured, before it is trained; it stays as it is.

    Args:
        given: the option that needs it, with its value.
        model: the network.
        images: of a small batch.
        labels: of these.
        curvature: which one.

    Raises:
        RequestError: naming the operation without a rule.
    """
    parameters = parameters_of(model)
    with kept_as_it_is(model, images.device):
        try:
            space = curved_weights(model, sample_loss, curvature)
            space.measure(images, labels, flat(parameters).detach().unsqueeze(0))
        except (NoRuleError, NotImplementedError, TypeError, ValueError) as error:
            raise RequestError(given, f"the curvature cannot be measured: {error}") from None


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    """Return the norm `[]` of all numbers of some tensors."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm([tensor.detach() for tensor in tensors])))


def batch_gradient(run: ClassificationRun, model: Sequential, inputs: Tensor, grid: Grid = ONE_RANK) -> BatchGradient:
    """Return the method that the settings describe, as fast as the model allows, for batches like `inputs`.

    Args:
        run: the settings.
        model: whose gradient is estimated.
        inputs: some of the inputs.
        grid: the ranks that estimate it together.

    Raises:
        RequestError: if the model does not allow it.
    """
    if grid.batch.size > 1:
        check_samples_are_independent(model, inputs)
    if isinstance(run.gradient, Backprop):
        return mean_over_samples(fast_backprop(model, sample_loss, run.compile), grid.batch)
    if isinstance(run.gradient, SecondOrder):
        second_order = estimators.second_order(run.gradient, run.tangents)
        return fast_second_order(second_order, model, sample_loss, grid.batch)
    if are_of_samples(run.tangents):
        return SampleGradient(run.gradient, run.tangents, model, sample_loss, inputs, grid.batch)
    method = estimators.forward_gradient(run.gradient, run.tangents)
    if are_regenerated(run.tangents):
        return partial(estimate_from_regenerated_weights, method, model, sample_loss, grid=grid, exchange=run.exchange)
    estimators.check_spacing(method, parameters_of(model))
    space, phase = SPACES[run.gradient.perturb]
    of_differences = {"epsilon": method.epsilon} if method.measure == "difference" else {}
    try:
        where = space(model, sample_loss, method.measure, method.chunk_size, **of_differences)
    except TypeError as error:
        raise RequestError(f"gradient.perturb={run.gradient.perturb}", str(error)) from None
    if run.parallel is None:
        return fast_forward_gradient(method, where, model, run.compile, phase)
    return forward_gradient_over_ranks(method, where, model, grid, run.exchange, run.compile, phase)


def check_samples_are_independent(model: Module, inputs: Tensor) -> None:
    """Refuse a model whose samples cannot be shared by ranks as if they were alone.

    Args:
        model: it stays as it is, but for its mode, which is that of training.
        inputs: some of them, to call it with.

    Raises:
        RequestError: if it normalises by the batch, or changes what it keeps or draws random numbers, as ranks would
            do alike.
    """
    coupling = coupling_modules(model)
    if coupling:
        raise RequestError(
            "parallel=batch", f"module {coupling[0]} normalises by the batch; parallel=tangents allows that"
        )
    if not recordable(model) or changes_in_a_call(model.train(), inputs, inputs.device):
        raise RequestError("parallel=batch", "the model keeps statistics or drops out; parallel=tangents allows that")
