"""Local tangents beside random ones and backpropagation: errors, losses and cosines by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from pandas import DataFrame

from frog_cli.reproduction.figures.looks import label_parts_of_decades
from frog_cli.reproduction.frames import Frames
from frog_cli.reproduction.informed_tangents import at_best_rates, cost_of, curves_of, with_results

_LOOKS = {
    "backprop": ("black", "x", ":"),
    "greedy, local": ("C3", "v", "--"),
    "projection, local": ("C0", "o", "-"),
    "projection, local depth1": ("C2", "s", "-"),
    "projection, local depth2": ("C4", "D", "-"),
    "projection, local depth3": ("C6", "h", "--"),
    "projection, local depth4": ("C9", "p", "--"),
    "projection, local random4": ("C9", "P", "--"),
    "projection, local, no rate": ("C0", "*", ":"),
    "projection, k = 16": ("C1", "^", "-."),
    "mean, k = 4": ("C8", "<", "-."),
    "$g_v$, k = 1": ("C5", ">", "-."),
}
_OTHERS = "C7", "8", "--"


def draw(frames: Frames) -> Figure:
    """Draw for each network its course over the epochs, for perceptrons also over the passes, and cosines by layer."""
    runs = at_best_rates(with_results(frames["runs"]))
    problems = list(dict.fromkeys(runs["problem"]))
    figure = Figure(figsize=(19, 4.2 * len(problems)), layout="constrained")
    panels = figure.subplots(len(problems), 4, squeeze=False)
    for (left, second, third, right), problem in zip(panels, problems, strict=True):
        of_problem = runs[runs["problem"] == problem]
        _draw_courses(left, of_problem, frames["curves"], "training_loss")
        _draw_courses(second, of_problem, frames["curves"], "test_error")
        _draw_courses(third, of_problem, frames["curves"], "test_error", frames["costs"])
        if not third.lines:  # nobody measured what steps cost
            third.remove()
        _draw_cosines(right, of_problem, frames["curves"])
        left.set_title(problem, loc="left", fontsize="medium")
        right.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize="small")
    figure.suptitle("Each method at its best rate: means over the seeds, from the lowest to the highest shaded")
    return figure


def _draw_courses(axes: Axes, runs: DataFrame, curves: DataFrame, what: str, costs: DataFrame | None = None) -> None:
    """Draw training loss or test error of each method over the epochs, or with costs over the passes that they took."""
    for name, of_method in runs.groupby("method", sort=False):
        course = curves_of(of_method, curves)
        course = course.assign(test_error=100 - course["test_accuracy_percent"].astype(float))
        course = course[course["epoch"] > 0]
        if course.empty:
            continue
        groups = course.groupby("epoch")[what]
        x = groups.mean().index.to_numpy(dtype=float)
        if costs is not None:
            cost = cost_of(of_method.iloc[0], costs)
            if cost is None:
                continue
            x = course.groupby("epoch")["step"].mean().to_numpy(dtype=float) * cost["plain_multiplications"]
        look = _look(str(name))
        axes.plot(x, groups.mean(), label=name, **look)
        axes.fill_between(x, groups.min(), groups.max(), color=look["color"], alpha=0.15, linewidth=0)
    label = {"training_loss": "training loss", "test_error": "test error in %"}[what]
    axes.set(yscale="log", xlabel="epoch", ylabel=label)
    axes.yaxis.set_major_formatter("{x:g}")
    label_parts_of_decades(axes.yaxis)
    if costs is not None:
        axes.set(xscale="log", xlabel="forward passes, by their multiplications")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3, which="both" if what == "test_error" else "major")


def _draw_cosines(axes: Axes, runs: DataFrame, curves: DataFrame) -> None:
    """Draw the mean cosine similarity of each method's estimates to the gradient, by layer."""
    for name, of_method in runs.groupby("method", sort=False):
        course = curves_of(of_method, curves)
        trained = course[course["epoch"] > 0].filter(like="cosine_layer").astype(float)
        cosines = trained.mean(axis=0).dropna()
        axes.plot(np.arange(1, len(cosines) + 1), cosines, label=name, **_look(str(name)))
    axes.set(xlabel="layer", ylabel="cosine similarity to the gradient")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def _look(method: str) -> dict[str, Any]:
    colour, marker, line = _LOOKS.get(method, _OTHERS)
    return {"color": colour, "marker": marker, "linestyle": line, "markersize": 5, "linewidth": 1.2}
