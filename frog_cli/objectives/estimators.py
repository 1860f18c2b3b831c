"""The forward gradient or second-order method that a run's settings name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from frog_cli import ideas
from frog_cli.errors import RequestError
from frog_cli.gradients import ForwardGradient
from frog_cli.gradients.measurement import share_lost
from frog_cli.gradients.second_order import SecondOrder
from frog_cli.gradients.step_rules import StepRule, hyperplane_step, line_step
from frog_cli.gradients.tangents import Sampler
from frog_cli.ideas import sources
from frog_cli.objectives import functions
from frog_cli.settings.schema import (
    Aggregation,
    Forward,
    FunctionRun,
    Idea,
    LineStep,
    Newton,
    PlaneStep,
    Run,
    Tangents,
    are_regenerated,
    ideas_of,
)

DIRECTIONS: dict[str, Literal["sampled", "gradient", "basis"]] = {
    "fomoh_bp": "gradient",
    "newton": "basis",
}


def forward_gradient(gradient: Forward, tangents: Tangents) -> ForwardGradient:
    """Return the forward gradient that the settings describe."""
    assert gradient.measure != "greedy"  # which local tangents alone know
    return ForwardGradient(
        k=gradient.k,
        tangents=sampler(tangents),
        measure=gradient.measure,
        aggregation=sources.imported(gradient),
        chunk_size=gradient.chunk_size,
        epsilon=gradient.spacing,
    )


def check_spacing(method: ForwardGradient, values: Sequence[Tensor]) -> None:
    """Refuse differences that rounding leaves next to nothing of, as a step along a first tangent shows.

    Raises:
        RequestError: if it moves less than half of the values, or a loss of 1 cannot show it.
    """
    if method.measure != "difference":
        return
    assert method.epsilon is not None
    n, device = sum(map(torch.numel, values)), values[0].device
    (v,) = method.tangents((1, n), torch.Generator(device).manual_seed(0), values[0].dtype)
    parts = tuple(part.view_as(x) for part, x in zip(v.split([x.numel() for x in values]), values, strict=True))
    given, precision = f"gradient.spacing={method.epsilon:g}", torch.finfo(values[0].dtype).eps
    if method.epsilon < precision:
        raise RequestError(given, f"must be above {precision:.1g}, the precision of {values[0].dtype}")
    lost = share_lost(tuple(x.detach() for x in values), parts, method.epsilon)
    if lost > 0.5:
        what = f"is lost in rounding for {lost:.0%} of the numbers of type {values[0].dtype}; take a larger one"
        raise RequestError(given, what)


def second_order(gradient: LineStep | PlaneStep | Newton, tangents: Tangents) -> SecondOrder:
    """Return the second-order method that the settings describe."""
    if isinstance(gradient, PlaneStep):
        rule: StepRule = sources.imported(gradient)
    elif isinstance(gradient, LineStep):
        rule = partial(line_step, damping=gradient.damping)
    else:
        rule = partial(hyperplane_step, absolute=gradient.eigenvalues == "absolute")
    return SecondOrder(
        directions=DIRECTIONS.get(gradient.name, "sampled"),
        k=gradient.k if isinstance(gradient, PlaneStep) else 1,
        tangents=sampler(tangents),
        rule=rule,
        curvature=gradient.curvature if isinstance(gradient, PlaneStep) else "hessian",
    )


def check_ideas(run: Run) -> None:
    """Import and try the ideas from outside that a run is made of; refuse what does not return what it is asked for."""
    for idea in ideas_of(run).values():
        if idea.from_outside:
            sources.imported(idea)
    if run.tangents.from_outside:
        for dtype in (torch.float32, torch.float64):
            sampler(run.tangents)((2, 4), torch.Generator().manual_seed(0), dtype)
    if isinstance(run.gradient, Forward):
        check_aggregation(run.gradient, are_regenerated(run.tangents))
    if isinstance(run.gradient, PlaneStep) and run.gradient.from_outside:
        source = sources.source_of(run.gradient)
        slopes, curvature = torch.ones(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
        with sources.refusing(source, f"step rule {run.gradient.name} raises"):
            _check(run.gradient, sources.imported(run.gradient)(slopes, curvature), slopes.shape, slopes.dtype)
    if isinstance(run, FunctionRun) and run.objective.from_outside:
        functions.check(run.objective)


def check_aggregation(gradient: Aggregation, regenerated: bool = False) -> None:
    """Refuse an aggregation from outside that does not return coefficients, or needs tangents that are not there."""
    if not gradient.from_outside:
        return
    source, generator = sources.source_of(gradient), torch.Generator().manual_seed(0)
    V, slopes = (torch.randn(2, size, generator=generator, dtype=torch.float64) for size in (4, 3))
    with sources.refusing(source, f"aggregation {gradient.name} raises"):
        aggregation = sources.imported(gradient)
        c = aggregation(V.clone(), slopes.clone())
        _check(gradient, c, slopes.shape, slopes.dtype)
        if regenerated:
            alone = ideas.trait(aggregation, "of_slopes_alone", False)
            stand_in = V[:, :0] if alone else torch.linalg.cholesky(V @ V.mT)
            if not torch.allclose(aggregation(stand_in, slopes.clone()), c):
                what = f"aggregation {gradient.name} depends on V otherwise than it declares, also on n, so that "
                raise RequestError(f"ideas={source.name}", f"{what}tangents=regenerated would give other numbers")


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
        if V.device.type != generator.device.type:
            what = f"tangents {tangents.name} must be made on {generator.device}, where their generator is, not on "
            raise RequestError(f"ideas={source.name}", f"{what}{V.device}; torch.randn and its kin take device=")
        return V.detach()

    return checked


def _check(idea: Idea, returned: object, shape: Sequence[int], dtype: torch.dtype) -> None:
    """Refuse what an idea returns if it is no tensor of some shape and type."""
    seen = type(returned).__name__
    if isinstance(returned, Tensor):
        if returned.shape == tuple(shape) and returned.dtype == dtype:
            return
        seen = f"{list(returned.shape)} and type {returned.dtype}"
    kind = idea.kind.replace("_", " ")
    raise RequestError(
        f"ideas={sources.source_of(idea).name}",
        f"{kind} {idea.name} must return a tensor of shape {list(shape)} and type {dtype} when asked for it, not "
        f"{seen}",
    )
