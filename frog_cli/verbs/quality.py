"""frog quality: how well forward gradients approximate a gradient, without training.

The studies behind Fig. 3 and the left half of Fig. 5 of arXiv 2410.17764.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import yaml

from frog_cli.files.atomic import write_atomically
from frog_cli.files.csv import Row, as_csv
from frog_cli.runs.environment import environment
from frog_cli.runs.folder import runs_root
from frog_cli.runs.identity import digest
from frog_cli.settings import config, option_help
from frog_cli.settings.schema import CONES, Quality
from frog_cli.studies import quality_pictures

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from frog_cli.runs.progress import Progress

HELP = """usage: frog quality [option=value ...]

Approximate the gradient (1, .., 1) of n dimensions from k tangents, for every combination of the lists given and over
many seeds, and compare the estimate with it: cosine similarity (1 is the same direction) and norm ratio (1 is the
same length). Examples:
  frog quality                                                     Fig. 3 of the first paper
  frog quality 'k=[16,64]' 'gradients=[mean,projection]' 'tangents=[normalised_cone]' 'angles=[15,30,45,60,75,90]'

options, their defaults, and in brackets what is allowed:
"""

ELEMENTS_AT_ONCE = 2**23  # tangents of so many numbers are held in memory together


class Estimator(NamedTuple):
    """One way to estimate: a row of the result."""

    gradient: str
    tangents: str
    angle: float | None
    k: int


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog quality` and return its exit status."""
    settings = config.quality_request(arguments)
    folder = runs_root() / f"quality-n{settings.n}-{digest(settings.model_dump(exclude={'device'}))}"

    import pandas

    from frog_cli.runs.progress import Progress

    with Progress(len(list(estimators(settings))), "estimator") as progress:
        rows = study(settings, progress)
    folder.mkdir(exist_ok=True)
    write_atomically(folder / "config.yaml", yaml.safe_dump(settings.model_dump(), sort_keys=False))
    write_atomically(folder / "quality.csv", as_csv(rows))
    about = {"device": settings.device, **environment()}
    write_atomically(folder / "run.json", json.dumps(about, indent=2) + "\n")
    quality_pictures.draw(pandas.read_csv(folder / "quality.csv")).savefig(folder / "quality.png", dpi=150)
    print(f"{len(rows)} estimators, {rows[0]['seeds']} seeds each, n = {settings.n}")
    print(f"  table    {folder / 'quality.csv'}")
    print(f"  picture  {folder / 'quality.png'}")
    return 0


def study(settings: Quality, progress: Progress) -> list[Row]:
    """Return a row for each estimator: what Fig. 3 shows, and of cos^2, which theory predicts."""
    from frog_cli.objectives import named

    device = named.device(settings.device)
    seeds = config.seed_list(settings.seeds, {}) or []
    rows: list[Row] = []
    for estimator in estimators(settings):
        cosine, ratio = approximate(estimator, settings.n, seeds, device)
        rows.append({**estimator._asdict(), "n": settings.n, "seeds": len(seeds), **_statistics(cosine, ratio)})
        name = f"{estimator.tangents} {estimator.gradient}" + (f" {estimator.angle:g}°" if estimator.angle else "")
        progress.show(len(rows), f"{name}, k={estimator.k}: cosine similarity {cosine.mean():.4f}")
    return rows


def help_text() -> str:
    """Return the usage with every option and its default."""
    return HELP + option_help.of_verb("quality", Quality)


def estimators(settings: Quality) -> Iterator[Estimator]:
    """Yield every combination of the lists; only the cone has angles."""
    for tangents in settings.tangents:
        for angle in settings.angles or [] if tangents in CONES else [None]:
            for gradient in settings.gradients:
                for k in settings.k:
                    yield Estimator(gradient, tangents, angle, k)


def approximate(estimator: Estimator, n: int, seeds: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Estimate the gradient (1, .., 1) once per seed.

    A function whose gradient is the same everywhere is linear, so its slopes need no differentiation.

    Returns:
        The cosine similarity of each seed's estimate to the gradient, and the ratio of their norms, both `[seeds]`.
    """
    import torch

    from frog_cli.gradients import AGGREGATIONS, TANGENTS
    from frog_cli.gradients.measurement import simulated

    options = {} if estimator.angle is None else {"angle": estimator.angle}
    sample = partial(TANGENTS[estimator.tangents], **options)
    gradient = torch.ones(n, 1, dtype=torch.float64, device=device)
    at_once = max(1, ELEMENTS_AT_ONCE // (estimator.k * n))
    cosines, ratios = [], []
    for start in range(0, len(seeds), at_once):
        generators = [torch.Generator(device).manual_seed(seed) for seed in seeds[start : start + at_once]]
        V = torch.stack([sample((estimator.k, n), generator, gradient.dtype) for generator in generators])
        estimate = V.mT @ AGGREGATIONS[estimator.gradient](V, simulated(gradient, V))
        norms = torch.linalg.vector_norm(estimate, dim=(1, 2))
        products = estimate.sum((1, 2))
        cosines.append(
            torch.where(norms > 0, products / (norms * math.sqrt(n)), 0)
        )  # an estimate of zero has no direction
        ratios.append(norms / math.sqrt(n))
    return torch.cat(cosines), torch.cat(ratios)


def _statistics(cosine: Tensor, ratio: Tensor) -> dict[str, float]:
    """Return mean and standard error over the seeds of what Fig. 3 shows, and of cos^2, which theory predicts."""
    found: dict[str, float] = {}
    for name, values in {"cosine": cosine, "squared_cosine": cosine.square(), "norm_ratio": ratio}.items():
        error = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else math.nan
        found |= {f"{name}_mean": values.mean().item(), f"{name}_standard_error": error}
    return found
