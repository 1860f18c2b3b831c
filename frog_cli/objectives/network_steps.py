"""Steps of a network's training: the gradient that the settings describe, as fast as it goes, and an optimiser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Generator, Tensor
from torch.nn import Sequential
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from frog_cli.engine.batch_gradients import BatchGradient, fast_backprop, fast_forward_gradient, fast_second_order
from frog_cli.engine.phases import enter_phase
from frog_cli.engine.regenerated import estimate_from_regenerated_weights
from frog_cli.errors import RequestError
from frog_cli.gradients.activities import activities
from frog_cli.gradients.space import SampleLoss, Space
from frog_cli.gradients.weights import weights
from frog_cli.objectives import estimators
from frog_cli.settings.schema import Backprop, ClassificationRun, SecondOrder, are_regenerated

SPACES: dict[str, tuple[Callable[..., Space], str]] = {
    "weights": (weights, "aggregation"),
    "activities": (activities, "local gradients"),
}
"""Where tangents live, and the phase that making a step of coefficients belongs to."""

sample_loss: SampleLoss = partial(cross_entropy, reduction="none")


def take_step(
    gradient: BatchGradient,
    parameters: Sequence[Tensor],
    optimizer: Optimizer,
    images: Tensor,
    labels: Tensor,
    generator: Generator,
) -> tuple[Tensor, Tensor | None]:
    """Let an optimiser take one step by the gradient of a batch; return the loss before it and whether it failed."""
    loss, gradients, failed = gradient(images, labels, generator)
    enter_phase("optimiser")
    for parameter, estimated in zip(parameters, gradients, strict=True):
        parameter.grad = estimated
    optimizer.step()
    for parameter in parameters:
        parameter.grad = None  # before there are others
    return loss, failed


def batch_gradient(run: ClassificationRun, model: Sequential) -> BatchGradient:
    """Return the method that the settings describe, as fast as the model allows."""
    if isinstance(run.gradient, Backprop):
        return fast_backprop(model, sample_loss, run.compile)
    if isinstance(run.gradient, SecondOrder):
        return fast_second_order(estimators.second_order(run.gradient, run.tangents), model, sample_loss)
    method = estimators.forward_gradient(run.gradient, run.tangents)
    if are_regenerated(run.tangents):
        return partial(estimate_from_regenerated_weights, method, model, sample_loss)
    space, phase = SPACES[run.gradient.perturb]
    try:
        where = space(model, sample_loss, method.measure, method.chunk_size)
    except TypeError as error:
        raise RequestError(f"gradient.perturb={run.gradient.perturb}", str(error)) from None
    return fast_forward_gradient(method, where, model, run.compile, phase)
