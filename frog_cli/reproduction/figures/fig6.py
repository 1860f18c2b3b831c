"""Fig. 6 of arXiv 2410.17764: fully connected networks on MNIST, against their width."""

from __future__ import annotations

from matplotlib.figure import Figure

from frog_cli.reproduction.figures.looks import draw_legend
from frog_cli.reproduction.figures.means_over_seeds import draw_against_epochs, draw_against_setting
from frog_cli.reproduction.frames import Frames, count_seeds


def draw(frames: Frames) -> Figure:
    """Draw the lowest test error against the width, and test loss by epoch of one width.

    That is the widest of the networks that most methods have trained.
    """
    runs, curves = frames["runs"], frames["curves"]
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_against_setting(left, runs, "width", lambda group: group["best_test_error_percent"], offset=1.02)
    left.set(xscale="log", yscale="log", xlabel="width w of the hidden layers", ylabel="lowest test error in %")
    shown = sorted(runs["width"].unique())
    left.set_xlim(shown[0] / 1.5, shown[-1] * 1.5)
    left.set_xticks(shown, [f"{width:g}" for width in shown], minor=False)
    left.set_xticks([], minor=True)
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_formatter("{x:g}")
    methods = runs.groupby("width")["request"].nunique()
    width = max(methods[methods == methods.max()].index)
    draw_against_epochs(right, runs[runs["width"] == width], curves, "epoch", "test_loss", spread=False)
    right.set(xlabel="epoch", ylabel="test loss (cross-entropy)", yscale="log", title=f"w = {width:g}")
    for axes in (left, right):
        axes.grid(alpha=0.3, which="both")
    draw_legend(figure, left)
    figure.suptitle(f"MLP on {runs['data_variant'].iloc[0]}, mean of {count_seeds(runs)} seeds")
    return figure
