"""The picture of each search, loss against what was searched, from its tables in sweeps/searched alone."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from frog_cli.files.csv import read_csv
from frog_cli.search import tables
from frog_cli.settings import learning_rates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

_LOOKS = {"ran to its end": ("o", "C0"), "given up": ("v", "0.6"), "diverged": ("x", "C3")}
"""Marker and colour of evaluations by how they ended."""

_COLOURS = 32  # three, black, and what smooths their edges


def draw_all() -> list[Path]:
    """Draw all searches anew and return the paths of the pictures."""
    place = learning_rates.searched()
    return [draw(place, name) for name in tables.names(place)]


def draw(place: Path, name: str) -> Path:
    """Draw one search anew and return the path of its picture, of few colours, as there are many pictures."""
    from PIL import Image

    picture, drawn = place / f"{name}.png", BytesIO()
    figure(place, name).savefig(drawn, dpi=120)
    with Image.open(drawn) as coloured:
        coloured.convert("RGB").quantize(_COLOURS).save(picture, optimize=True)
    return picture


def figure(place: Path, name: str) -> Figure:
    """Return loss against what was searched; diverged runs, which have no loss, stand below the upper edge."""
    import pandas
    from matplotlib.figure import Figure

    evaluations = pandas.read_csv(tables.evaluations_path(place, name))
    endings = evaluations["outcome"].where(evaluations["outcome"].isin(_LOOKS), "ran to its end")
    (found,) = read_csv(tables.found_path(place, name))
    searched = "learning_rate" if "learning_rate" in found else "step.factor"
    drawn = Figure(figsize=(7, 4.4), layout="constrained")
    axes = drawn.subplots()
    for label, (marker, colour) in _LOOKS.items():
        of_this = evaluations[endings == label]
        if of_this.empty:
            continue
        lost = label == "diverged"
        axes.scatter(
            of_this[searched],
            [0.95] * len(of_this) if lost else of_this["loss"],
            transform=axes.get_xaxis_transform() if lost else axes.transData,
            marker=marker,
            color=colour,
            s=22,
            label=f"{label} ({len(of_this)})",
            zorder=3,
        )
    best = float(found[searched])
    axes.axvline(best, color="C0", linewidth=1, label=f"best {best:.3g}")
    published = learning_rates.find("published", learning_rates.settings(found))
    if len(published) == 1:
        rate = float(published[0]["learning_rate"])
        axes.axvline(rate, color="0.2", linestyle="--", linewidth=1, label=f"published {rate:.3g}")
    axes.set(xscale="log", xlabel=searched.replace("_", " "), ylabel="lowest loss of a run")
    axes.set_xlim(evaluations[searched].min() / 1.5, evaluations[searched].max() * 1.5)
    _set_heights(axes, evaluations)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    axes.set_title(f"{name}\nfrog search {found['search_request']}", fontsize="x-small", wrap=True)
    return drawn


def _set_heights(axes: Axes, evaluations: DataFrame) -> None:
    """Let all losses be seen, with room above them for the diverged runs."""
    losses = evaluations["loss"].dropna()
    if losses.empty:
        return
    low, high = losses.min(), losses.max()
    above = 0.15 if (evaluations["outcome"] == "diverged").any() else 0.05
    if low > 0 and high > 10 * low:
        axes.set_yscale("log")
        axes.set_ylim(low * (low / high) ** 0.05, high * (high / low) ** above)
    elif high > low:
        axes.set_ylim(low - 0.05 * (high - low), high + above * (high - low))
