"""From checked settings to what they name in torch and in frog_cli.gradients."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau, StepLR

from frog_cli.errors import RequestError
from frog_cli.gradients import AGGREGATIONS, TANGENTS, ForwardGradient
from frog_cli.gradients.second_order import SecondOrder
from frog_cli.gradients.step_rules import hyperplane_step, line_step
from frog_cli.gradients.tangents import Sampler
from frog_cli.settings.schema import (
    ClassificationRun,
    Cone,
    Forward,
    HyperplaneStep,
    Independent,
    LineStep,
    Newton,
    Regenerated,
    Run,
)

Tangents = Independent | Regenerated | Cone

DIRECTIONS: dict[str, Literal["sampled", "gradient", "basis"]] = {
    "fomoh": "sampled",
    "fomoh_kd": "sampled",
    "fomoh_bp": "gradient",
    "newton": "basis",
}


def forward_gradient(gradient: Forward, tangents: Tangents) -> ForwardGradient:
    """Return the forward gradient that the settings describe."""
    return ForwardGradient(
        k=gradient.k,
        tangents=_sampler(tangents),
        measure=gradient.measure,
        aggregation=AGGREGATIONS[gradient.name],
        chunk_size=gradient.chunk_size,
    )


def second_order(gradient: LineStep | HyperplaneStep | Newton, tangents: Tangents) -> SecondOrder:
    """Return the second-order method that the settings describe."""
    rule = (
        partial(line_step, damping=gradient.damping)
        if isinstance(gradient, LineStep)
        else partial(hyperplane_step, absolute=gradient.eigenvalues == "absolute")
    )
    return SecondOrder(
        directions=DIRECTIONS[gradient.name],
        k=gradient.k if isinstance(gradient, HyperplaneStep) else 1,
        tangents=_sampler(tangents),
        rule=rule,
    )


def _sampler(tangents: Tangents) -> Sampler:
    sampler = TANGENTS["normal" if isinstance(tangents, Regenerated) else tangents.name]
    return partial(sampler, angle=tangents.angle) if isinstance(tangents, Cone) else sampler


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
        made: Optimizer = found(parameters, lr=run.learning_rate, **run.optimizer.options)  # type: ignore[call-arg]
    except (TypeError, ValueError) as error:
        raise RequestError(f"optimizer.options={run.optimizer.options}", str(error)) from None
    return made


def check_optimizer(run: Run) -> None:
    """Refuse an optimiser that cannot be made, before there is anything to optimise."""
    optimizer(run, [torch.zeros(2, 2, requires_grad=True)])


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


def device(name: str, local_rank: int | None = None) -> torch.device:
    """Return the device; auto means CUDA, then MPS, then CPU, whichever is there first.

    Processes on one host, numbered by `local_rank`, take the CUDA devices in turn.

    Raises:
        RequestError: if this machine does not have it.
    """
    count = torch.cuda.device_count()
    present = ["cpu", *(["mps"] if torch.backends.mps.is_available() else []), *(["cuda"] if count else [])]
    chosen = torch.device(present[-1] if name == "auto" else name)
    if chosen.type not in present or (chosen.index or 0) >= max(count, 1):
        indices = [f"cuda:{index}" for index in range(count)]
        raise RequestError(f"device={name}", f"is not on this machine, which has {', '.join(present + indices)}")
    if local_rank is not None and chosen == torch.device("cuda"):
        return torch.device("cuda", local_rank % count)
    return chosen
