"""The space of activities: tangents live in the space of the layers' outputs, n their number for one sample.

One tangent is drawn over all layers at once and shared by the batch; slopes are per sample, and so are the
estimated gradients of the activities. Each layer's weight gradients follow by that layer's own derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn import Module, Sequential

from frog_cli.gradients.estimate import ForwardGradient, estimate
from frog_cli.gradients.measurement import forward, simulated
from frog_cli.gradients.space import Estimate, Measured, SampleLoss, Space, Tensors, without_autocast
from frog_cli.modules.calls import call_with, cloned_buffers, copied, parameters_of, untouched
from frog_cli.modules.random_numbers import random_state, set_random_state
from frog_cli.modules.requirements import (
    as_layers,
    check_batch,
    check_one_tensor,
    check_reached_through_modules,
    each_loss,
    only_tensor,
    warn_of_backward_hooks,
    warn_of_coupling,
)
from frog_cli.modules.restoring import attributes_restored, kept_as_it_is


def estimate_from_activities(
    method: ForwardGradient, model: Module, loss: SampleLoss, inputs: Tensor, targets: Tensor, generator: Generator
) -> Estimate:
    """Estimate the gradient from k tangents over the outputs of all layers of a sequential model.

    The model is a `torch.nn.Sequential`, whose children are the layers; each takes and returns one tensor `[B, ..]`.
    Measured forward, it holds the activities of one layer at a time: its memory does not grow with the depth.

    Batch normalisation in training mode couples the samples of a batch. Then the forward slopes, of each sample's own
    loss along all samples' activities, do not estimate the gradient, not even in expectation: a warning says so once.
    Simulated slopes, weight space, and normalisation that couples no samples (`GroupNorm`, `LayerNorm`) do. The warning
    knows batch normalisation alone: attention or statistics over the batch, and losses over pairs, couple as well.
    What the layers would do otherwise than the model, and losses that are not one number per sample, are refused.

    Raises:
        ValueError: if slopes are to be measured by differences.
    """
    if method.measure == "difference":
        raise ValueError("measure='difference' is for the space of weights alone")
    return estimate(method, activities(model, loss, method.measure, method.chunk_size), inputs, targets, generator)


def activities(
    model: Module, loss: SampleLoss, how: Literal["forward", "simulated"] = "forward", chunk_size: int | None = None
) -> Space:
    """Return the space of a model's activities, with slopes `[k, B]` of each sample's loss measured in one of two ways.

    The layers' sizes are found once for each shape of a sample.
    """
    layers = as_layers(model)
    known: dict[torch.Size, list[int]] = {}

    def sizes(inputs: Tensor) -> list[int]:
        check_one_tensor(inputs)
        check_batch(inputs)
        if inputs.shape[1:] not in known:
            known[inputs.shape[1:]] = activity_sizes(layers, inputs[:2])  # one sample does not do for some norms
        return known[inputs.shape[1:]]

    def outputs(inputs: Tensor) -> Iterator[Tensor]:
        return (output for _, output in layer_passes(layers, inputs, linked=False))

    def measured_forward(inputs: Tensor, targets: Tensor, V: Tensor) -> Measured:
        warn_of_coupling(layers)
        warn_of_backward_hooks(layers)
        shares = V.split(sizes(inputs), dim=1)
        random_numbers, restore = random_state(inputs.device), attributes_restored(layers)
        losses, slopes = _forward(layers, loss, inputs, targets, shares, chunk_size)
        # the pass that makes the outputs sees what the one along the tangents saw
        set_random_state(inputs.device, random_numbers)
        restore()
        return Measured(losses.mean(), slopes, outputs=outputs(inputs))

    def measured_simulated(inputs: Tensor, targets: Tensor, V: Tensor) -> Measured:
        passes = list(layer_passes(layers, inputs, linked=True))
        losses, gradients = reverse(loss, targets, passes)
        with without_autocast(V.device):
            slopes = simulated(torch.cat(gradients, dim=1).to(V.dtype).mT, V)
        return Measured(losses.mean(), slopes, outputs=[output for _, output in passes])

    measure = {"forward": measured_forward, "simulated": measured_simulated}[how]

    def step(V: Tensor, coefficients: Tensor, measured: Measured) -> Tensors:
        coefficients = coefficients.mT / coefficients.shape[1]

        def of_activities(part: slice) -> Tensor:
            with without_autocast(V.device):
                return coefficients @ V[:, part]

        return local_gradients(layers, measured.outputs, of_activities)

    dtype = parameters_of(model)[0].dtype
    return Space(lambda inputs: sum(sizes(inputs)), dtype, measure, step, of_samples=True, outputs=outputs)


def activity_sizes(model: Sequential, inputs: Tensor) -> list[int]:
    """Return the number of outputs of each layer for one sample of the batch `inputs`; the model stays as it is."""
    with kept_as_it_is(model, inputs.device):
        model.eval()  # which draws no random numbers and changes no statistics, if all modules heed it
        return [output[0].numel() for _, output in layer_passes(model, inputs, linked=False)]


def layer_passes(model: Sequential, inputs: Tensor, *, linked: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield what goes into each layer and what comes out, which has a graph of that layer alone.

    Args:
        model: the layers.
        inputs: the batch.
        linked: whether the graph leads to what goes into the layer, too, as a pass backward through all layers needs.
    """
    output = inputs
    for index, layer in enumerate(model):
        entering = output.detach().requires_grad_(linked and index > 0)
        with torch.enable_grad():  # a layer may write to what it is given
            output = only_tensor(layer(untouched(entering, layer)), index, layer)
        yield entering, output


def _forward(
    model: Sequential, loss: SampleLoss, inputs: Tensor, targets: Tensor, tangents: Tensors, chunk_size: int | None
) -> tuple[Tensor, Tensor]:
    """Measure each sample's loss `[B]` and its slopes `[k, B]` along tangents with a share `[k, n_l]` of each layer."""
    restore = attributes_restored(model, loss)
    trained = list(model.parameters())

    def sample_losses(*perturbations: Tensor) -> tuple[Tensor, tuple[()]]:
        restore()
        activity = untouched(inputs, model)
        buffers = cloned_buffers(model)  # the statistics change in the pass that makes the local gradients
        for layer, perturbation in zip(model, perturbations, strict=True):
            weights = [weight.detach() for weight in layer.parameters() if weight.requires_grad]
            activity = call_with(layer, weights, buffers, activity)
            activity = activity + perturbation.view(1, *activity.shape[1:])  # shared by the batch
        return check_reached_through_modules(each_loss(loss, activity, copied(targets)), trained), ()

    zeros = tuple(torch.zeros_like(V[:1]) for V in tangents)
    losses, slopes, _ = forward(sample_losses, zeros, tuple(V.unsqueeze(1) for V in tangents), chunk_size)
    return check_reached_through_modules(losses, trained).detach(), slopes


def reverse(loss: SampleLoss, targets: Tensor, passes: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, list[Tensor]]:
    """Return each sample's loss `[B]`, and for each layer the true gradients `[B, n_l]` of their sum by its outputs."""
    last = passes[-1][1].detach().requires_grad_()
    with torch.enable_grad():
        losses = each_loss(loss, last, targets)
        gradients = [torch.autograd.grad(losses.sum(), last)[0]]
    for entering, output in passes[:0:-1]:
        gradients.insert(0, torch.autograd.grad(output, entering, gradients[0], retain_graph=True)[0])
    return losses.detach(), [gradient.flatten(1) for gradient in gradients]


def local_gradients(model: Sequential, outputs: Iterable[Tensor], of_activities: Callable[[slice], Tensor]) -> Tensors:
    """Return the weight gradients that follow from those of the activities, by each layer's own derivative.

    Args:
        model: the layers.
        outputs: of each layer, with a graph that leads to its own weights.
        of_activities: returns the gradients `[B, n_l]` of a part of all activities.
    """
    found: dict[int, Tensor] = {}
    end = 0
    for layer, output in zip(model, outputs, strict=True):
        start, end = end, end + output[0].numel()
        own = [parameter for parameter in layer.parameters() if parameter.requires_grad]
        if not own or not output.requires_grad:  # an output that does not depend on the layer's weights
            continue
        cotangent = of_activities(slice(start, end)).to(output.dtype).view_as(output)
        if not output.is_contiguous():  # torch's derivative of group normalisation needs the layout of the output
            cotangent = torch.empty_like(output).copy_(cotangent)
        gradients = torch.autograd.grad(output, own, cotangent, materialize_grads=True)
        for parameter, gradient in zip(own, gradients, strict=True):
            earlier = found.get(id(parameter))  # of a layer that shares the parameter
            found[id(parameter)] = gradient if earlier is None else earlier + gradient
    return tuple(found[id(one)] if id(one) in found else torch.zeros_like(one) for one in parameters_of(model))
