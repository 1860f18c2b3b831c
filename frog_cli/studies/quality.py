"""How well forward gradients approximate a gradient, without training: Fig. 3 and the left half of Fig. 5.

Paper: arXiv 2410.17764.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from frog_cli.files.csv import Row
from frog_cli.gradients.aggregation import Aggregation
from frog_cli.gradients.measurement import simulated
from frog_cli.gradients.tangents import Sampler
from frog_cli.ideas import sources
from frog_cli.objectives import devices
from frog_cli.objectives.estimators import check_aggregation, sampler
from frog_cli.runs.progress import Progress
from frog_cli.settings import learning_rates
from frog_cli.settings.requests import QualityRequest, seed_list

ELEMENTS_AT_ONCE = 2**23  # tangents of so many numbers are held in memory together


class Estimator(NamedTuple):
    """One way to estimate a gradient, which is a row of the result."""

    gradient: str
    tangents: str
    angle: float | None
    k: int


def study(request: QualityRequest, progress: Progress) -> list[Row]:
    """Return a row for each estimator, with the statistics of its estimates over the seeds."""
    settings = request.settings
    device = devices.device(settings.device)
    seeds = seed_list(settings.seeds, {}) or []
    rows: list[Row] = []
    for gradient in request.gradients.values():
        check_aggregation(gradient)
    for estimator in estimators(request):
        sample: Callable[..., Tensor] = sampler(request.tangents[estimator.tangents])
        aggregation = sources.imported(request.gradients[estimator.gradient])
        if estimator.angle is not None:
            sample = partial(sample, angle=estimator.angle)
        cosine, ratio = approximate(sample, aggregation, estimator.k, settings.n, seeds, device)
        row: Row = {**estimator._asdict(), "n": settings.n, "seeds": len(seeds), **_statistics(cosine, ratio)}
        rows.append(row | _hashes(request, estimator))
        name = f"{estimator.tangents} {estimator.gradient}" + (f" {estimator.angle:g}°" if estimator.angle else "")
        progress.show(len(rows), f"{name}, k={estimator.k}: cosine similarity {cosine.mean():.4f}")
    return rows


def estimators(request: QualityRequest) -> Iterator[Estimator]:
    """Yield every combination of the lists; only frog's cones have angles."""
    settings = request.settings
    for tangents, chosen in request.tangents.items():
        for angle in settings.angles or [] if chosen.angle is not None else [None]:
            for gradient in settings.gradients:
                for k in settings.k:
                    yield Estimator(gradient, tangents, angle, k)


def _hashes(request: QualityRequest, estimator: Estimator) -> Row:
    """Return the hashes of the files that ideas from outside are in, none for frog's own."""
    ideas = {"tangents": request.tangents[estimator.tangents], "gradient": request.gradients[estimator.gradient]}
    return {
        f"{group}.sha256": idea.sha256[: learning_rates.LETTERS_OF_A_HASH]
        for group, idea in ideas.items()
        if idea.sha256 is not None
    }


def approximate(
    sample: Sampler, aggregation: Aggregation, k: int, n: int, seeds: Sequence[int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Estimate the gradient (1, .., 1) once per seed.

    A function whose gradient is the same everywhere is linear, so its slopes need no differentiation.

    Returns:
        The cosine similarity of each seed's estimate to the gradient, and the ratio of their norms, both `[seeds]`.
    """
    gradient = torch.ones(n, 1, dtype=torch.float64, device=device)
    at_once = max(1, ELEMENTS_AT_ONCE // (k * n))
    cosines, ratios = [], []
    for start in range(0, len(seeds), at_once):
        generators = [torch.Generator(device).manual_seed(seed) for seed in seeds[start : start + at_once]]
        V = torch.stack([sample((k, n), generator, gradient.dtype) for generator in generators])
        estimate = V.mT @ aggregation(V, simulated(gradient, V))
        norms = torch.linalg.vector_norm(estimate, dim=(1, 2))
        products = estimate.sum((1, 2))
        # an estimate of zero has no direction
        cosines.append(torch.where(norms > 0, products / (norms * math.sqrt(n)), 0))
        ratios.append(norms / math.sqrt(n))
    return torch.cat(cosines), torch.cat(ratios)


def _statistics(cosine: Tensor, ratio: Tensor) -> dict[str, float]:
    """Return mean and standard error over the seeds of what Fig. 3 shows, and of cos^2, which theory predicts."""
    found: dict[str, float] = {}
    for name, values in {"cosine": cosine, "squared_cosine": cosine.square(), "norm_ratio": ratio}.items():
        error = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else math.nan
        found |= {f"{name}_mean": values.mean().item(), f"{name}_standard_error": error}
    return found
