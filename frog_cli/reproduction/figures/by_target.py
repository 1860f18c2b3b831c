"""Which figure draws a target, and writing it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from frog_cli.reproduction.figures import (
    fig3,
    fig4,
    fig5,
    fig6,
    fomoh_learning_curves,
    fomoh_rosenbrock,
    fomoh_step,
    informed_tangents,
    learning_rates,
    neighbours,
    own,
    step_lengths,
    table1,
)
from frog_cli.reproduction.frames import Frames, read_frames
from frog_cli.reproduction.targets import Scale, Target
from frog_cli.search import pictures as search_pictures

FIGURES: dict[str, Callable[[Frames], Figure]] = {
    "fig3": fig3.draw,
    "fig4": fig4.draw,
    "fig5": fig5.draw,
    "fig6": fig6.draw,
    "table1": table1.draw,
    "fomoh_step": fomoh_step.draw,
    "fomoh_rosenbrock_2d": partial(fomoh_rosenbrock.draw, each=True),
    "fomoh_rosenbrock_10d": partial(fomoh_rosenbrock.draw, each=False),
    "fomoh_logistic_regression": fomoh_learning_curves.draw,
    "fomoh_cnn": fomoh_learning_curves.draw,
    "learning_rates": learning_rates.draw,
    "step_lengths": step_lengths.draw,
    "informed_tangents": informed_tangents.draw,
    "neighbours": neighbours.draw,
}


def draw(target: Target, results: Path, scale: Scale = "paper") -> list[Path]:
    """Draw the figure of a target as PNG and PDF and return the paths; nothing if it has no rows."""
    frames = read_frames(target, results, scale)
    if all(frame.empty for name, frame in frames.items() if name != "costs"):
        return []
    figures = {"": FIGURES[target.name](frames)} if target.name in FIGURES else own.draw(target, frames)
    paths = []
    results.mkdir(parents=True, exist_ok=True)
    for suffix, figure in figures.items():
        if scale == "laptop":
            figure.supxlabel("smaller than in the papers: scale=laptop", fontsize="small")  # where no legend stands
        paths += [results / f"{target.name}{suffix}.png", results / f"{target.name}{suffix}.pdf"]
        figure.savefig(paths[-2], dpi=150)
        figure.savefig(paths[-1], metadata={"CreationDate": None})
    return paths + (search_pictures.draw_all() if target.name == "learning_rates" else [])
