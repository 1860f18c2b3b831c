"""The forward gradient or second-order method that a run's settings name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from frog_cli.errors import RequestError
from frog_cli.gradients import ForwardGradient
from frog_cli.gradients.second_order import SecondOrder
from frog_cli.gradients.step_rules import hyperplane_step, line_step
from frog_cli.gradients.tangents import Sampler
from frog_cli.ideas import sources
from frog_cli.objectives import functions
from frog_cli.settings.schema import (
    Aggregation,
    Forward,
    FunctionRun,
    HyperplaneStep,
    Idea,
    LineStep,
    Newton,
    Run,
    Tangents,
    ideas_of,
)

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
        tangents=sampler(tangents),
        measure=gradient.measure,
        aggregation=sources.imported(gradient),
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
        tangents=sampler(tangents),
        rule=rule,
    )


def check_ideas(run: Run) -> None:
    """Import and try the ideas from outside that a run is made of; refuse what does not return what it is asked for."""
    for idea in ideas_of(run).values():
        if idea.from_outside:
            sources.imported(idea)
    if run.tangents.from_outside:
        sampler(run.tangents)((2, 4), torch.Generator().manual_seed(0), torch.float64)
    if isinstance(run.gradient, Forward):
        check_aggregation(run.gradient)
    if isinstance(run, FunctionRun) and run.objective.from_outside:
        functions.check(run.objective)


def check_aggregation(gradient: Aggregation) -> None:
    """Refuse an aggregation from outside that does not return coefficients."""
    if not gradient.from_outside:
        return
    generator = torch.Generator().manual_seed(0)
    V, slopes = (torch.randn(2, size, generator=generator, dtype=torch.float64) for size in (4, 3))
    with sources.refusing(sources.source_of(gradient), f"aggregation {gradient.name} raises"):
        c = sources.imported(gradient)(V, slopes)
    _check(gradient, c, slopes.shape, slopes.dtype)


def sampler(tangents: Tangents) -> Sampler:
    """Return a sampler; what one from outside returns is refused unless it is of the shape and type asked for."""
    sample: Sampler = sources.imported(tangents)
    if not tangents.from_outside:
        return sample
    source = sources.source_of(tangents)

    def checked(shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        with sources.refusing(source, f"tangents {tangents.name} raises"):
            V = sample(shape, generator, dtype)
        _check(tangents, V, shape, dtype)
        return V.detach()

    return checked


def _check(idea: Idea, returned: object, shape: Sequence[int], dtype: torch.dtype) -> None:
    """Refuse what an idea returns if it is no tensor of some shape and type."""
    seen = type(returned).__name__
    if isinstance(returned, Tensor):
        if returned.shape == tuple(shape) and returned.dtype == dtype:
            return
        seen = f"{list(returned.shape)} and type {returned.dtype}"
    raise RequestError(
        f"ideas={sources.source_of(idea).name}",
        f"{idea.kind} {idea.name} must return a tensor of shape {list(shape)} and type {dtype} when asked for it, not "
        f"{seen}",
    )
