"""frog quality: how well forward gradients approximate a gradient, without training.

The studies behind Fig. 3 and the left half of Fig. 5 of arXiv 2410.17764.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from frog_cli.files.atomic import write_atomically
from frog_cli.files.csv import Row, as_csv
from frog_cli.runs.environment import environment
from frog_cli.runs.folder import runs_root
from frog_cli.runs.identity import digest
from frog_cli.settings import config, option_help
from frog_cli.settings.schema import CONES, Quality

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure
    from pandas import DataFrame
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

_BY_CHANCE = 3  # standard errors up to which means count as equal
_ROUNDING = 1e-9  # and where there is no chance

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
    draw(pandas.read_csv(folder / "quality.csv")).savefig(folder / "quality.png", dpi=150)
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


def draw(rows: DataFrame) -> Figure:
    """Draw cosine similarity and norm ratio against k, or against the angle for tangents on a cone."""
    from matplotlib.figure import Figure

    n = rows["n"].iloc[0]
    by_angle = rows["angle"].notna().all()
    keys = ["tangents", "gradient", "k"] if by_angle else ["tangents", "gradient", "angle"]
    curves = {_label(*list(key)): group for key, group in rows.groupby(keys, sort=False, dropna=False)}
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    cosine, ratio = figure.subplots(1, 2)
    for axes, measure in ((cosine, "cosine"), (ratio, "norm_ratio")):
        for names in _coinciding(curves, measure):
            group, index = curves[names[0]], list(curves).index(names[0])
            style: dict[str, Any] = {
                "label": "\n".join(names),
                "color": f"C{index % 10}",
                "linestyle": ["-", "--", ":", "-."][index % 4],
                "marker": "os^vDP*X<>p"[index % 11],
                "markersize": 4,
            }
            x = group["angle" if by_angle else "k"]
            axes.errorbar(x, group[f"{measure}_mean"], group[f"{measure}_standard_error"], **style)
    for axes, name in ((cosine, "cosine similarity to the gradient"), (ratio, "norm of estimate / norm of gradient")):
        axes.set(xlabel="angle to the first tangent in degrees" if by_angle else "number of tangents k", ylabel=name)
        if not by_angle and rows["k"].max() >= n:
            axes.axvline(n, color="0.4", linestyle="--", linewidth=0.8)
            axes.annotate("k = n ", (n, 0.02), xycoords=("data", "axes fraction"), color="0.4", ha="right")
        axes.grid(alpha=0.3)
    cosine.set_ylim(0, 1.05)
    ratio.set_yscale("log")
    cosine.legend(loc="lower right", fontsize="x-small", labelspacing=0.8)
    ratio.legend(loc="lower left", bbox_to_anchor=(1, 0), frameon=False, fontsize="x-small", labelspacing=0.8)
    seeds = rows["seeds"].iloc[0]
    figure.suptitle(
        f"Estimates of a gradient of n = {n} dimensions, mean of {seeds} seeds; equal curves are drawn once"
    )
    return figure


def _coinciding(curves: Mapping[str, DataFrame], measure: str) -> list[list[str]]:
    """Return the names of curves, those together that differ by no more than chance at any of their points."""
    groups: list[list[str]] = []
    for name, curve in curves.items():
        for names in groups:
            if _coincide(curves[names[0]], curve, measure):
                names.append(name)
                break
        else:
            groups.append([name])
    return groups


def _coincide(one: DataFrame, other: DataFrame, measure: str) -> bool:
    difference = one[f"{measure}_mean"].to_numpy() - other[f"{measure}_mean"].to_numpy()
    squares = sum(curve[f"{measure}_standard_error"].fillna(0).to_numpy() ** 2 for curve in (one, other))
    return bool((abs(difference) <= _BY_CHANCE * squares**0.5 + _ROUNDING).all())


def _label(tangents: Any, gradient: Any, last: Any) -> str:
    """Return the name of a curve; `last` is k where the angle is on the axis, else the angle, if any."""
    if math.isnan(last):
        return f"{gradient}, {tangents} tangents"
    return f"{gradient}, {tangents}, " + (f"k = {last}" if isinstance(last, int) else f"{last:g}°")
