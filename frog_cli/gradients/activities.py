"""Activity perturbation: tangents live in the space of the layers' outputs, n their number for one sample.

One tangent is drawn over all layers at once and shared by the batch; slopes are per sample, and so are the
estimated gradients of the activities. Each layer's weight gradients follow by that layer's own derivative.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Generator, Tensor
from torch.nn import Module, Sequential

from frog_cli.engine.phases import begins
from frog_cli.gradients.estimate import Estimate, ForwardGradient, SampleLoss, without_autocast
from frog_cli.gradients.measurement import forward, random_state, simulated
from frog_cli.modules.calls import (
    attributes_restored,
    call_with,
    cloned_buffers,
    copied,
    kept_as_it_is,
    trainable,
    untouched,
)
from frog_cli.modules.requirements import (
    as_layers,
    check_batch,
    check_one_tensor,
    check_reached_through_modules,
    each_loss,
    only_tensor,
    warn_of_coupling,
)


def estimate_from_activities(
    method: ForwardGradient,
    model: Module,
    loss: SampleLoss,
    inputs: Tensor,
    targets: Tensor,
    generator: Generator,
) -> Estimate:
    """Estimate the gradient from k tangents over the outputs of all layers of a sequential model.

    Measured forward, it holds the activities of one layer at a time: its memory does not grow with the depth.

    Batch normalisation in training mode couples the samples of a batch. Then the forward slopes, of each sample's own
    loss along all samples' activities, do not estimate the gradient, not even in expectation: a warning says so once.
    Simulated slopes, weight space, and normalisation that couples no samples (`GroupNorm`, `LayerNorm`) do. The warning
    knows batch normalisation alone: attention or statistics over the batch, and losses over pairs, couple as well.
    What the layers would do otherwise than the model, and losses that are not one number per sample, are refused.

    Args:
        method: the forward gradient.
        model: a `torch.nn.Sequential`, whose children are the layers; each takes and returns one tensor.
        loss: of each sample.
        inputs: a batch `[B, ..]`, one tensor.
        targets: of the batch, `[B, ..]`.
        generator: the source of the tangents.
    """
    parameters = trainable(model)
    layered = as_layers(model)
    check_one_tensor(inputs)
    check_batch(inputs)
    layers: Iterable[tuple[Tensor, Tensor]]
    if method.measure == "forward":
        warn_of_coupling(layered)
        sizes = activity_sizes(layered, inputs[:2])  # one does not do for some norms
        random_numbers, restore = random_state(inputs.device), attributes_restored(model)
        begins("tangents")
        V = method.tangents((method.k, sum(sizes)), generator, parameters[0][1].dtype)
        losses, slopes = _measure_forward(layered, loss, inputs, targets, V.split(sizes, dim=1), method.chunk_size)
        # the second pass sees what the one along the tangents saw
        random_state(inputs.device, random_numbers)
        restore()
        layers = _layer_by_layer(layered, inputs, linked=False)
    else:
        begins("derivatives")
        layers = list(_layer_by_layer(layered, inputs, linked=True))
        losses, true_gradients = _reverse(loss, targets, layers)
        sizes = [gradient.shape[1] for gradient in true_gradients]
        begins("tangents")
        V = method.tangents((method.k, sum(sizes)), generator, losses.dtype)
        begins("derivatives")
        with without_autocast(V.device):
            slopes = simulated(torch.cat(true_gradients, dim=1).to(V.dtype).mT, V)
        del true_gradients
    begins("aggregation")
    with without_autocast(V.device):
        coefficients = method.aggregation(V, slopes.to(V.dtype)).mT / len(inputs)
    return Estimate(losses.mean(), _local_gradients(layered, layers, coefficients, V.split(sizes, dim=1)))


def activity_dimension(model: Sequential, inputs: Tensor) -> int:
    """Return n, the number of all layers' outputs for one sample of the batch `inputs`."""
    return sum(activity_sizes(model, inputs))


def activity_sizes(model: Sequential, inputs: Tensor) -> list[int]:
    """Return the number of outputs of each layer for one sample of the batch `inputs`; the model stays as it is."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()  # which draws no random numbers and changes no statistics, if all modules heed it
    random_numbers = random_state(inputs.device)
    try:
        with kept_as_it_is(model):
            return [output[0].numel() for _, output in _layer_by_layer(model, inputs, linked=False)]
    finally:
        for module, training in modes:
            module.training = training
        random_state(inputs.device, random_numbers)


def _layer_by_layer(model: Sequential, inputs: Tensor, *, linked: bool) -> Iterator[tuple[Tensor, Tensor]]:
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


def _local_gradients(
    model: Sequential, layers: Iterable[tuple[Tensor, Tensor]], coefficients: Tensor, tangents: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Return the gradients of all weights that follow from the estimated gradients of the activities.

    Args:
        model: the layers.
        layers: what goes into each and what comes out, with a graph.
        coefficients: of the tangents, for each sample, `[B, k]`.
        tangents: each layer's share of them, `[k, n_l]`.
    """
    parameters = [parameter for _, parameter in trainable(model)]
    found: dict[int, Tensor] = {}
    begins("local gradients")  # with the pass that makes the activities again
    for layer, (_, output), V in zip(model, layers, tangents, strict=True):
        own = [parameter for parameter in layer.parameters() if parameter.requires_grad]
        if not own:
            continue
        begins("aggregation")
        with without_autocast(V.device):
            cotangent = (coefficients @ V).to(output.dtype).view_as(output)
        if not output.requires_grad:  # which does not depend on the layer's weights
            continue
        if not output.is_contiguous():  # torch's derivative of group normalisation needs the layout of the output
            cotangent = torch.empty_like(output).copy_(cotangent)
        begins("local gradients")
        gradients = torch.autograd.grad(output, own, cotangent, materialize_grads=True)
        for parameter, gradient in zip(own, gradients, strict=True):
            earlier = found.get(id(parameter))  # of a layer that shares the parameter
            found[id(parameter)] = gradient if earlier is None else earlier + gradient
    return tuple(found[id(one)] if id(one) in found else torch.zeros_like(one) for one in parameters)


def _measure_forward(
    model: Sequential,
    loss: SampleLoss,
    inputs: Tensor,
    targets: Tensor,
    tangents: Sequence[Tensor],
    chunk_size: int | None,
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


def _reverse(loss: SampleLoss, targets: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, list[Tensor]]:
    """Return each sample's loss `[B]`, and for each layer the true gradients `[B, n_l]` of their sum by its outputs."""
    last = layers[-1][1].detach().requires_grad_()
    with torch.enable_grad():
        losses = each_loss(loss, last, targets)
        gradients = [torch.autograd.grad(losses.sum(), last)[0]]
    for entering, output in layers[:0:-1]:
        gradients.insert(0, torch.autograd.grad(output, entering, gradients[0], retain_graph=True)[0])
    return losses.detach(), [gradient.flatten(1) for gradient in gradients]
