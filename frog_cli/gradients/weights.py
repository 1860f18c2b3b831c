"""The space of weights: tangents over all trained parameters, n their number; and backpropagation, the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Generator, Tensor
from torch.nn import Module

from frog_cli.gradients.estimate import ForwardGradient, estimate
from frog_cli.gradients.measurement import measurement, simulated
from frog_cli.gradients.space import Estimate, Measured, SampleLoss, Space, Tensors, without_autocast
from frog_cli.modules.calls import Buffers, call_with, cloned_buffers, copied, parameters_of, take_over, untouched
from frog_cli.modules.requirements import check_batch, check_reached_through_modules, warn_of_backward_hooks
from frog_cli.modules.restoring import attributes_restored


def estimate_from_weights(
    method: ForwardGradient, model: Module, loss: SampleLoss, inputs: Tensor, targets: Tensor, generator: Generator
) -> Estimate:
    """Estimate the gradient from k tangents over the whole parameter vector, measured on the mean loss.

    Buffers such as the running statistics of batch normalisation change once, as in a plain forward pass.
    """
    space = weights(model, loss, method.measure, method.chunk_size, method.epsilon)
    return estimate(method, space, inputs, targets, generator)


def weights(
    model: Module,
    loss: SampleLoss,
    how: Literal["forward", "simulated", "difference"] = "forward",
    chunk_size: int | None = None,
    epsilon: float | None = None,
) -> Space:
    """Return the space of a model's weights, with slopes `[k, 1]` of the mean loss measured in one of three ways."""
    slopes_along = measurement(how, chunk_size, epsilon)

    def measured(inputs: Tensor, targets: Tensor, V: Tensor) -> Measured:
        parameters = parameters_of(model)
        values = tuple(parameter.detach() for parameter in parameters)
        with torch.enable_grad():  # so that weights are found which are reached otherwise
            function = mean_loss(model, loss, inputs, targets)
            value, slopes, buffers = slopes_along(function, values, shaped(V, parameters))
        take_over(model, buffers)
        return Measured(check_reached_through_modules(value, parameters).detach(), slopes.detach().unsqueeze(1))

    def measured_simulated(inputs: Tensor, targets: Tensor, V: Tensor) -> Measured:
        value, gradients, *_ = backprop(model, loss, inputs, targets)
        with without_autocast(V.device):
            return Measured(value, simulated(flat(gradients).unsqueeze(1), V))

    return weight_space(model, measured_simulated if how == "simulated" else measured)


def weight_space(model: Module, measure: Callable[[Tensor, Tensor, Tensor], Measured]) -> Space:
    """Return the space of a model's weights with a measurement of its own."""

    def dimension(inputs: Any) -> int:
        check_batch(inputs)
        return sum(map(torch.numel, parameters_of(model)))

    def step(V: Tensor, coefficients: Tensor, measured: Measured) -> Tensors:
        del measured
        with without_autocast(V.device):
            combination = coefficients.mT @ V
        return tuple(one.squeeze(0) for one in shaped(combination, parameters_of(model)))

    return Space(dimension, parameters_of(model)[0].dtype, measure, step)


def mean_loss(model: Module, loss: SampleLoss, inputs: Tensor, targets: Tensor) -> Callable[..., Any]:
    """Return the mean loss over a batch as a function of the parameters, with what the buffers become.

    However often it is called, the model is as it is now each time.
    """
    warn_of_backward_hooks(model)
    restore = attributes_restored(model, loss)
    trained = parameters_of(model)

    def of_parameters(*values: Tensor) -> tuple[Tensor, Buffers]:
        restore()
        # clones made in here belong to the differentiated function, which alone may write to them
        buffers = cloned_buffers(model)
        outputs = call_with(model, values, buffers, untouched(inputs, model))
        return check_reached_through_modules(loss(outputs, copied(targets)), trained).mean(), buffers

    return of_parameters


def shaped(V: Tensor, parameters: Sequence[Tensor]) -> Tensors:
    """Return tangents `[k, n]` in the shapes of the parameters, `[k, *shape]` each."""
    split = V.split([parameter.numel() for parameter in parameters], dim=1)
    return tuple(v.view(len(V), *parameter.shape) for v, parameter in zip(split, parameters, strict=True))


def flat(gradients: Sequence[Tensor]) -> Tensor:
    """Return gradients of all parameters as one vector `[n]`."""
    return torch.cat([gradient.flatten() for gradient in gradients])


def backprop(
    model: Module, loss: SampleLoss, inputs: Tensor, targets: Tensor, generator: Generator | None = None
) -> Estimate:
    """Return the gradient itself by one reverse pass: the reference."""
    del generator
    check_batch(inputs)
    with torch.enable_grad():
        value = loss(model(untouched(inputs, model)), targets).mean()
        gradients = torch.autograd.grad(value, parameters_of(model), materialize_grads=True)
    return Estimate(value.detach(), gradients)
