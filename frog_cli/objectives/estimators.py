"""The forward gradient or second-order method that a run's settings name."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch

from frog_cli.errors import RequestError
from frog_cli.gradients import ForwardGradient
from frog_cli.gradients.second_order import SecondOrder
from frog_cli.gradients.step_rules import hyperplane_step, line_step
from frog_cli.ideas import sources
from frog_cli.settings.schema import Forward, HyperplaneStep, LineStep, Newton, Run, Tangents, ideas_of

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
        tangents=sources.imported(tangents),
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
        tangents=sources.imported(tangents),
        rule=rule,
    )


def check_ideas(run: Run) -> None:
    """Import the ideas from outside that a run is made of, before anything else is done.

    Raises:
        RequestError: if one cannot be imported, or a sampler does not return what it is asked for.
    """
    for idea in ideas_of(run).values():
        if idea.from_outside:
            sources.imported(idea)
    if run.tangents.from_outside:
        V = sources.imported(run.tangents)((2, 3), torch.Generator().manual_seed(0), torch.float64)
        if not isinstance(V, torch.Tensor) or V.shape != (2, 3) or V.dtype != torch.float64:
            seen = f"{list(V.shape)} and type {V.dtype}" if isinstance(V, torch.Tensor) else type(V).__name__
            raise RequestError(
                f"ideas={run.tangents.source}",
                f"tangents {run.tangents.name} must return a tensor of shape [2, 3] and type torch.float64 when asked "
                f"for it, not {seen}",
            )
