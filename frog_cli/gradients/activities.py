"""Activity perturbation: tangents live in the space of the layers' outputs, n their number for one sample.

One tangent is drawn over all layers at once and shared by the batch; slopes are per sample, and so are the
estimated gradients of the activities. Each layer's weight gradients follow by that layer's own derivative.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.func import functional_call
from torch.nn import Module, Sequential

from frog_cli.gradients.estimate import Estimate, ForwardGradient, SampleLoss, trainable
from frog_cli.gradients.measurement import forward, random_state, simulated


def estimate_from_activities(
    method: ForwardGradient,
    model: Module,
    loss: SampleLoss,
    inputs: Tensor,
    targets: Tensor,
    generator: Generator,
) -> Estimate:
    """Estimate the gradient from k tangents over the outputs of all layers of a sequential model.

    Batch normalisation in training mode couples the samples: then the forward slope of a sample's own loss along all
    samples' activities is not the simulated slope of all losses along its own activities; only their sums agree.

    Raises:
        TypeError: if the model is not a `Sequential`, whose children are the layers.
    """
    if not isinstance(model, Sequential):
        raise TypeError(f"activity perturbation needs a torch.nn.Sequential of layers, not a {type(model).__name__}")
    inputs_of, outputs, random_numbers = _layer_by_layer(model, inputs)
    activities = [output.detach() for output in outputs]
    sizes = [activity[0].numel() for activity in activities]
    V = method.tangents((method.k, sum(sizes)), generator, activities[0].dtype)

    if method.measure == "forward":
        random_state(inputs.device, random_numbers)  # what the plain pass dropped out is dropped out again
        losses, slopes = _measure_forward(model, loss, targets, activities, V, method.chunk_size)
    else:
        losses, true_gradients = _reverse(loss, targets, inputs_of, outputs)
        slopes = simulated(torch.cat([gradient.flatten(1) for gradient in true_gradients], dim=1).mT, V)

    estimated = method.aggregation(V, slopes).mT @ V / len(inputs)
    cotangents = [g.view_as(a) for g, a in zip(estimated.split(sizes, dim=1), activities, strict=True)]
    parameters = [parameter for _, parameter in trainable(model)]
    varying = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
    gradients = torch.autograd.grad(
        [output for output, _ in varying], parameters, [cotangent for _, cotangent in varying], materialize_grads=True
    )
    return Estimate(losses.mean(), gradients)


def activity_dimension(model: Sequential, inputs: Tensor) -> int:
    """Return n, the number of all layers' outputs for one sample of the batch `inputs`."""
    return sum(activity_sizes(model, inputs))


def activity_sizes(model: Sequential, inputs: Tensor) -> list[int]:
    """Return the number of outputs of each layer for one sample of the batch `inputs`."""
    training = model.training
    with torch.no_grad():
        sizes = [output[0].numel() for output in _layer_by_layer(model.eval(), inputs).outputs]
    model.train(training)
    return sizes


class LayerByLayer(NamedTuple):
    """What went into the layers, what came out, and the state of the random numbers after the first layer."""

    entering: list[Tensor]
    outputs: list[Tensor]
    random_numbers: Tensor


def _layer_by_layer(model: Sequential, inputs: Tensor) -> LayerByLayer:
    """Pass the batch through the layers, each with a graph of its own."""
    random_numbers = torch.empty(0)
    entering: list[Tensor] = []
    outputs: list[Tensor] = []
    with torch.enable_grad():
        for layer in model:
            entering.append((outputs[-1] if outputs else inputs).detach().requires_grad_(bool(outputs)))
            writes = any(getattr(module, "inplace", False) for module in layer.modules())
            outputs.append(layer(entering[-1].clone() if writes else entering[-1]))
            if len(outputs) == 1:
                random_numbers = random_state(inputs.device)
    return LayerByLayer(entering, outputs, random_numbers)


def _measure_forward(
    layers: Sequential, loss: SampleLoss, targets: Tensor, activities: list[Tensor], V: Tensor, chunk_size: int | None
) -> tuple[Tensor, Tensor]:
    """Measure each sample's loss `[B]` and its slopes `[k, B]` along the tangents V `[k, n]`."""

    def sample_losses(first: Tensor, *perturbations: Tensor) -> tuple[Tensor, tuple[()]]:
        activity = first
        for layer, perturbation in zip(list(layers)[1:], perturbations, strict=True):
            # clones: the plain pass has already updated the running statistics of this step
            buffers = {name: buffer.clone() for name, buffer in layer.named_buffers()}
            activity = functional_call(layer, buffers, (activity,)) if buffers else layer(activity)
            activity = activity + perturbation
        return loss(activity, targets), ()

    primals = (activities[0], *(torch.zeros_like(activity) for activity in activities[1:]))
    split = V.split([activity[0].numel() for activity in activities], dim=1)
    shared_by_batch = tuple(
        v.view(-1, 1, *activity.shape[1:]).expand(-1, *activity.shape)
        for v, activity in zip(split, activities, strict=True)
    )
    losses, slopes, _ = forward(sample_losses, primals, shared_by_batch, chunk_size)
    return losses, slopes


def _reverse(
    loss: SampleLoss, targets: Tensor, entering: list[Tensor], outputs: list[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """Return each sample's loss `[B]` and the true gradients of their sum by the activities, layer by layer."""
    last = outputs[-1].detach().requires_grad_()
    with torch.enable_grad():
        losses = loss(last, targets)
        gradients = [torch.autograd.grad(losses.sum(), last)[0]]
    for layer_input, output in zip(entering[:0:-1], outputs[:0:-1], strict=True):
        gradients.insert(0, torch.autograd.grad(output, layer_input, gradients[0], retain_graph=True)[0])
    return losses.detach(), gradients
