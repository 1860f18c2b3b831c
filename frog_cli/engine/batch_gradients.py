"""Gradients of a network's loss over a batch, each as fast as it goes: recorded where the network allows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Generator, Tensor
from torch.jit import ScriptModule
from torch.nn import Module, MultiheadAttention, RNNBase
from torch.nn.modules.dropout import _DropoutNd

from frog_cli import ideas
from frog_cli.engine.faster_rules import faster_jets
from frog_cli.engine.phases import enter_phase, in_phase, in_phases
from frog_cli.engine.recording import recorded_by_shape, with_recorded_measurement, with_recorded_parts
from frog_cli.gradients.aggregation import Aggregation
from frog_cli.gradients.estimate import ForwardGradient, estimate_along
from frog_cli.gradients.second_order import SecondOrder, curved_weights, directions, step_along
from frog_cli.gradients.space import Estimate, Measured, SampleLoss, Space, Tensors
from frog_cli.gradients.weights import backprop, flat
from frog_cli.ideas.registry import Curvature
from frog_cli.ranks.grid import Grid
from frog_cli.ranks.ranks import ALONE, Ranks
from frog_cli.ranks.sharing import Exchange, mean_over_samples, shared_samples, shared_tangents

BatchGradient = Callable[[Tensor, Tensor, Generator], Estimate]
"""Estimates the gradient of one model and loss, from inputs, targets and a source of tangents."""

RECORDED_DIRECTIONS = 32
"""Up to so many a second-order pass is recorded: its operations, one for each pair, grow with the square."""

RANDOM = MultiheadAttention, RNNBase
"""Modules that drop out without a module for it."""


def recordable(model: Module) -> bool:
    """Return whether a model's operations can be recorded: it keeps no statistics and draws no random numbers.

    Modules of torch.jit take other kernels after some calls, which round otherwise.
    """
    if any(isinstance(module, ScriptModule) for module in model.modules()):
        return False
    draws = any(isinstance(module, _DropoutNd) and module.p > 0 for module in model.modules())
    draws = draws or any(getattr(module, "dropout", 0) for module in model.modules() if isinstance(module, RANDOM))
    return not draws and not any(True for _ in model.buffers())


def fast_forward_gradient(
    method: ForwardGradient, space: Space, model: Module, compiled: bool = False, phase_of_step: str = "aggregation"
) -> BatchGradient:
    """Return the same as `estimate`, recorded for each shape of a batch and then replayed if the model is recordable.

    It reads the parameters where they are, so optimisers must change them in place, as those of torch.optim do.

    Args:
        method: the forward gradient.
        space: where its tangents live.
        model: whose gradient is estimated.
        compiled: whether to compile the recordings, too.
        phase_of_step: what the time counts as that it takes to make a step of coefficients.

    Returns:
        The same estimates, from a generator in the same state, but for the rounding of products.
    """
    space = in_phases(space, phase_of_step)
    sample, aggregation = in_phase("tangents", method.tangents), in_phase("aggregation", method.aggregation)
    recorded_form: Aggregation = ideas.trait(method.aggregation, "without_branch", method.aggregation)

    def along(aggregation: Aggregation, inputs: Tensor, targets: Tensor, V: Tensor) -> Tensors:
        loss, gradients, *_ = estimate_along(V, aggregation, space, inputs, targets)
        return loss, *gradients

    recorded_along = partial(along, in_phase("aggregation", recorded_form))
    recorder = partial(recorded_by_shape, model=model, compiled=compiled, as_it_is=partial(along, aggregation))
    replay = recorder(recorded_along) if recordable(model) else None
    dimensions: dict[torch.Size, int] = {}

    def gradient(inputs: Tensor, targets: Tensor, generator: Generator) -> Estimate:
        if inputs.shape not in dimensions:
            dimensions[inputs.shape] = space.dimension(inputs)
        V = sample((method.k, dimensions[inputs.shape]), generator, space.dtype)
        if replay is not None:
            loss, *gradients = replay(inputs, targets, V)
            if recorded_form is method.aggregation or gradients[-1].isfinite().all():
                return Estimate(loss, tuple(gradients))
        with faster_jets():
            return estimate_along(V, aggregation, space, inputs, targets)

    return gradient


def forward_gradient_over_ranks(
    method: ForwardGradient,
    space: Space,
    model: Module,
    grid: Grid,
    exchange: Exchange = "slopes",
    compiled: bool = False,
    phase_of_step: str = "aggregation",
) -> BatchGradient:
    """Return the same as `fast_forward_gradient`, by ranks that each do a share of it.

    The operations are the same, in recordings of their own. With a `chunk_size` that divides each rank's share of the
    tangents the numbers do not depend on how many ranks share tangents, to the last bit, unless steps are exchanged;
    those of `fast_forward_gradient` are the same where its recording does not have to give way to another solution.

    Args:
        method: the forward gradient.
        space: where its tangents live.
        model: whose gradient is estimated.
        grid: the ranks.
        exchange: what ranks that share tangents tell each other.
        compiled: whether to compile the recordings, too.
        phase_of_step: what the time counts as that it takes to make a step of coefficients.
    """
    dimension, of_samples = space.dimension, space.of_samples
    aggregation, sample = method.aggregation, in_phase("tangents", method.tangents)
    if recordable(model):
        recorder = partial(recorded_by_shape, model=model, compiled=compiled)
        space = with_recorded_parts(space, partial(recorder, may_draw=not of_samples))
        aggregation = _recorded_aggregation(aggregation, recorder)
    space = in_phases(space, phase_of_step)
    if not of_samples:
        space = shared_samples(space, grid.batch)
    space, aggregation = shared_tangents(space, grid.tangents, exchange), in_phase("aggregation", aggregation)

    def gradient(inputs: Tensor, targets: Tensor, generator: Generator) -> Estimate:
        V = sample((method.k, dimension(inputs)), generator, space.dtype)
        with faster_jets():
            return estimate_along(V, aggregation, space, inputs, targets)

    return mean_over_samples(gradient, grid.batch) if of_samples else gradient


def _recorded_aggregation(
    aggregation: Aggregation, recorder: Callable[[Callable[..., Tensors]], Callable[..., Tensors]]
) -> Aggregation:
    """Return an aggregation in its recorded form, where that finds coefficients."""
    recorded_form: Aggregation = ideas.trait(aggregation, "without_branch", aggregation)
    replay = recorder(lambda slopes, V: (recorded_form(V, slopes),))  # anew for each shape of the slopes

    def aggregate(V: Tensor, slopes: Tensor) -> Tensor:
        (coefficients,) = replay(slopes, V)
        if recorded_form is aggregation or coefficients.isfinite().all():
            return coefficients
        return aggregation(V, slopes)

    return aggregate


def fast_backprop(model: Module, loss: SampleLoss, compiled: bool = False) -> BatchGradient:
    """Return backpropagation, recorded for each shape of a batch if the model is recordable, and compiled if wanted."""

    def estimate(inputs: Tensor, targets: Tensor) -> Tensors:
        value, gradients, *_ = backprop(model, loss, inputs, targets)
        return value, *gradients

    estimate = in_phase("derivatives", estimate)
    replay = recorded_by_shape(estimate, model, compiled) if recordable(model) else estimate

    def gradient(inputs: Tensor, targets: Tensor, generator: Generator) -> Estimate:
        del generator
        value, *gradients = replay(inputs, targets)
        return Estimate(value, tuple(gradients))

    return gradient


def fast_curved_weights(model: Module, loss: SampleLoss, curvature: Curvature = "hessian") -> Space:
    """Return the same as `curved_weights`, whose measurement is recorded if the model is recordable.

    Not along more directions than `RECORDED_DIRECTIONS`.
    """
    space = curved_weights(model, loss, curvature)
    if not recordable(model):
        return space
    recorded = with_recorded_measurement(space, partial(recorded_by_shape, model=model))

    def measure(inputs: Tensor, targets: Tensor, V: Tensor) -> Measured:
        return (recorded if len(V) <= RECORDED_DIRECTIONS else space).measure(inputs, targets, V)

    return replace(space, measure=measure)


def fast_second_order(
    method: SecondOrder, model: Module, loss: SampleLoss, sharing_samples: Ranks = ALONE
) -> BatchGradient:
    """Return the same as `estimate_second_order`, whose measurement is recorded if the model is recordable."""
    rule = in_phase("aggregation", method.rule)
    space = in_phases(fast_curved_weights(model, loss, method.curvature), "aggregation")
    space = shared_samples(space, sharing_samples)

    def gradient(inputs: Tensor, targets: Tensor, generator: Generator) -> Estimate:
        enter_phase("tangents" if method.directions == "sampled" else "derivatives")
        V = directions(method, model, loss, inputs, targets, generator)
        with faster_jets():
            return step_along(V, rule, space, inputs, targets)

    return gradient


def fast_curvature(model: Module, loss: SampleLoss) -> Callable[[Tensor, Tensor, Tensors], Measured]:
    """Return what measures slope and curvature of the mean loss along a direction with the shapes of the parameters."""
    measure = in_phase("derivatives", fast_curved_weights(model, loss).measure)

    def along(inputs: Tensor, targets: Tensor, direction: Tensors) -> Measured:
        with faster_jets():
            return measure(inputs, targets, flat(direction).unsqueeze(0))

    return along
