"""An optimiser of torch that steps without backpropagation, for training loops of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import Module
from torch.optim import LBFGS, Optimizer
from torch.utils._pytree import tree_leaves

from frog_cli.engine.faster_rules import faster_jets
from frog_cli.engine.regenerated import estimate_from_regenerated_weights, regenerated
from frog_cli.gradients.estimate import ForwardGradient
from frog_cli.gradients.second_order import SecondOrder, estimate_second_order
from frog_cli.gradients.space import Estimate
from frog_cli.gradients.weights import estimate_from_weights
from frog_cli.modules.calls import copied, parameters_of
from frog_cli.modules.requirements import reaches
from frog_cli.modules.restoring import kept_as_it_is
from frog_cli.objectives.estimators import check_spacing

LossOfBatch = Callable[..., Tensor]
"""Returns the loss of a batch by the model: its mean `[]`, or that of each sample, of which the mean is taken."""


class ForwardOptimizer:
    """Lets an optimiser of torch step by forward gradients, or by second-order steps, of any module's loss.

    Tangents are over all trained parameters. Schedules of learning rates take the optimiser of torch itself, and so do
    its hooks: one before the step may clip gradients, which are gone when `step` returns.

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
            ValueError: if the optimiser has other parameters than those that the model trains, or evaluates a step
                several times, or the method needs the outputs of the model apart from their loss, as Gauss-Newton
                curvature does.
        """
        if isinstance(optimizer, LBFGS):
            raise ValueError("LBFGS evaluates a step several times, which a sampled gradient does not allow")
        if isinstance(method, SecondOrder) and method.curvature == "gauss_newton":
            raise ValueError(
                "curvature='gauss_newton' needs the model's outputs apart from their loss, as "
                "estimate_second_order takes them"
            )
        self._model, self._method, self._optimizer = model, method, optimizer
        parameters = self._parameters()
        if isinstance(method, ForwardGradient):
            check_spacing(method, parameters)
        self.generator = Generator(parameters[0].device).manual_seed(seed)
        self._estimate = partial(_estimator(method), method)
        self._has_moved = False

    def step(self, loss_of_batch: LossOfBatch, *batch: Any) -> Estimate:
        """Take one step, and return the loss before it with the estimate.

        Args:
            loss_of_batch: called as `loss_of_batch(*batch)`, once for each pass that the method takes; it calls the
                model. What the model keeps, and what an object or a bound method keeps as attributes, is in each pass
                as it was before the step; what a function changes of the variables around it changes in each.
            batch: tensors, or containers of them, of which each call has its own copies.

        Raises:
            TypeError: if a module is given as a part of the batch.
            ValueError: if the loss does not depend on the model's parameters, or has some of its own to train.
        """
        if any(isinstance(one, Module) for one in tree_leaves(batch)):
            raise TypeError("a batch must be tensors: of a module each pass would have a copy of its own")
        parameters, loss = self._parameters(), _LossOf(self._model, loss_of_batch)
        if len(parameters_of(loss)) > len(parameters):
            raise ValueError(
                f"{type(loss_of_batch).__name__} has parameters of its own that require a gradient; make them part of "
                "the model, or call requires_grad_(False)"
            )
        with faster_jets():
            estimate = self._estimate(loss, _as_it_is, batch, None, self.generator)
        self._check_dependence(loss, batch, estimate, parameters)
        try:
            for parameter, estimated in zip(parameters, estimate.gradients, strict=True):
                parameter.grad = estimated.clone()  # optimisers and hooks may write to it
            self._optimizer.step()
        finally:
            for parameter in parameters:
                parameter.grad = None
        torch.clear_autocast_cache()  # which would keep the weights before the step, in lower precision
        return estimate

    def state_dict(self) -> dict[str, Any]:
        """Return what further steps depend on beside the model and torch's own random numbers, for `torch.save`."""
        return {"optimizer": self._optimizer.state_dict(), "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` has returned."""
        self._optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())

    def _parameters(self) -> list[Tensor]:
        """Return the parameters that are trained now, which the optimiser must have."""
        parameters = parameters_of(self._model)
        stepped = {id(parameter) for group in self._optimizer.param_groups for parameter in group["params"]}
        if stepped != {id(parameter) for parameter in parameters}:
            raise ValueError(
                f"the {type(self._optimizer).__name__} must have the {len(parameters)} parameters that this "
                f"{type(self._model).__name__} trains, and no others"
            )
        return parameters

    def _check_dependence(
        self, loss: _LossOf, batch: Sequence[Any], estimate: Estimate, parameters: Sequence[Tensor]
    ) -> None:
        """Refuse a loss without the model's parameters, which until there is a step that is not zero may be why."""
        self._has_moved = self._has_moved or bool(estimate.failed) or any(map(torch.any, estimate.gradients))
        if self._has_moved:
            return
        with torch.enable_grad(), kept_as_it_is(loss, parameters[0].device):
            found = loss(copied(batch))
        if not reaches(found, parameters):
            raise ValueError(
                f"the loss of a batch must be that of the {type(self._model).__name__} that this optimiser was made "
                "for, and depend on its parameters"
            )


class _LossOf(Module):
    """The loss of a batch by a model, as a module that has the model's parameters."""

    def __init__(self, model: Module, loss_of_batch: LossOfBatch):
        super().__init__()
        self.model, self._loss_of_batch = model, loss_of_batch
        self.training = model.training

    def forward(self, batch: tuple[Any, ...]) -> Tensor:
        """Return the loss.

        Raises:
            TypeError: if it is not a tensor of real numbers.
        """
        loss = self._loss_of_batch(*batch)
        if not isinstance(loss, Tensor) or not loss.is_floating_point() or not loss.numel():
            kind = f"{loss.dtype} {list(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise TypeError(f"the loss of a batch must be a tensor of real numbers, not {kind}")
        return loss


def _as_it_is(losses: Tensor, targets: None) -> Tensor:
    del targets
    return losses


def _estimator(method: ForwardGradient | SecondOrder) -> Callable[..., Estimate]:
    if isinstance(method, SecondOrder):
        return estimate_second_order
    return estimate_from_regenerated_weights if method.tangents is regenerated else estimate_from_weights
