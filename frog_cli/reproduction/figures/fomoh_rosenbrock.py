"""Fig. 1b and 2 of arXiv 2408.10419: descents on the Rosenbrock function of two and of ten dimensions."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from frog_cli.reproduction.figures.looks import SMALLEST, draw_legend, drawn_methods
from frog_cli.reproduction.frames import Frames, describe_starts, values_by_run


def draw(frames: Frames, each: bool) -> Figure:
    """Draw values by step: the median over the starts of each method, and each start's own curve if asked for."""
    runs, curves = frames["runs"], frames["curves"]
    figure = Figure(figsize=(8.5, 4.8), layout="constrained")
    axes = figure.subplots()
    ends = {}
    for index, (name, look, group) in enumerate(drawn_methods(runs)):
        table = values_by_run(curves, group).clip(lower=SMALLEST)
        steps = table.index.to_numpy() + 1  # so that the start has a place on a logarithmic axis
        if each:
            axes.plot(steps, table, color=look["color"], linewidth=0.5, alpha=0.35)
        middle = table.median(axis=1)
        above = 3 + (look["linestyle"] != "-")  # broken lines lie above solid ones, so that both are seen
        marks = (0.02 * index, 0.15)
        axes.plot(steps, middle, label=name, linewidth=2, markevery=marks, markersize=5, zorder=above, **look)
        ends[name] = (steps[-1], middle.iloc[-1])
    for name, (x, y) in ends.items():
        near = [other for other in ends.values() if abs(np.log10(other[1] / y)) < 0.4]
        if len(near) == 1:  # names of curves that end together would lie on one another
            axes.annotate(f"  {name}", (x, y), fontsize="x-small", va="center", annotation_clip=False)
    axes.margins(x=0.01)
    axes.set(xscale="log", yscale="log", xlabel="step + 1", ylabel="lowest value so far $f(x)$")
    axes.grid(alpha=0.3)
    draw_legend(figure, axes)
    thin = ", thin: each run" if each else ""
    figure.suptitle(f"Median over {describe_starts(runs)}{thin}; below {SMALLEST:g} drawn there")
    return figure
