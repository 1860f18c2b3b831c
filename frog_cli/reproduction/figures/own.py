"""The figures of a user's own target: every run of each request, metric by metric, and approximation quality."""

from __future__ import annotations

import textwrap

from matplotlib.figure import Figure
from pandas import DataFrame

from frog_cli.reproduction.frames import Frames, count_seeds
from frog_cli.reproduction.targets import Target
from frog_cli.studies import quality_pictures

_LETTERS_OF_A_LABEL = 40


def draw(target: Target, frames: Frames) -> dict[str, Figure]:
    """Return the figures by what is added to the target's name; the only one has its name."""
    figures = {}
    if not frames["runs"].empty:
        figures[""] = _draw_runs(target, frames["runs"])
    if not frames["quality"].empty:
        figures["_quality" if figures else ""] = quality_pictures.draw(frames["quality"])
    return figures


def _draw_runs(target: Target, runs: DataFrame) -> Figure:
    """Draw the values of all seeds, and their mean, a panel for each metric; a request is named by what is its own."""
    metrics = [metric for metric in target.metrics if metric in runs and runs[metric].notna().any()]
    requests = list(dict.fromkeys(runs["request"]))
    height = 1.5 + 0.5 * len(requests)
    figure = Figure(figsize=(4 + 4 * max(1, len(metrics)), height), layout="constrained")
    panels = figure.subplots(1, max(1, len(metrics)), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=False):
        for position, request in enumerate(requests):
            values = runs.loc[runs["request"] == request, metric].dropna()
            axes.plot(values, [position] * len(values), "o", color="C0", alpha=0.5, markersize=4)
            axes.plot([values.mean()], [position], "|", color="black", markersize=14)
        axes.set(xlabel=metric.replace("_", " "))
        axes.grid(alpha=0.3)
    panels[0].set_yticks(range(len(requests)), _labels(requests))
    panels[0].invert_yaxis()
    figure.suptitle(f"{target.title}: {count_seeds(runs)} seeds, | their mean")
    return figure


def _labels(requests: list[str]) -> list[str]:
    """Return the words of each request that not all have."""
    words = [request.split() for request in requests]
    common = set.intersection(*map(set, words)) if len(words) > 1 else set()
    own = [" ".join(word for word in one if word not in common) for one in words]
    return ["\n".join(textwrap.wrap(label, _LETTERS_OF_A_LABEL, break_on_hyphens=False)) or "the rest" for label in own]
