"""What a row of step costs is of: the images and the method of a step, and what tables and pictures call them."""

from __future__ import annotations

from typing import Any

from frog_cli.errors import RequestError
from frog_cli.settings import methods
from frog_cli.settings.schema import ClassificationRun
from frog_cli.settings.verb_options import Bench

IMAGES = {
    "digits": (1, 8, 8),
    **dict.fromkeys(("mnist", "fashion_mnist"), (1, 28, 28)),
    **dict.fromkeys(("cifar10", "cifar100", "svhn"), (3, 32, 32)),
}

REFERENCES = ("plain pass", "backprop", "backprop with checkpoints")
"""What every network is measured with beside the steps that are asked for."""


def image_of(run: ClassificationRun, bench: Bench) -> tuple[int, ...]:
    """Return the shape of an image.

    Raises:
        RequestError: if neither bench.image nor the data say.
    """
    if bench.image is not None:
        return tuple(bench.image)
    if run.data.from_outside or run.data.name not in IMAGES:
        raise RequestError(f"data={run.data.name}", "needs bench.image=[channels,height,width]")
    return IMAGES[run.data.name]


def name_of(row: Any) -> str:
    """Return what the step of a row is called, without k."""
    method = methods.of_row(row)
    if method.gradient in REFERENCES and method.lengths is None and not _ranks(row):
        return method.gradient
    return f"{method.name_of_steps()}{_ranks(row)}"


def _ranks(row: Any) -> str:
    """Return what the ranks of a step share and exchange, nothing for a step without ranks."""
    ranks = row.get("ranks")
    if not ranks or ranks != ranks:  # an empty cell of a data frame is not equal to itself
        return ""
    exchange = "" if row["parallel"] == "batch" else f", {row['exchange']}"
    return f", {int(ranks)} sharing {row['parallel']}{exchange}"
