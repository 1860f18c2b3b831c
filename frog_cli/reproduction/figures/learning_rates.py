"""Searched beside published learning rates."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from pandas import DataFrame

from frog_cli.reproduction.frames import Frames, describe_problem
from frog_cli.settings import methods

_LONG = 60  # searches, of which no more are drawn line by line
_FILLS = "none", "full", "left", "right", "top", "bottom"  # of markers of methods, to be told apart without colour


def draw(frames: Frames) -> Figure:
    """Draw searched beside published learning rates, a line for each search; many as points, one against the other."""
    table = frames["searched"].dropna(subset=["searched"])
    table = table.reindex(columns=[*dict.fromkeys([*table, "published", "ratio", "k", "schedule", "search_epochs"])])
    few = len(table) <= _LONG or table["published"].notna().sum() < 2
    return _draw_lines(table) if few else _draw_points(table.dropna(subset=["published"]), len(table))


def _draw_lines(table: DataFrame) -> Figure:
    """Draw a line for each search."""
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


def _draw_points(table: DataFrame, searches: int) -> Figure:
    """Draw searched against published rates, of so many searches, a marker for each problem and method."""
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    axes = figure.subplots()
    ends = np.array([table["published"].min() / 2, table["published"].max() * 2])
    axes.fill_between(ends, ends / 3, ends * 3, color="0.9", label="within a factor of 3")
    axes.plot(ends, ends, color="0.5", linewidth=1)
    kinds = [f"{_kind(row)}, {row['gradient']}" for _, row in table.iterrows()]
    problems = list(dict.fromkeys(_kind(row) for _, row in table.iterrows()))
    looks: dict[str, dict[str, Any]] = {
        gradient: {"color": f"C{index}", "fillstyle": _FILLS[index % len(_FILLS)]}
        for index, gradient in enumerate(dict.fromkeys(table["gradient"]))
    }
    for kind, group in table.groupby(kinds, sort=False):
        marker = "osD^vP*X<>"[problems.index(_kind(group.iloc[0])) % 10]
        look = looks[group["gradient"].iloc[0]] | {"markerfacecoloralt": "white", "linestyle": "none", "alpha": 0.8}
        axes.plot(group["published"], group["searched"], marker=marker, label=str(kind), **look)
    near = int(table["ratio"].between(1 / 3, 3).sum())
    axes.set(xscale="log", yscale="log", xlabel="published learning rate", ylabel="searched learning rate")
    told = f"{near} of {len(table)} searched rates are within a factor of 3 of the published one"
    axes.set_title(told + (f" ({searches - len(table)} without one)" if searches > len(table) else ""))
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize="small")
    return figure


def _kind(row: Any) -> str:
    """Return what a row is about without its size: a function, or a network."""
    return str(row["function"]) if isinstance(row.get("function"), str) else str(row["model"]).replace("_", " ")


def _searched_name(row: Any) -> str:
    """Return what a search was for."""
    schedule = f", {row['schedule'].replace('_', ' ')}" if isinstance(row["schedule"], str) else ""
    epochs = f", {row['search_epochs']:g} epochs" if row["search_epochs"] > 0 else ""
    return f"{describe_problem(row)}: {methods.of_row(row).name_in_papers()}{schedule}{epochs}"
