"""The learning curve of a run as a picture, drawn from its metrics.csv."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from frog_cli.files.atomic import write_atomically

COLOURS = {"training": "0.55", "validation": "C1", "test": "C0"}
STYLES = {"training": "-", "validation": "--", "test": "-"}


def draw_curve(metrics: Path, title: str, picture: Path) -> None:
    """Draw losses and errors by epoch, or the value of a function by step, and lengths where they vary, as a PNG."""
    table = np.genfromtxt(metrics, delimiter=",", names=True, ndmin=1)  # pandas takes long to import
    columns = table.dtype.names or ()
    lengths = "step_length_median" in columns
    panels = (2 if "epoch" in columns else 1) + lengths
    figure = Figure(figsize=(4.5 * max(2, panels), 3.6))
    loss, *others = _panels(figure, panels)
    if lengths:
        _draw_lengths(others.pop(), table, "epoch" if "epoch" in columns else "step")
    if "epoch" in columns:
        (error,) = others
        for split, colour in COLOURS.items():
            style = {"color": colour, "linestyle": STYLES[split], "label": split}
            loss.plot(table["epoch"], table[f"{split}_loss"], **style)
            error.plot(table["epoch"], 100 - table[f"{split}_accuracy_percent"], **style)
        loss.set(xlabel="epoch", ylabel="cross-entropy loss")
        error.set(xlabel="epoch", ylabel="error in %")
        for axes in (loss, error):
            _log_if_positive(axes)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.legend(frameon=False)
    else:
        axes = loss
        axes.plot(table["step"], table["value"], color="0.55", label="value")
        axes.plot(table["step"], table["best_value"], color="C0", linestyle="--", label="best value so far")
        axes.set(xlabel="step", ylabel="value of the function")
        _log_if_positive(axes)
        axes.legend(frameon=False)
    figure.suptitle(title)
    content = io.BytesIO()
    figure.savefig(content, dpi=150)
    write_atomically(picture, content.getvalue())


def _panels(figure: Figure, number: int) -> list[Any]:
    """Return panels side by side, whose margins have room for any labels.

    Finding the least margins, as matplotlib can, would take as long again as drawing.
    """
    width, height = figure.get_size_inches()
    left, right, below, above = 1.0, 0.1, 0.55, 0.4  # of each panel, in inches
    each = width / number
    size = (each - left - right) / width, (height - below - above) / height
    return [figure.add_axes(((index * each + left) / width, below / height, *size)) for index in range(number)]


def _draw_lengths(axes: Axes, table: NDArray[np.void], over: str) -> None:
    """Draw the median and the quartiles of the steps' lengths."""
    axes.plot(table[over], table["step_length_median"], color="C0", label="median")
    quartiles = table["step_length_lower_quartile"], table["step_length_upper_quartile"]
    axes.fill_between(table[over], *quartiles, color="C0", alpha=0.2, linewidth=0, label="quartiles")
    axes.set(xlabel=over, ylabel="length of a step, as a learning rate")
    _log_if_positive(axes)
    axes.legend(frameon=False)


def _log_if_positive(axes: Axes) -> None:
    """Use a logarithmic scale where all values are positive and span more than a factor of ten."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()])
    finite = values[np.isfinite(values)]
    if finite.size and finite.min() > 0 and finite.max() > 10 * finite.min():
        axes.set_yscale("log")
    axes.grid(alpha=0.3)
