"""The mean of each method over its seeds, against a setting or against epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from pandas import DataFrame

from frog_cli.reproduction.figures.looks import drawn_methods


def draw_against_setting(
    axes: Axes, runs: DataFrame, x: str, y: Callable[[DataFrame], Any], offset: float = 1.0
) -> None:
    """Draw the mean over the seeds of each method against a setting, with bars from the lowest to the highest."""
    drawn = list(drawn_methods(runs))
    for index, (name, look, group) in enumerate(drawn):
        by_x = group.assign(y=y(group)).groupby(x)["y"]
        middle, low, high = by_x.mean(), by_x.min(), by_x.max()
        shifted = middle.index.to_numpy(dtype=float) * offset ** (index - len(drawn) / 2)
        bars = np.maximum(0, [middle - low, high - middle])
        axes.errorbar(shifted, middle, bars, label=name, markersize=4, linewidth=1.2, elinewidth=0.7, **look)


def draw_against_epochs(axes: Axes, runs: DataFrame, curves: DataFrame, x: str, y: str, spread: bool) -> None:
    """Draw the mean of each method's curves; with a band of one standard deviation if asked for."""
    for name, look, group in drawn_methods(runs):
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
            above_zero = deviation < mean  # elsewhere it would reach to the end of a logarithmic axis
            axes.fill_between(mean.index, mean - deviation, mean + deviation, where=above_zero, **band)
