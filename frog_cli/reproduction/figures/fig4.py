"""Fig. 4 of arXiv 2410.17764: the lowest values of closed-form functions, against their dimension."""

from __future__ import annotations

from matplotlib.figure import Figure

from frog_cli.reproduction.figures.looks import SMALLEST, draw_legend
from frog_cli.reproduction.figures.means_over_seeds import draw_against_setting
from frog_cli.reproduction.frames import Frames
from frog_cli.reproduction.lengths_beside_rates import LOWEST


def draw(frames: Frames) -> Figure:
    """Draw the lowest value against the dimension, for each function."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    panels = figure.subplots(1, 3)
    for axes, name in zip(panels, ("sphere", "rosenbrock", "styblinski-tang"), strict=True):
        runs = frames["runs"][frames["runs"]["function"] == name]
        if name == "styblinski-tang":
            draw_against_setting(axes, runs, "n", lambda group: group["best_value"] / group["n"], offset=1.015)
            axes.axhline(LOWEST["styblinski-tang"], color="0.5", linewidth=0.8)
            axes.set(title="Styblinski-Tang", ylabel="lowest value / n")
        else:
            draw_against_setting(axes, runs, "n", lambda group: group["best_value"].clip(lower=SMALLEST), offset=1.015)
            axes.set(title=name.capitalize(), ylabel="lowest value $f(x)$", yscale="log")
        axes.set_xscale("log", base=2)
        axes.set_xlabel("dimension n")
        axes.grid(alpha=0.3)
    draw_legend(figure, panels[0])
    seeds = frames["runs"]["seed"].nunique()
    figure.suptitle(f"Mean of {seeds} seeds, bars from the lowest to the highest; below {SMALLEST:g} drawn there")
    return figure
