"""Weight perturbation: tangents live in the space of all trained parameters, n their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import Module

from frog_cli.engine.phases import begins
from frog_cli.engine.regenerated import RegeneratedTangents
from frog_cli.gradients.aggregation import AGGREGATIONS
from frog_cli.gradients.estimate import Estimate, ForwardGradient, SampleLoss, without_autocast
from frog_cli.gradients.measurement import forward, forward_in_chunks, simulated
from frog_cli.modules.calls import (
    Buffers,
    attributes_restored,
    call_with,
    cloned_buffers,
    copied,
    take_over,
    trainable,
    untouched,
)
from frog_cli.modules.requirements import check_batch, check_reached_through_modules


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
    check_batch(inputs)
    parameters = [parameter for _, parameter in trainable(model)]
    sizes = [parameter.numel() for parameter in parameters]
    begins("tangents")
    V = method.tangents((method.k, sum(sizes)), generator, parameters[0].dtype)
    if method.measure == "forward":
        values = tuple(parameter.detach() for parameter in parameters)
        value, slopes, buffers = forward(
            _mean_loss(model, loss, inputs, targets), values, shaped(V, parameters), method.chunk_size
        )
        value = check_reached_through_modules(value, parameters).detach()
        take_over(model, buffers)
        slopes = slopes.unsqueeze(1)
    else:
        value, gradients, _ = backprop(model, loss, inputs, targets, generator)
        with without_autocast(V.device):
            slopes = simulated(torch.cat([gradient.flatten() for gradient in gradients]).unsqueeze(1), V)
    begins("aggregation")
    with without_autocast(V.device):
        step = (method.aggregation(V, slopes.to(V.dtype)).mT @ V).squeeze(0)
    return Estimate(value, tuple(g.view_as(p) for g, p in zip(step.split(sizes), parameters, strict=True)))


def estimate_from_regenerated_weights(
    method: ForwardGradient,
    model: Module,
    loss: SampleLoss,
    inputs: Tensor,
    targets: Tensor,
    generator: Generator,
) -> Estimate:
    """Do the same as `estimate_from_weights`, with tangents that are drawn anew instead of being stored.

    Beside the weights it holds `method.chunk_size` tangents while it measures and the step while it adds them up. Each
    tangent is drawn twice, for a projection three times. For samplers whose entries are independent of each other.
    """
    check_batch(inputs)
    parameters = [parameter for _, parameter in trainable(model)]
    sizes = [parameter.numel() for parameter in parameters]
    V = RegeneratedTangents(method.tangents, method.k, sum(sizes), generator, parameters[0].dtype)
    size = method.chunk_size or method.k

    def chunks() -> Iterator[tuple[Tensor, ...]]:
        for first in range(0, method.k, size):
            begins("tangents")
            yield shaped(V.rows(first, min(first + size, method.k)), parameters)

    values = tuple(parameter.detach() for parameter in parameters)
    value, slopes, buffers = forward_in_chunks(_mean_loss(model, loss, inputs, targets), values, chunks)
    value = check_reached_through_modules(value, parameters).detach()
    take_over(model, buffers)
    begins("aggregation")
    with without_autocast(slopes.device):
        step = V.combined(_coefficients(method, V, slopes.to(parameters[0].dtype)))
    return Estimate(value, tuple(g.view_as(p) for g, p in zip(step.split(sizes), parameters, strict=True)))


def _coefficients(method: ForwardGradient, V: RegeneratedTangents, slopes: Tensor) -> Tensor:
    """Return the coefficients of tangents that are never all there, from their slopes `[k]`."""
    if method.aggregation in (AGGREGATIONS["sum"], AGGREGATIONS["mean"]):
        stand_in = slopes.new_empty(method.k, 0)
    else:  # coefficients depend on the products of tangents alone, and these have the same
        eigenvalues, vectors = torch.linalg.eigh(V.gram())
        stand_in = vectors * eigenvalues.clamp(min=0).sqrt()
    return method.aggregation(stand_in, slopes.unsqueeze(1)).squeeze(1)


def _mean_loss(model: Module, loss: SampleLoss, inputs: Tensor, targets: Tensor) -> Callable[..., Any]:
    """Return the mean loss over a batch as a function of the parameters, with what the buffers become.

    However often it is called, the model is as it is now each time.
    """
    restore = attributes_restored(model, loss)
    trained = [parameter for _, parameter in trainable(model)]

    def mean_loss(*values: Tensor) -> tuple[Tensor, Buffers]:
        restore()
        # clones made in here belong to the differentiated function, which alone may write to them
        buffers = cloned_buffers(model)
        outputs = call_with(model, values, buffers, untouched(inputs, model))
        return check_reached_through_modules(loss(outputs, copied(targets)), trained).mean(), buffers

    return mean_loss


def shaped(V: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return tangents `[k, n]` in the shapes of the parameters, `[k, *shape]` each."""
    split = V.split([parameter.numel() for parameter in parameters], dim=1)
    return tuple(v.view(len(V), *parameter.shape) for v, parameter in zip(split, parameters, strict=True))


def weight_dimension(model: Module, inputs: Tensor) -> int:
    """Return n, the number of trained parameters; the batch does not matter."""
    del inputs
    return sum(parameter.numel() for _, parameter in trainable(model))


def backprop(model: Module, loss: SampleLoss, inputs: Tensor, targets: Tensor, generator: Generator) -> Estimate:
    """Return the gradient itself by one reverse pass: the reference."""
    del generator
    check_batch(inputs)
    begins("derivatives")
    with torch.enable_grad():
        value = loss(model(untouched(inputs, model)), targets).mean()
        parameters = [parameter for _, parameter in trainable(model)]
        gradients = torch.autograd.grad(value, parameters, materialize_grads=True)
    return Estimate(value.detach(), gradients)
