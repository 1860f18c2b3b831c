"""The forward gradient or second-order method that a run's settings name."""

from __future__ import annotations

from functools import partial
from typing import Literal

from frog_cli.gradients import AGGREGATIONS, TANGENTS, ForwardGradient
from frog_cli.gradients.second_order import SecondOrder
from frog_cli.gradients.step_rules import hyperplane_step, line_step
from frog_cli.gradients.tangents import Sampler
from frog_cli.settings.schema import Cone, Forward, HyperplaneStep, Independent, LineStep, Newton, Regenerated

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
