"""What other code bases have, side by side: test errors at the best of one grid of rates, and without a rate."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from frog_cli.reproduction.frames import Frames
from frog_cli.reproduction.neighbours import compare

_TICKS = 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 60, 90
_SPACES = {"activities": "tangents over activities", "weights": "tangents over weights"}


def draw(frames: Frames) -> Figure:
    """Draw a panel for each space, a line for each method, the best on top; backpropagation is a dotted line."""
    compared = compare(frames)
    backprop = compared[compared["space"] == ""]
    panels = {space: compared[compared["space"] == space] for space in _SPACES}
    panels = {space: table for space, table in panels.items() if len(table)}
    heights = [len(table) + 1 for table in panels.values()]
    figure = Figure(figsize=(8, 1.4 + 0.27 * sum(heights)), layout="constrained")
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (space, table) in zip(all_axes, panels.items(), strict=True):
        _draw_space(axes, table, _SPACES[space])
        if len(backprop):
            axes.axvline(float(backprop["test_error_mean"].iloc[0]), color="0", linestyle=":", label="backpropagation")
    all_axes[-1].set_xlabel("lowest test error in %")
    handles, labels = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    title = "Each method at its best rate, and without one: mean, lowest and highest of the seeds"
    figure.suptitle(title, fontsize="medium")
    return figure


def _draw_space(axes: Axes, table: DataFrame, title: str) -> None:
    """Draw the methods of one space, those at their best rate in the order of their errors."""
    for what, colour, marker, shift, label in (
        ("test_error", "C0", "o", -0.15, "best rate of one grid"),
        ("test_error_no_rate", "C1", "D", 0.15, "no rate, lengths from the curvature"),
    ):
        if f"{what}_mean" not in table:
            continue
        found, low, high = (table[f"{what}_{end}"].astype(float) for end in ("mean", "min", "max"))
        places = [place + shift for place in range(len(table))]
        axes.errorbar(
            found, places, xerr=[found - low, high - found], color=colour, marker=marker, markersize=4, linestyle="",
            elinewidth=1, label=label,
        )  # fmt: skip
    axes.set_yticks(range(len(table)), table["method"])
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.set_xticks(_TICKS, map(str, _TICKS))
    axes.minorticks_off()
    axes.set_title(title, fontsize="medium")
    axes.grid(alpha=0.3, axis="x")
