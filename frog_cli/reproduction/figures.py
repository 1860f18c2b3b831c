"""One function per target: from the rows of its runs to a figure with the axes of the paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from pandas import DataFrame

from frog_cli.reproduction import results
from frog_cli.reproduction.targets import Scale, Target
from frog_cli.studies import quality_pictures

Rows = dict[str, DataFrame]
"""The rows of a target: `runs`, `quality`, `curves` and `searched`, any of them may be empty."""

_SMALLEST = 1e-16  # values below are drawn here
_CONTOURS = [digit * 10.0**power for power in range(-4, 8) for digit in (1, 2, 5)]

_LOOKS = {
    "backprop": ("0", "x", ":"),
    "newton": ("0", "P", "-."),
    "fomoh": ("C0", "o", "-"),
    "fomoh_bp": ("C3", "^", "--"),
}
"""Colour, marker and line of the methods that have no k; shades of the others tell their k."""

_SHADES = {"mean": ("Oranges", "s", "--"), "projection": ("Blues", "o", "-")}
_OF_PLANES = "DX<>v^psh*"  # markers of hyperplane searches: as many neighbouring shades are hard to tell apart


def rows_of(target: Target, place: Path, scale: Scale = "paper") -> Rows:
    """Return all rows that a target has; a learning rate for each search, if it is made of searches."""
    found = {kind: DataFrame(results.of_grid(target, place, kind, scale)).apply(_numbers) for kind in results.KINDS}
    of_searches = results.compared([]) if target.name == "learning_rates" else []
    found["searched"] = DataFrame(of_searches).apply(_numbers)
    return found


def _numbers(column: Any) -> Any:
    """Return a column as numbers if it has nothing else; an empty cell is no number."""
    filled = column.replace("", np.nan)
    numbers = pd.to_numeric(filled, errors="coerce")
    return numbers if numbers.notna().sum() == filled.notna().sum() else filled


def name_of(gradient: str, k: float) -> str:
    """Return what the papers call a method."""
    if gradient == "fomoh_kd":
        return f"FoMoH-{k:g}D"
    if gradient in ("mean", "projection", "sum"):
        return "$g_v$, k = 1" if gradient == "mean" and k == 1 else f"{gradient}, k = {k:g}"
    return {"backprop": "backprop", "newton": "Newton", "fomoh": "FoMoH", "fomoh_bp": "FoMoH-BP"}[gradient]


def _look(gradient: str, k: float, largest: float) -> dict[str, Any]:
    """Return how a method is drawn: a family by its marker and line, k by its shade."""
    if gradient in _LOOKS:
        colour, marker, line = _LOOKS[gradient]
        return {"color": colour, "marker": marker, "linestyle": line}
    if gradient == "fomoh_kd":
        marker = _OF_PLANES[int(k) % len(_OF_PLANES)]
        return {"color": colormaps["turbo"](0.05 + 0.9 * (k - 1) / largest), "marker": marker, "linestyle": "-"}
    shades, marker, line = _SHADES[gradient]
    depth = 0.35 + 0.6 * np.log2(k) / np.log2(max(largest, 2))
    return {"color": colormaps[shades](min(depth, 0.95)), "marker": marker, "linestyle": line}


def _methods(runs: DataFrame) -> Iterator[tuple[str, dict[str, Any], DataFrame]]:
    """Yield each method's name, how it is drawn, and its rows, in the order of the target."""
    runs = runs.assign(k=runs.get("k", np.nan))
    largest = runs["k"].max()
    for _, group in runs.groupby(["gradient", "k"], sort=False, dropna=False):
        gradient, k = str(group["gradient"].iloc[0]), float(group["k"].iloc[0])
        yield name_of(gradient, k), _look(gradient, k, largest), group


def _against(axes: Axes, runs: DataFrame, x: str, y: Callable[[DataFrame], Any], offset: float = 1.0) -> None:
    """Draw the mean over the seeds of each method against a setting, with bars from the lowest to the highest."""
    methods = list(_methods(runs))
    for index, (name, look, group) in enumerate(methods):
        by_x = group.assign(y=y(group)).groupby(x)["y"]
        middle, low, high = by_x.mean(), by_x.min(), by_x.max()
        shifted = middle.index.to_numpy(dtype=float) * offset ** (index - len(methods) / 2)
        bars = np.maximum(0, [middle - low, high - middle])
        axes.errorbar(shifted, middle, bars, label=name, markersize=4, linewidth=1.2, elinewidth=0.7, **look)


def _legend(figure: Figure, axes: Axes) -> None:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize="small")


def approximation(rows: Rows) -> Figure:
    """Cosine similarity and norm ratio of estimates against k."""
    return quality_pictures.draw(rows["quality"])


def functions(rows: Rows) -> Figure:
    """Lowest value against the dimension, for each function."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    panels = figure.subplots(1, 3)
    for axes, name in zip(panels, ("sphere", "rosenbrock", "styblinski-tang"), strict=True):
        runs = rows["runs"][rows["runs"]["function"] == name]
        if name == "styblinski-tang":
            _against(axes, runs, "n", lambda group: group["best_value"] / group["n"], offset=1.015)
            axes.axhline(-39.16617, color="0.5", linewidth=0.8)
            axes.set(title="Styblinski-Tang", ylabel="lowest value / n")
        else:
            _against(axes, runs, "n", lambda group: group["best_value"].clip(lower=_SMALLEST), offset=1.015)
            axes.set(title=name.capitalize(), ylabel="lowest value $f(x)$", yscale="log")
        axes.set_xscale("log", base=2)
        axes.set_xlabel("dimension n")
        axes.grid(alpha=0.3)
    _legend(figure, panels[0])
    seeds = rows["runs"]["seed"].nunique()
    figure.suptitle(f"Mean of {seeds} seeds, bars from the lowest to the highest; below {_SMALLEST:g} drawn there")
    return figure


def cone(rows: Rows) -> Figure:
    """Cosine similarity, and the lowest value of Styblinski-Tang, against the angle of the cone."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, look, group in _methods(rows["quality"]) if not rows["quality"].empty else ():
        left.errorbar(group["angle"], group["cosine_mean"], group["cosine_standard_error"], label=name, **look)
    if not rows["runs"].empty:
        _against(right, rows["runs"], "angle", lambda group: group["best_value"] / group["n"])
    right.axhline(-39.16617, color="0.5", linewidth=0.8)
    for axes in (left, right):
        axes.set(xlabel="angle to the first tangent in degrees", xticks=[15, 30, 45, 60, 75, 90])
        axes.grid(alpha=0.3)
    left.set(ylabel="cosine similarity to the gradient, n = 64", ylim=(0, 1.05))
    right.set(ylabel="Styblinski-Tang, n = 64: lowest value / n")
    _legend(figure, right if rows["quality"].empty else left)
    return figure


def widths(rows: Rows) -> Figure:
    """Lowest test error against the width, and test loss by epoch of the widest network that there is."""
    runs, curves = rows["runs"], rows["curves"]
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _against(left, runs, "width", lambda group: group["best_test_error_percent"], offset=1.02)
    left.set(xscale="log", yscale="log", xlabel="width w of the hidden layers", ylabel="lowest test error in %")
    shown = sorted(runs["width"].unique())
    left.set_xlim(shown[0] / 1.5, shown[-1] * 1.5)
    left.set_xticks(shown, [f"{width:g}" for width in shown], minor=False)
    left.set_xticks([], minor=True)
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_formatter("{x:g}")
    _by_epoch(right, runs[runs["width"] == shown[-1]], curves, "epoch", "test_loss", spread=False)
    right.set(xlabel="epoch", ylabel="test loss (cross-entropy)", yscale="log", title=f"w = {shown[-1]:g}")
    for axes in (left, right):
        axes.grid(alpha=0.3, which="both")
    _legend(figure, left)
    figure.suptitle(f"MLP on {runs['data_variant'].iloc[0]}, mean of {_seeds(runs)} seeds")
    return figure


def _by_epoch(axes: Axes, runs: DataFrame, curves: DataFrame, x: str, y: str, spread: bool) -> None:
    """Draw the mean of each method's curves; with a band of one standard deviation if asked for."""
    for name, look, group in _methods(runs):
        requests = group["request"].unique()
        by_x = curves[curves["request"].isin(requests)].groupby(x)[y]
        mean, deviation = by_x.mean(), by_x.std().fillna(0)
        scheduled = "schedule" in group and isinstance(group["schedule"].iloc[0], str)
        label = f"{name}, schedule" if scheduled else name
        if scheduled:
            look = {**look, "linestyle": "--", "markerfacecolor": "white"}
        axes.plot(mean.index, mean, label=label, linewidth=1.3, markevery=0.1, markersize=4, **look)
        if spread:
            band = {"color": look["color"], "alpha": 0.15, "linewidth": 0}
            axes.fill_between(mean.index, mean - deviation, mean + deviation, **band)


def errors(rows: Rows) -> Figure:
    """Lowest test error of each method, for each network and data set."""
    runs = rows["runs"]
    pairs = list(runs.groupby(["model", "data_variant"], sort=False))
    figure = Figure(figsize=(4 * len(pairs) + 1, 4), layout="constrained")
    for axes, ((model, data), group) in zip(np.atleast_1d(figure.subplots(1, len(pairs))), pairs, strict=True):
        for index, (name, look, of_method) in enumerate(_methods(group)):
            values = of_method["best_test_error_percent"]
            bars = [[values.mean() - values.min()], [values.max() - values.mean()]]
            axes.errorbar([index], [values.mean()], bars, **{**look, "linestyle": "none"})
            axes.annotate(f" {name}", (index, values.mean()), rotation=90, ha="center", va="bottom", fontsize="x-small")
        axes.set(title=f"{model}, {data}", ylabel="lowest test error in %", xticks=[])
        axes.margins(y=0.4)
        axes.grid(alpha=0.3)
    return figure


def step(rows: Rows) -> Figure:
    """Sampled steps and their means from one start, on the contours of the function."""
    from frog_cli.objectives.functions import rosenbrock

    runs = rows["runs"]
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
    for name, look, group in _methods(moved):
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
    _legend(figure, axes)
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


def descents(rows: Rows, each: bool) -> Figure:
    """Value by step, the median over the starts of each method, and each start's own curve if asked for."""
    runs, curves = rows["runs"], rows["curves"]
    figure = Figure(figsize=(8.5, 4.8), layout="constrained")
    axes = figure.subplots()
    ends = {}
    for index, (name, look, group) in enumerate(_methods(runs)):
        table = by_run(curves, group).clip(lower=_SMALLEST)
        steps = table.index.to_numpy() + 1  # so that the start has a place on a logarithmic axis
        if each:
            axes.plot(steps, table, color=look["color"], linewidth=0.5, alpha=0.35)
        middle = table.median(axis=1)
        above = 3 + (look["linestyle"] != "-")  # broken lines lie above solid ones, so that both are seen
        marks = (0.02 * index, 0.15)
        axes.plot(steps, middle, label=name, linewidth=2, markevery=marks, markersize=5, zorder=above, **look)
        ends[name] = (steps[-1], middle.iloc[-1])
    for name, (x, y) in ends.items():
        near = [other for other in ends.values() if abs(np.log10(other[1] / y)) < 0.4]
        if len(near) == 1:  # names of curves that end together would lie on one another
            axes.annotate(f"  {name}", (x, y), fontsize="x-small", va="center", annotation_clip=False)
    axes.margins(x=0.01)
    axes.set(xscale="log", yscale="log", xlabel="step + 1", ylabel="lowest value so far $f(x)$")
    axes.grid(alpha=0.3)
    _legend(figure, axes)
    thin = ", thin: each run" if each else ""
    figure.suptitle(f"Median over {starts(runs)}{thin}; below {_SMALLEST:g} drawn there")
    return figure


def by_run(curves: DataFrame, runs: DataFrame) -> DataFrame:
    """Return the lowest values so far, a row for each step and a column for each run; one that has ended stays."""
    of_method = curves[curves["request"].isin(runs["request"].unique())]
    return of_method.pivot_table(index="step", columns=["request", "seed"], values="best_value").ffill()


def starts(runs: DataFrame) -> str:
    """Return from how many starts there are runs, and with how many seeds of tangents from each."""
    if "start_seed" not in runs or runs["start_seed"].isna().all():
        return f"{runs['seed'].nunique()} starts"
    seeds = runs.groupby("start_seed")["seed"].nunique()
    each = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    return f"{len(seeds)} starts" + (f" with {each} seeds of tangents each" if seeds.max() > 1 else "")


def learning_curves(rows: Rows) -> Figure:
    """Loss and error by epoch in training and validation."""
    runs, curves = rows["runs"], rows["curves"]
    if "schedule" not in runs:
        runs = runs.assign(schedule=np.nan)
    errors = {
        f"{split}_error_percent": 100 - curves[f"{split}_accuracy_percent"] for split in ("training", "validation")
    }
    curves = curves.assign(**errors, moment=curves["epoch"] + 1)  # so that the start has a place on a logarithmic axis
    figure = Figure(figsize=(13, 9), layout="constrained")
    panels = figure.subplots(2, 2)
    for row, split in enumerate(("training", "validation")):
        for column, (what, unit) in enumerate((("loss", "cross-entropy loss"), ("error_percent", "error in %"))):
            axes = panels[row][column]
            for scheduled in (False, True):
                part = runs[runs["schedule"].notna() == scheduled]
                if not part.empty:
                    _by_epoch(axes, part, curves, "moment", f"{split}_{what}", spread=True)
            axes.set(xlabel="epoch + 1", ylabel=f"{split} {unit}", xscale="log", yscale="log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_locator(NullLocator())
            axes.grid(alpha=0.3)
    _legend(figure, panels[0][0])
    figure.suptitle(f"Mean of {_seeds(runs)} seeds, band of one standard deviation")
    return figure


def _seeds(runs: DataFrame) -> str:
    """Return how many seeds there are of each request, from the fewest to the most."""
    counts = runs.groupby("request")["seed"].nunique()
    return f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"


def searched_rates(rows: Rows) -> Figure:
    """Searched beside published learning rates, a line for each search."""
    table = rows["searched"].dropna(subset=["searched"])
    table = table.reindex(columns=[*dict.fromkeys([*table, "published", "ratio", "k", "search_epochs"])])
    names = [_searched_name(row) for _, row in table.iterrows()]
    heights = np.arange(len(table))
    figure = Figure(figsize=(10, 1.6 + 0.38 * len(table)), layout="constrained")
    axes = figure.subplots()
    low, high = table["published"] / 3, table["published"] * 3
    axes.barh(heights, high - low, left=low, height=0.6, color="0.9", label="published, within a factor of 3")
    axes.hlines(heights, table["published"], table["searched"], color="0.5", linewidth=1)
    axes.plot(table["published"], heights, "D", color="0", fillstyle="none", linestyle="none", label="published")
    axes.plot(table["searched"], heights, "o", color="C0", linestyle="none", label="searched")
    for height, ratio in zip(heights, table["ratio"], strict=True):
        words = f"{ratio:.3g} times" if np.isfinite(ratio) else "none published"
        axes.annotate(words, (1.01, height), xycoords=("axes fraction", "data"), va="center", fontsize="small")
    axes.set_yticks(heights, names)
    axes.invert_yaxis()
    axes.use_sticky_edges = False  # bars end before the frame
    axes.set(xscale="log", xlabel="learning rate")
    axes.grid(alpha=0.3, axis="x")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure


def _searched_name(row: Any) -> str:
    """Return what a search was for."""
    if isinstance(row.get("function"), str):
        problem = f"{row['function']}, n = {row['n']:g}"
    else:
        width = f", w = {row['width']:g}" if row.get("width", np.nan) > 0 else ""
        problem = f"{row['model'].replace('_', ' ')}{width}, {row['data']}"
    epochs = f", {row['search_epochs']:g} epochs" if row["search_epochs"] > 0 else ""
    return f"{problem}: {name_of(row['gradient'], row['k'])}{epochs}"


FIGURES: dict[str, Callable[[Rows], Figure]] = {
    "fig3": approximation,
    "fig4": functions,
    "fig5": cone,
    "fig6": widths,
    "table1": errors,
    "fomoh_step": step,
    "fomoh_rosenbrock_2d": partial(descents, each=True),
    "fomoh_rosenbrock_10d": partial(descents, each=False),
    "fomoh_logistic_regression": learning_curves,
    "fomoh_cnn": learning_curves,
    "learning_rates": searched_rates,
}
