"""How well gradients of a network are approximated while it trains: cosine similarity and norm ratio, by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pandas import DataFrame

from frog_cli.files.csv import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURES = ("cosine", "norm_ratio")
_LABELS = {"cosine": "cosine similarity to the gradient", "norm_ratio": "norm of estimate / norm of gradient"}
_STYLES = ("-", "--", ":", "-.")
_MARKERS = "os^vDP*X<>p"


def by_layer(about: Row, metrics: Sequence[Mapping[str, str]]) -> list[Row]:
    """Return a row for each epoch and layer of a run that compared its estimates with the true gradient.

    Args:
        about: columns that say which run it is.
        metrics: the rows of its metrics.csv.
    """
    layers = [name.removeprefix("cosine") for name in metrics[0] if name.startswith("cosine")]
    return [
        about
        | {"epoch": row["epoch"], "step": row["step"], "layer": layer.removeprefix("_layer_") or "all"}
        | {measure: row[f"{measure}{layer}"] for measure in MEASURES}
        for row in metrics
        for layer in layers
    ]


def draw(rows: DataFrame) -> Figure:
    """Draw both measures against the epoch, over all layers, and their means over the epochs for each layer.

    Each method is a line: the mean over its seeds. Epoch 0, before the first step, is left out of the means.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    grid = figure.subplots(2, 2)
    everything, layers = rows[rows["layer"] == "all"], rows[(rows["layer"] != "all") & (rows["epoch"] > 0)]
    numbers = sorted(layers["layer"].astype(int).unique())
    for (over_epochs, over_layers), measure in zip(grid, MEASURES, strict=True):
        for index, method in enumerate(dict.fromkeys(rows["method"])):
            style = {
                "label": method,
                "color": f"C{index % 10}",
                "linestyle": _STYLES[index % 4],
                "marker": _MARKERS[index % len(_MARKERS)],
                "markersize": 4,
            }
            means = everything[everything["method"] == method].groupby("epoch")[measure].mean()
            over_epochs.plot(means.index, means, **style)
            of_layers = layers[layers["method"] == method].groupby("layer")[measure].mean()
            over_layers.plot(numbers, [of_layers.get(str(number), np.nan) for number in numbers], **style)
        over_epochs.set(xlabel="epoch", ylabel=_LABELS[measure], title="all layers")
        over_layers.set(xlabel="layer", title="by layer, mean over the epochs")
        over_layers.set_xticks(numbers)
        for axes in (over_epochs, over_layers):
            _scale(axes, measure)
    grid[0, 1].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize="small")
    return figure


def _scale(axes: Axes, measure: str) -> None:
    axes.grid(alpha=0.3)
    if measure == "cosine":
        axes.set_ylim(min(0, axes.get_ylim()[0]), 1.05)
    else:
        values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()])
        finite = values[np.isfinite(values)]
        if finite.size and (finite > 0).all():
            axes.set_yscale("log")
