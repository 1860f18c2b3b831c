"""A run's optimiser, and the schedule by which its learning rate falls, as its settings name them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau, StepLR

from frog_cli.errors import RequestError
from frog_cli.settings.schema import ClassificationRun, Run


def optimizer(run: Run, parameters: Iterable[Tensor]) -> Optimizer:
    """Return the run's optimiser.

    Raises:
        RequestError: if torch.optim has no such class, it needs a closure, or it does not take the options.
    """
    found: Any = getattr(torch.optim, run.optimizer.name, None)
    given = f"optimizer.name={run.optimizer.name}"
    if not (isinstance(found, type) and issubclass(found, Optimizer)) or found is Optimizer:
        raise RequestError(given, "must be a class of torch.optim, such as SGD or Adam")
    if found is torch.optim.LBFGS:
        raise RequestError(given, "evaluates a step several times, which a sampled gradient does not allow")
    try:
        rate = run.learning_rate if run.curvature_length is None else 1.0  # lengths are found step by step
        made: Optimizer = found(parameters, lr=rate, **run.optimizer.options)  # type: ignore[call-arg]
    except (TypeError, ValueError) as error:
        raise RequestError(f"optimizer.options={run.optimizer.options}", str(error)) from None
    return made


def check_optimizer(run: Run) -> None:
    """Refuse an optimiser that cannot be made or cannot step, before there is anything to optimise."""
    parameter = torch.zeros(2, 2, requires_grad=True)
    made = optimizer(run, [parameter])
    parameter.grad = torch.ones(2, 2)
    try:
        made.step()
    except (TypeError, ValueError, RuntimeError) as error:
        why = " ".join(str(error).split())
        raise RequestError(f"optimizer.name={run.optimizer.name}", f"cannot step with these options: {why}") from None


def restore(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Give an optimiser a state that it had, to the last bit: torch casts numbers of another type than the weights'."""
    optimizer.load_state_dict(state)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, saved in state["state"].items():
        own = optimizer.state[parameters[number]]
        own |= {
            name: one.to(own[name].device, copy=True)
            for name, one in saved.items()
            if isinstance(one, Tensor) and one.dtype != own[name].dtype
        }


def schedule(run: ClassificationRun, optimizer: Optimizer) -> LRScheduler | None:
    """Return what lets the learning rate fall, None if nothing does."""
    settings = run.schedule
    if settings.name == "none":
        return None
    if settings.name == "every":
        return StepLR(optimizer, settings.epochs, settings.factor)
    return ReduceLROnPlateau(optimizer, factor=settings.factor, patience=settings.epochs - 1, threshold=0)


def follow(schedule: LRScheduler | None, validation_loss: float) -> None:
    """Let a schedule know that an epoch has ended."""
    if isinstance(schedule, ReduceLROnPlateau):
        schedule.step(validation_loss)
    elif schedule is not None:
        schedule.step()
