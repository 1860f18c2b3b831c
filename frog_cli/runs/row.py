"""A run as a row of a table: what its folder says."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from frog_cli.files.csv import Row, read_csv
from frog_cli.settings import learning_rates
from frog_cli.settings.schema import ClassificationRun, FunctionRun, Run

_COORDINATES = 3  # points of so many dimensions have a place in a row
_RUN: TypeAdapter[FunctionRun | ClassificationRun] = TypeAdapter(FunctionRun | ClassificationRun)


def of_run(folder: Path) -> Row:
    """Return what a run's files say: its settings, its result, and on what it ran.

    Raises:
        ValueError: if they are not what frog writes.
    """
    names = ("config.yaml", "run.json", "summary.json", "timings.csv")
    for path in [folder, *(folder / name for name in names)]:
        if path.is_symlink():
            raise ValueError(f"{path.name} is a link")
    run: Run = _RUN.validate_python(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")), strict=True)
    about = _mapping(folder / "run.json")
    summary = _mapping(folder / "summary.json")
    outcome = summary.pop("outcome", None) or about.get("status", "not started")
    row: Row = {"run": folder.name, "outcome": outcome, **learning_rates.factors(run)}
    if isinstance(run, FunctionRun) and run.objective.start_seed is not None:
        row["start_seed"] = run.objective.start_seed
    if isinstance(run, ClassificationRun):
        row["data_variant"] = run.data.variant
        row["batch_size"] = run.batch_size
    row |= {"seed": run.seed, "learning_rate": run.learning_rate}
    row |= {f"step.{name}": value for name, value in run.curvature_length or ()}
    row |= {name: value for name, value in summary.items() if not isinstance(value, list)}
    for name, values in summary.items():
        if isinstance(values, list) and len(values) <= _COORDINATES:
            row |= {f"{name}_{index}": value for index, value in enumerate(values)}
    row["seconds"] = _seconds(folder / "timings.csv", about)
    versions = about.get("versions")
    row["torch"] = versions.get("torch") if isinstance(versions, dict) else None
    return row | {name: about.get(name) for name in ("device", "processor", "threads", "commit", "finished")}


def reason(error: Exception) -> str:
    """Return in one line why something is not a run."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"config.yaml, {'.'.join(map(str, first['loc'][1:]))}: {first['msg']}"
    return " ".join(str(error).split())


def _seconds(timings: Path, about: Row) -> float | None:
    """Return the wall-clock time of a run, or its share if it ran side by side with others."""
    rows = read_csv(timings)
    if not rows:
        return None
    total = sum(float(row["training_seconds"]) + float(row["measuring_seconds"]) for row in rows)
    together = about.get("seeds_side_by_side")
    return round(total / max(1, len(together) if isinstance(together, list) else 1), 3)


def _mapping(path: Path) -> Row:
    """Return a JSON file's content, nothing if there is no such file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} does not hold names and values")
    return content
