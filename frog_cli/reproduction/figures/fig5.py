"""Fig. 5 of arXiv 2410.17764: tangents on a cone, against its angle."""

from __future__ import annotations

from matplotlib.figure import Figure

from frog_cli.reproduction.figures.looks import draw_legend, drawn_methods
from frog_cli.reproduction.figures.means_over_seeds import draw_against_setting
from frog_cli.reproduction.frames import Frames
from frog_cli.reproduction.lengths_beside_rates import LOWEST


def draw(frames: Frames) -> Figure:
    """Draw cosine similarity, and the lowest value of Styblinski-Tang, against the angle of the cone."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, look, group in drawn_methods(frames["quality"]) if not frames["quality"].empty else ():
        left.errorbar(group["angle"], group["cosine_mean"], group["cosine_standard_error"], label=name, **look)
    if not frames["runs"].empty:
        draw_against_setting(right, frames["runs"], "angle", lambda group: group["best_value"] / group["n"])
    right.axhline(LOWEST["styblinski-tang"], color="0.5", linewidth=0.8)
    for axes in (left, right):
        axes.set(xlabel="angle to the first tangent in degrees", xticks=[15, 30, 45, 60, 75, 90])
        axes.grid(alpha=0.3)
    left.set(ylabel="cosine similarity to the gradient, n = 64", ylim=(0, 1.05))
    right.set(ylabel="Styblinski-Tang, n = 64: lowest value / n")
    draw_legend(figure, right if frames["quality"].empty else left)
    return figure
