"""The forward gradient or second-order method that a run's settings name."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch

from frog_cli.errors import RequestError
from frog_cli.gradients import AGGREGATIONS, TANGENTS, ForwardGradient
from frog_cli.gradients.aggregation import Aggregation
from frog_cli.gradients.second_order import SecondOrder
from frog_cli.gradients.step_rules import hyperplane_step, line_step
from frog_cli.gradients.tangents import Sampler
from frog_cli.ideas import sources
from frog_cli.settings.outside import KINDS
from frog_cli.settings.schema import (
    Cone,
    Forward,
    HyperplaneStep,
    Independent,
    LineStep,
    Newton,
    OutsideAggregation,
    OutsideTangents,
    Regenerated,
    Run,
    outside_ideas,
)

Tangents = Independent | Regenerated | Cone | OutsideTangents

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
        aggregation=_aggregation(gradient),
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


def _aggregation(gradient: Forward) -> Aggregation:
    if isinstance(gradient, OutsideAggregation):
        return sources.imported("aggregation", gradient)
    return AGGREGATIONS[gradient.name]


def _sampler(tangents: Tangents) -> Sampler:
    if isinstance(tangents, OutsideTangents):
        return sources.imported("tangents", tangents)
    sampler = TANGENTS["normal" if isinstance(tangents, Regenerated) else tangents.name]
    return partial(sampler, angle=tangents.angle) if isinstance(tangents, Cone) else sampler


def check_ideas(run: Run) -> None:
    """Import the ideas from outside that a run is made of, before anything else is done.

    Raises:
        RequestError: if one cannot be imported, or a sampler does not return what it is asked for.
    """
    for group, idea in outside_ideas(run).items():
        sources.imported(KINDS[group], idea)
    if isinstance(run.tangents, OutsideTangents):
        V = _sampler(run.tangents)((2, 3), torch.Generator().manual_seed(0), torch.float64)
        if not isinstance(V, torch.Tensor) or V.shape != (2, 3) or V.dtype != torch.float64:
            seen = f"{list(V.shape)} and type {V.dtype}" if isinstance(V, torch.Tensor) else type(V).__name__
            raise RequestError(
                f"ideas={run.tangents.source}",
                f"tangents {run.tangents.name} must return a tensor of shape [2, 3] and type torch.float64 when asked "
                f"for it, not {seen}",
            )
