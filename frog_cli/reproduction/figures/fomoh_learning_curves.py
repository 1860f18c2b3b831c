"""Fig. 3, 4, 6 and 7 of arXiv 2408.10419: learning curves of logistic regression and a convolutional network."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from frog_cli.reproduction.figures.looks import draw_legend
from frog_cli.reproduction.figures.means_over_seeds import draw_against_epochs
from frog_cli.reproduction.frames import Frames, count_seeds


def draw(frames: Frames) -> Figure:
    """Draw loss and error by epoch in training and validation."""
    runs, curves = frames["runs"], frames["curves"]
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
                    draw_against_epochs(axes, part, curves, "moment", f"{split}_{what}", spread=True)
            axes.set(xlabel="epoch + 1", ylabel=f"{split} {unit}", xscale="log", yscale="log")
            if what == "loss":
                _leave_out_what_diverges(axes)
            low, high = axes.get_ylim()
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7) if high < 300 * low else (1, 3)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_locator(NullLocator())
            axes.grid(alpha=0.3)
    draw_legend(figure, panels[0][0])
    figure.suptitle(f"Mean of {count_seeds(runs)} seeds, band of one standard deviation where it ends above zero")
    return figure


def _leave_out_what_diverges(axes: Axes) -> None:
    """End an axis at ten times the loss before the first step, so that the others can be told apart."""
    curves = [np.asarray(line.get_ydata(), dtype=float) for line in axes.lines]
    highest = 10 * max(curve[0] for curve in curves)
    if axes.get_ylim()[1] > highest:
        axes.set_ylim(min(np.nanmin(curve) for curve in curves) / 2, highest)
        told = "curves that leave the panel get above ten times their start"
        over_curves = {"color": "white", "alpha": 0.8, "pad": 1}
        axes.annotate(told, (0.02, 0.97), xycoords="axes fraction", va="top", bbox=over_curves)
