"""Learning rates found before: rows of sweeps/*/learning_rates_*.csv, looked up by all their columns."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from frog_cli.csv_files import read_csv
from frog_cli.errors import RequestError
from frog_cli.resources import folder
from frog_cli.schema import (
    ClassificationRun,
    Cone,
    Forward,
    FunctionRun,
    HyperplaneSearch,
    ImageFolder,
    Run,
    samples_tangents,
)

FOUND = ("learning_rate", "batch_size")
"""The columns that are looked up; all others are settings that must agree, but for those of the search itself."""

OF_THE_SEARCH = "search_"
"""How the names of columns begin that say how a rate was found."""


FACTORS = (
    "function", "n", "start",
    "model", "width", "depth", "patch", "heads", "hidden", "mlp", "dropout", "grouping", "norm", "data",
    "gradient", "k", "tangents", "angle", "perturb", "optimizer", "schedule",
)  # fmt: skip
"""All settings that a learning rate may depend on, in the order of the columns of tables."""


def searched() -> Path:
    """Return the folder that searches write to: below FROG_SWEEPS, or sweeps."""
    return Path(os.environ.get("FROG_SWEEPS") or "sweeps") / "searched"


def factors(run: Run) -> dict[str, str]:
    """Return what a learning rate depends on, as columns of a table."""
    found: dict[str, object] = {}
    if isinstance(run, FunctionRun):
        found |= {"function": run.objective.name, "n": run.objective.n}
        if run.objective.start != "published":
            found["start"] = run.objective.start
    if isinstance(run, ClassificationRun):
        data = run.data.stands_for if isinstance(run.data, ImageFolder) else None
        found |= {"model": run.model.name, "data": data or run.data.name}
        found |= {
            name: f"{value:g}" if isinstance(value, float) else value for name, value in run.model if name != "name"
        }
        if found.get("norm") == "batch":  # as published, and as before there was a choice
            del found["norm"]
    found["gradient"] = run.gradient.name
    if isinstance(run.gradient, Forward | HyperplaneSearch):
        found["k"] = run.gradient.k
    if samples_tangents(run.gradient):
        found["tangents"] = run.tangents.name
        if isinstance(run.tangents, Cone):
            found["angle"] = f"{run.tangents.angle:g}"
    if isinstance(run, ClassificationRun) and isinstance(run.gradient, Forward):
        found["perturb"] = run.gradient.perturb
    if run.optimizer.name != "SGD" or run.optimizer.options:
        found["optimizer"] = " ".join([run.optimizer.name, *map(str, run.optimizer.options)])
    if isinstance(run, ClassificationRun) and run.schedule.name != "none":
        found["schedule"] = run.schedule.name
    return {name: str(value) for name, value in found.items()}


def look_up(name: str, source: str, run: Run) -> str:
    """Return the learning rate or the batch size of a run from sweeps/`source`, as it is written there.

    Raises:
        RequestError: if there is none, or more than one.
    """
    wanted = factors(run)
    having = [row for row in rows(source) if name in row]
    matches = [row for row in having if not _difference(row, wanted)]
    if len(matches) == 1:
        return matches[0][name]
    setting = ", ".join(f"{name}={value}" for name, value in wanted.items())
    if matches:
        raise RequestError(f"{name}={source}", f"{len(matches)} are known for {setting}; give a number")
    differences = [_difference(row, wanted) for row in having]
    nearest = min(differences, key=len, default=[])
    near = sorted({one for difference in differences if len(difference) == len(nearest) for one in difference})
    near = [one for one in near if not one.endswith("=")]
    hint = f"; there is one for {' or '.join(near)}" if 1 <= len(near) <= 8 else ""
    raise RequestError(f"{name}={source}", f"none is known for {setting}{hint}; else give a number")


def find(source: str, wanted: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the rows of a source for some settings."""
    return [row for row in rows(source) if not _difference(row, wanted)]


def settings(row: Mapping[str, str]) -> dict[str, str]:
    """Return the columns of a row that must agree."""
    return {name: value for name, value in row.items() if name not in FOUND and not name.startswith(OF_THE_SEARCH)}


def rows(source: str) -> list[dict[str, str]]:
    """Return all rows of a source; of searched rates, the user's own files stand for frog's of the same names."""
    places = [folder("sweeps") / source, *([searched()] if source == "searched" else [])]
    files = {path.name: path for place in places for path in sorted(place.glob("learning_rates_*.csv"))}
    return [row for path in files.values() for row in read_csv(path)]


def _difference(row: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Return the row's columns that differ from the wanted settings, as name=value."""
    own, others = settings(row), settings(wanted)
    return [
        f"{name}={own.get(name, '')}"
        for name in own.keys() | others.keys()
        if own.get(name, "") != others.get(name, "")
    ]
