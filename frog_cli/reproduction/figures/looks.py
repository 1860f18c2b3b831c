"""How methods are drawn: the colour, marker and line of each, and their legend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from pandas import DataFrame

from frog_cli.settings import methods
from frog_cli.settings.methods import Method

SMALLEST = 1e-16  # values below are drawn here

_LOOKS = {
    "backprop": ("0", "x", ":"),
    "newton": ("0", "P", "-."),
    "fomoh": ("C0", "o", "-"),
    "fomoh_bp": ("C3", "^", "--"),
}
"""Colour, marker and line of the methods that have no k; shades of the others tell their k."""

_SHADES = {"mean": ("Oranges", "s", "--"), "projection": ("Blues", "o", "-")}
_OTHER_SHADES = ("Greens", "D", "-."), ("Purples", "^", ":"), ("Reds", "v", "--")  # of other aggregations, in turn
_MARKERS_BY_K = "DX<>v^psh*"  # of steps in hyperplanes: as many neighbouring shades are hard to tell apart


def drawn_methods(runs: DataFrame) -> Iterator[tuple[str, dict[str, Any], DataFrame]]:
    """Yield each method's name, how it is drawn, and its rows, in the order of the target."""
    runs = runs.assign(k=runs.get("k", np.nan))
    largest = runs["k"].max()
    others = [name for name in runs["gradient"].unique() if name not in {*_LOOKS, *_SHADES, "fomoh_kd"}]
    shades = _SHADES | {name: _OTHER_SHADES[index % len(_OTHER_SHADES)] for index, name in enumerate(others)}
    for _, group in runs.groupby(["gradient", "k"], sort=False, dropna=False):
        method = methods.of_row(group.iloc[0])
        yield method.name_in_papers(), _look(method, largest, shades), group


def _look(method: Method, largest: float, shades_of: Mapping[str, tuple[str, str, str]]) -> dict[str, Any]:
    """Return how a method is drawn: a family by its marker and line, k by its shade."""
    if method.k is None:
        colour, marker, line = _LOOKS[method.gradient]
        return {"color": colour, "marker": marker, "linestyle": line}
    if method.gradient == "fomoh_kd":
        shade = colormaps["turbo"](0.05 + 0.9 * (method.k - 1) / largest)
        return {"color": shade, "marker": _MARKERS_BY_K[method.k % len(_MARKERS_BY_K)], "linestyle": "-"}
    shades, marker, line = shades_of[method.gradient]
    depth = 0.35 + 0.6 * np.log2(method.k) / np.log2(max(largest, 2))
    return {"color": colormaps[shades](min(depth, 0.95)), "marker": marker, "linestyle": line}


def label_parts_of_decades(axis: Axis) -> None:
    """Label the parts of decades of a logarithmic axis where there is room, that is on little more than one decade."""
    low, high = axis.get_view_interval()
    axis.set_minor_formatter("{x:g}" if high < 20 * low else NullFormatter())


def draw_legend(figure: Figure, axes: Axes) -> None:
    """Draw a legend of what axes show, beside all axes of the figure."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize="small")
