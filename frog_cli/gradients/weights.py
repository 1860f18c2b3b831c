"""Weight perturbation: tangents live in the space of all trained parameters, n their number."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import Module

from frog_cli.gradients.estimate import Estimate, ForwardGradient, SampleLoss, call_with, trainable
from frog_cli.gradients.measurement import forward, simulated


def estimate_from_weights(
    method: ForwardGradient,
    model: Module,
    loss: SampleLoss,
    inputs: Tensor,
    targets: Tensor,
    generator: Generator,
) -> Estimate:
    """Estimate the gradient from k tangents over the whole parameter vector, measured on the mean loss.

    Buffers such as the running statistics of batch normalisation change once, as in a plain forward pass.
    """
    parameters = [parameter for _, parameter in trainable(model)]
    sizes = [parameter.numel() for parameter in parameters]
    V = method.tangents((method.k, sum(sizes)), generator, parameters[0].dtype)

    if method.measure == "forward":

        def mean_loss(*values: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            # clones made in here belong to the differentiated function, which alone may write to them
            buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
            return loss(call_with(model, values, buffers, inputs), targets).mean(), buffers

        directions = tuple(v.view(method.k, *p.shape) for v, p in zip(V.split(sizes, dim=1), parameters, strict=True))
        values = tuple(parameter.detach() for parameter in parameters)
        value, slopes, buffers = forward(mean_loss, values, directions, method.chunk_size)
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
        slopes = slopes.unsqueeze(1)
    else:
        value, gradients, _ = backprop(model, loss, inputs, targets, generator)
        slopes = simulated(torch.cat([gradient.flatten() for gradient in gradients]).unsqueeze(1), V)

    step = (method.aggregation(V, slopes).mT @ V).squeeze(0)
    return Estimate(value, tuple(g.view_as(p) for g, p in zip(step.split(sizes), parameters, strict=True)))


def weight_dimension(model: Module, inputs: Tensor) -> int:
    """Return n, the number of trained parameters; the batch does not matter."""
    del inputs
    return sum(parameter.numel() for _, parameter in trainable(model))


def backprop(model: Module, loss: SampleLoss, inputs: Tensor, targets: Tensor, generator: Generator) -> Estimate:
    """Return the gradient itself by one reverse pass: the reference."""
    del generator
    with torch.enable_grad():
        value = loss(model(inputs), targets).mean()
        parameters = [parameter for _, parameter in trainable(model)]
        gradients = torch.autograd.grad(value, parameters, materialize_grads=True)
    return Estimate(value.detach(), gradients)
