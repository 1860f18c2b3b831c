"""Fig. 1a and 5 of arXiv 2408.10419: one step of each method from the same start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from frog_cli.reproduction.figures.looks import draw_legend, drawn_methods
from frog_cli.reproduction.frames import Frames

_CONTOURS = [digit * 10.0**power for power in range(-4, 8) for digit in (1, 2, 5)]


def draw(frames: Frames) -> Figure:
    """Draw sampled steps and their means from one start, on the contours of the function."""
    from frog_cli.objectives.functions import rosenbrock

    runs = frames["runs"]
    start = runs[["first_point_0", "first_point_1"]].iloc[0].to_numpy()
    moved = runs.assign(x=runs["last_point_0"], y=runs["last_point_1"]).dropna(subset=["x", "y"])
    figure = Figure(figsize=(8.5, 5), layout="constrained")
    axes = figure.subplots()
    low, high = moved[["x", "y"]].min().to_numpy(), moved[["x", "y"]].max().to_numpy()
    margin = 0.08 * (high - low)
    low, high = np.minimum(low, start) - margin, np.maximum(high, start) + margin
    grid = np.meshgrid(np.linspace(low[0], high[0], 300), np.linspace(low[1], high[1], 300))
    heights = _evaluate(rosenbrock, grid)
    levels = [level for level in _CONTOURS if heights.min() < level < heights.max()]
    lines = axes.contour(*grid, heights, levels=levels, colors="0.75", linewidths=0.7)
    axes.clabel(lines, fmt="f = %g", fontsize="x-small", colors="0.4", manual=_places(grid, heights, levels))
    for name, look, group in drawn_methods(moved):
        colour, marker = look["color"], look["marker"]
        axes.scatter(group["x"], group["y"], s=9, alpha=0.4, color=colour, marker=marker, linewidths=0.6)
        mean = group[["x", "y"]].mean().to_numpy()
        # short lines lie above long ones, and broken ones above solid ones, so that those that coincide are seen
        above = 4 - np.linalg.norm((mean - start) / (high - low)) + (look["linestyle"] != "-")
        line = {"color": colour, "linewidth": 2, "linestyle": look["linestyle"], "zorder": above}
        axes.plot(
            [start[0], mean[0]], [start[1], mean[1]], **line, marker=marker, markevery=[1], label=f"{name}, mean step"
        )
    axes.plot(*start, "k*", markersize=12, label="start", linestyle="none", zorder=6)
    axes.set(xlabel="$x_1$", ylabel="$x_2$", xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    draw_legend(figure, axes)
    figure.suptitle(f"One step on the Rosenbrock function, {runs['seed'].nunique()} samples each")
    return figure


def _places(grid: Any, heights: Any, levels: Any) -> list[tuple[float, float]]:
    """Return where contours are labelled: each at the lowest point on one of two lines that go up."""
    size = len(heights)
    found = []
    for level in levels:
        for column in (size // 5, 7 * size // 8):
            crossed = np.flatnonzero(np.diff(heights[:, column] > level))
            if len(crossed) and 0.04 * size < crossed[0] < 0.96 * size:
                found.append((grid[0][0, column], grid[1][crossed[0], column]))
                break
    return found


def _evaluate(function: Callable[[Any], Any], grid: Any) -> Any:
    import torch

    return function(torch.tensor(np.stack(grid, -1))).numpy()
