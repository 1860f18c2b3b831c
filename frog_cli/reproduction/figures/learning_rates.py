"""Searched beside published learning rates."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from frog_cli.reproduction.frames import Frames, describe_problem
from frog_cli.settings import methods


def draw(frames: Frames) -> Figure:
    """Draw searched beside published learning rates, a line for each search."""
    table = frames["searched"].dropna(subset=["searched"])
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
    epochs = f", {row['search_epochs']:g} epochs" if row["search_epochs"] > 0 else ""
    return f"{describe_problem(row)}: {methods.of_row(row).name_in_papers()}{epochs}"
