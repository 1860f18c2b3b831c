"""Gradients from tangents of each sample's own, recorded where the network allows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Generator, Tensor
from torch.nn import Module, ModuleList, Sequential

from frog_cli import ideas
from frog_cli.engine.batch_gradients import recordable
from frog_cli.engine.faster_rules import faster_jets
from frog_cli.engine.recording import recorded_by_shape
from frog_cli.gradients.activities import activity_sizes
from frog_cli.gradients.space import SampleLoss, Tensors
from frog_cli.modules.requirements import check_batch
from frog_cli.sample_tangents.estimate import SampleEstimate, SampleTangents, estimate_along
from frog_cli.sample_tangents.heads import Heads


def fast_sample_tangents(
    method: SampleTangents, model: Sequential, heads: Heads | None, loss: SampleLoss
) -> Callable[[Tensor, Tensor, Generator], SampleEstimate]:
    """Return the same as `estimate_from_sample_tangents`, recorded for each shape of a batch and then replayed.

    It reads the parameters of model and heads where they are, so that they must be changed in place. A model that is
    not recordable runs as it is.
    """
    without_branch = ideas.trait(method.aggregation, "without_branch", method.aggregation)
    parameters = len([one for one in model.parameters() if one.requires_grad])

    def along(method: SampleTangents, inputs: Tensor, targets: Tensor, V: Tensor) -> Tensors:
        found = estimate_along(method, model, heads, loss, inputs, targets, V)
        return found.loss, found.coefficients, *found.gradients, *found.of_heads

    everything: Module = model if heads is None else ModuleList([model, heads])
    recorder = partial(recorded_by_shape, model=everything, as_it_is=partial(along, method))
    recorded_along = partial(along, replace(method, aggregation=without_branch))
    replay = recorder(recorded_along) if recordable(model) else None
    dimensions: dict[torch.Size, int] = {}

    def gradient(inputs: Tensor, targets: Tensor, generator: Generator) -> SampleEstimate:
        if inputs.shape not in dimensions:
            check_batch(inputs)
            dimensions[inputs.shape] = sum(activity_sizes(model, inputs[:2]))
        dtype = next(model.parameters()).dtype
        V = method.draw(len(inputs), dimensions[inputs.shape], generator, dtype)
        if replay is not None:
            value, coefficients, *found = replay(inputs, targets, V)
            if without_branch is method.aggregation or coefficients.isfinite().all():
                return SampleEstimate(value, tuple(found[:parameters]), tuple(found[parameters:]), coefficients)
        with faster_jets():
            return estimate_along(method, model, heads, loss, inputs, targets, V)

    return gradient
