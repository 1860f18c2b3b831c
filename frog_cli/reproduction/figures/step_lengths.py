"""Steps whose lengths come from the curvature, beside those with learning rates."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from pandas import DataFrame

from frog_cli.reproduction.figures.looks import SMALLEST, draw_legend, drawn_methods, label_parts_of_decades
from frog_cli.reproduction.frames import Frames
from frog_cli.reproduction.lengths_beside_rates import compare, with_results

_PAIRS_IN_A_ROW = 2


def draw(frames: Frames) -> Figure:
    """Draw for each problem the result against the learning rate, and the lengths over the run beside the rates."""
    runs, compared = with_results(frames["runs"]), compare(frames)
    problems = list(dict.fromkeys(runs["problem"]))
    rows = -(-len(problems) // _PAIRS_IN_A_ROW)
    figure = Figure(figsize=(9 * _PAIRS_IN_A_ROW, 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, 2 * _PAIRS_IN_A_ROW, squeeze=False).reshape(-1, 2)
    for (left, right), problem in zip(panels, problems, strict=False):
        of_problem = runs[runs["problem"] == problem]
        _draw_results(left, of_problem, compared)
        _draw_lengths(right, of_problem, frames["curves"], compared)
        left.set_title(problem, loc="left", fontsize="medium")
    for left, right in panels[len(problems) :]:
        left.remove()
        right.remove()
    draw_legend(figure, panels[0][0])
    figure.suptitle(
        "Left: results of fixed learning rates (lines), of the published (diamonds) and the searched one (circles),\n"
        "and of lengths from the curvature (stars, at their median); means over the seeds, bars from the lowest to\n"
        "the highest. Right: these lengths over the run (quartiles shaded), best rate (dashed), published one (dotted)."
    )
    return figure


def _draw_results(axes: Axes, runs: DataFrame, compared: DataFrame) -> None:
    """Draw the results of one problem against the learning rate."""
    network = runs["function"].isna().all()
    for name, look, group in drawn_methods(runs):
        colour, of_rates = look["color"], {**look, "markersize": 3.5}
        fixed = group[group["rate"] == "fixed"]
        axes.plot([], [], label=name, **of_rates)
        if len(fixed):
            rates = fixed.assign(learning_rate=fixed["learning_rate"].astype(float)).groupby("learning_rate")["result"]
            _draw_bars(axes, rates.mean().index, rates, of_rates)
        for source, marker in (("published", "D"), ("searched", "o")):
            of_source = group[group["rate"] == source]
            if len(of_source):
                look_of_source = {"color": colour, "marker": marker, "markersize": 7, "markerfacecolor": "none"}
                rate = float(of_source["learning_rate"].iloc[0])
                _draw_bars(axes, [rate], of_source.groupby("rate")["result"], look_of_source)
        by_curvature, row = group[group["rate"] == "curvature"], _row_of(compared, group)
        if len(by_curvature):
            star = {"color": colour, "marker": "*", "markersize": 14, "markeredgecolor": "black", "zorder": 5}
            _draw_bars(axes, [row["median_length"]], by_curvature.groupby("rate")["result"], star)
            in_star = {"color": "white", "marker": look["marker"], "markersize": 2.2, "zorder": 6}
            axes.plot([row["median_length"]], [max(SMALLEST, by_curvature["result"].mean())], **in_star)
    axes.set(xscale="log", yscale="log", xlabel="learning rate, or median length")
    axes.set_ylabel("lowest test error in %" if network else "lowest value above the minimum")
    axes.yaxis.set_major_formatter("{x:g}")
    if network:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        label_parts_of_decades(axes.yaxis)
    axes.grid(alpha=0.3)


def _draw_bars(axes: Axes, x: Any, results: Any, look: dict[str, Any]) -> None:
    """Draw means of results with bars from the lowest to the highest; values below the smallest are drawn there."""
    middle, low, high = (np.maximum(SMALLEST, part) for part in (results.mean(), results.min(), results.max()))
    axes.errorbar(x, middle, [middle - low, high - middle], linewidth=1.2, elinewidth=0.7, **look)


def _draw_lengths(axes: Axes, runs: DataFrame, curves: DataFrame, compared: DataFrame) -> None:
    """Draw the lengths of one problem over the run."""
    for _, look, group in drawn_methods(runs):
        colour, row = look["color"], _row_of(compared, group)
        of_method = curves[curves["request"].isin(group["request"])] if len(curves) else curves
        if len(of_method):
            by_step = of_method.groupby("step")[
                [f"step_length_{name}" for name in ("lower_quartile", "median", "upper_quartile")]
            ]
            low, middle, high = by_step.mean().to_numpy().T
            steps = by_step.mean().index
            axes.plot(steps, middle, color=colour, linewidth=1.3, marker=look["marker"], markersize=4, markevery=0.2)
            axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.axhline(row["best_rate"], color=colour, linestyle="--", linewidth=1)
        axes.axhline(row["published_rate"], color=colour, linestyle=":", linewidth=1)
    axes.set(yscale="log", xlabel="step", ylabel="length, as a learning rate")
    axes.grid(alpha=0.3)


def _row_of(compared: DataFrame, group: DataFrame) -> Any:
    """Return the row of the comparison that is about some runs of one method."""
    first = group.iloc[0]
    same = (compared["problem"] == first["problem"]) & (compared["gradient"] == first["gradient"])
    same &= (compared["k"] == first["k"]) | (compared["k"].isna() & (first["k"] != first["k"]))
    return compared[same].iloc[0]
