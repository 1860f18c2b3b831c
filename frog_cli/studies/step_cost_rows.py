"""What a row of step costs is of: the images and the method of a step, and what tables and pictures call them."""

from __future__ import annotations

from typing import Any

from frog_cli.errors import RequestError
from frog_cli.files.csv import Row
from frog_cli.settings.schema import ClassificationRun, ImageFolder
from frog_cli.settings.verb_options import Bench

IMAGES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32)}

REFERENCES = ("plain pass", "backprop", "backprop with checkpoints")
"""What every network is measured with beside the steps that are asked for."""


def image_of(run: ClassificationRun, bench: Bench) -> tuple[int, ...]:
    """Return the shape of an image.

    Raises:
        RequestError: if neither bench.image nor the data say.
    """
    if bench.image is not None:
        return tuple(bench.image)
    if isinstance(run.data, ImageFolder):
        raise RequestError("data=image_folder", "needs bench.image=[channels,height,width]")
    return IMAGES[run.data.name]


def method_of(run: ClassificationRun) -> Row:
    """Return what tells a step from others of the same network, as columns of a row."""
    gradient = run.gradient.model_dump()
    chosen = {"gradient": gradient.pop("name"), **{name: gradient.pop(name, None) for name in ("k", "measure")}}
    chosen |= {"perturb": gradient.pop("perturb", None), "tangents": run.tangents.name}
    return {**chosen, "chunk_size": gradient.pop("chunk_size", None), "optimizer": run.optimizer.name}


def name_of(row: Any) -> str:
    """Return what the step of a row is called, without k."""
    if row["gradient"] in REFERENCES:
        return str(row["gradient"])
    words = [row[name] for name in ("gradient", "measure", "perturb") if isinstance(row.get(name), str)]
    if isinstance(row.get("tangents"), str) and row["tangents"] != "normal":
        words.append(row["tangents"])
    chunk = row.get("chunk_size")
    return ", ".join(words) + (f", chunks of {chunk:g}" if chunk == chunk and chunk is not None else "")
