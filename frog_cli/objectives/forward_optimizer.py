"""An optimiser of torch that steps without backpropagation, for training loops of one's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import Module
from torch.optim import Optimizer

from frog_cli.engine.faster_rules import faster_jets
from frog_cli.engine.regenerated import estimate_from_regenerated_weights, regenerated
from frog_cli.gradients.estimate import ForwardGradient
from frog_cli.gradients.second_order import SecondOrder, estimate_second_order
from frog_cli.gradients.space import Estimate
from frog_cli.gradients.weights import estimate_from_weights
from frog_cli.modules.calls import parameters_of
from frog_cli.objectives.network_steps import take_step

LossOfBatch = Callable[..., Tensor]
"""Returns the loss of a batch by the model: its mean `[]`, or that of each sample, of which the mean is taken."""


class ForwardOptimizer:
    """Lets an optimiser of torch step by forward gradients, or by second-order steps, of any module's loss.

    Tangents are over all trained parameters. Schedules of learning rates take the optimiser of torch itself.

    Attributes:
        generator: the source of tangents, on the device of the parameters.
    """

    def __init__(self, model: Module, method: ForwardGradient | SecondOrder, optimizer: Optimizer, seed: int = 0):
        """Take what is to be trained, and how.

        Args:
            model: whose parameters are trained that require a gradient.
            method: `ForwardGradient` or `SecondOrder`.
            optimizer: of all these parameters; it is given each estimate as their gradient.
            seed: of the tangents.

        Raises:
            ValueError: if the optimiser has other parameters than those that the model trains, or the method needs the
                outputs of the model apart from their loss, as Gauss-Newton curvature does.
        """
        if isinstance(method, SecondOrder) and method.curvature == "gauss_newton":
            raise ValueError(
                "curvature='gauss_newton' needs the model's outputs apart from their loss, as "
                "estimate_second_order takes them"
            )
        parameters = parameters_of(model)
        stepped = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        if stepped != {id(parameter) for parameter in parameters}:
            raise ValueError(
                f"the {type(optimizer).__name__} must have the {len(parameters)} parameters that this "
                f"{type(model).__name__} trains, and no others"
            )
        self.generator = Generator(parameters[0].device).manual_seed(seed)
        self._model, self._optimizer = model, optimizer
        self._estimate = partial(_estimator(method), method)
        self._has_moved = False

    def step(self, loss_of_batch: LossOfBatch, *batch: Any) -> Estimate:
        """Take one step, and return the loss before it with the estimate.

        Args:
            loss_of_batch: called as `loss_of_batch(*batch)`, as often as the method needs; it calls the model.
            batch: any tensors, of which each call has its own copies; what the function holds beside them is as it is.

        Raises:
            ValueError: if the first step is zero, as it is where the loss does not depend on the model. Where a step
                rule finds none, which the estimate tells, there is another one.
        """
        gradient = partial(self._estimate, _LossOf(self._model, loss_of_batch), _as_it_is)
        with faster_jets():
            estimate = take_step(gradient, parameters_of(self._model), self._optimizer, batch, None, self.generator)
        if not self._has_moved and not estimate.failed and not any(map(torch.any, estimate.gradients)):
            raise ValueError(
                f"the first step is zero: the loss of a batch must be that of the {type(self._model).__name__} that "
                "this optimiser was made for, and depend on its parameters"
            )
        self._has_moved = True
        return estimate

    def state_dict(self) -> dict[str, Any]:
        """Return all that further steps depend on beside the model, for `torch.save`."""
        return {"optimizer": self._optimizer.state_dict(), "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` has returned."""
        self._optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())


class _LossOf(Module):
    """The loss of a batch by a model, as a module that has the model's parameters."""

    def __init__(self, model: Module, loss_of_batch: LossOfBatch):
        super().__init__()
        self.model, self._loss_of_batch = model, loss_of_batch
        self.training = model.training

    def forward(self, batch: tuple[Any, ...]) -> Tensor:
        """Return the loss.

        Raises:
            TypeError: if it is not a tensor.
        """
        loss = self._loss_of_batch(*batch)
        if not isinstance(loss, Tensor):
            raise TypeError(f"the loss of a batch must be a tensor, not a {type(loss).__name__}")
        return loss


def _as_it_is(losses: Tensor, targets: None) -> Tensor:
    del targets
    return losses


def _estimator(method: ForwardGradient | SecondOrder) -> Callable[..., Estimate]:
    if isinstance(method, SecondOrder):
        return estimate_second_order
    return estimate_from_regenerated_weights if method.tangents is regenerated else estimate_from_weights
