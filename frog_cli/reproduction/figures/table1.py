"""Table I of arXiv 2410.17764 as a picture: the lowest test errors of several networks."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from frog_cli.reproduction.figures.looks import drawn_methods
from frog_cli.reproduction.frames import Frames


def draw(frames: Frames) -> Figure:
    """Draw the lowest test error of each method, for each network and data set."""
    runs = frames["runs"]
    pairs = list(runs.groupby(["model", "data_variant"], sort=False))
    figure = Figure(figsize=(4 * len(pairs) + 1, 4), layout="constrained")
    for axes, ((model, data), group) in zip(np.atleast_1d(figure.subplots(1, len(pairs))), pairs, strict=True):
        for index, (name, look, of_method) in enumerate(drawn_methods(group)):
            values = of_method["best_test_error_percent"]
            bars = [[values.mean() - values.min()], [values.max() - values.mean()]]
            axes.errorbar([index], [values.mean()], bars, **{**look, "linestyle": "none"})
            above = {"xytext": (0, 6), "textcoords": "offset points", "rotation": 90, "ha": "center", "va": "bottom"}
            axes.annotate(name, (index, values.max()), **above, fontsize="x-small")
        axes.set(title=f"{model}, {data}", ylabel="lowest test error in %", xticks=[])
        low, high = axes.get_ylim()
        axes.set_ylim(top=high + 0.4 * (high - low))  # room for the names
        axes.grid(alpha=0.3)
    return figure
