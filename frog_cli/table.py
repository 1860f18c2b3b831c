"""frog table: all runs as one table."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from frog_cli import learning_rates, runs
from frog_cli.errors import RequestError
from frog_cli.files import write_atomically
from frog_cli.schema import ClassificationRun, FunctionRun, Run

HELP = """usage: frog table runs [FILE]

Write a row for each run in FROG_RUNS, done or not: its settings, its result, and on what it ran.
Without FILE the table goes to standard output. Runs may go on and finish meanwhile.
"""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_RUN: TypeAdapter[FunctionRun | ClassificationRun] = TypeAdapter(FunctionRun | ClassificationRun)


def help_text() -> str:
    """Return the usage."""
    return HELP


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog table` and return its exit status: 1 if something in the folder is not a run."""
    if not arguments or arguments[0] != "runs" or len(arguments) > 2:
        raise RequestError(f"table {' '.join(arguments)}".strip(), "must be frog table runs, or frog table runs FILE")
    parent = runs.location()
    if not parent.is_dir():
        raise RequestError(f"FROG_RUNS={parent}", "is not a folder")
    rows, refused = collect(parent)
    for reason in refused:
        print(f"frog: {reason}", file=sys.stderr)
    text = as_csv(rows)
    if len(arguments) == 2:
        write_atomically(Path(arguments[1]), text)
    else:
        print(text, end="")
    return 1 if refused else 0


def collect(parent: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a row for each run in a folder, and why other things in it are none."""
    rows, refused = [], []
    for folder in sorted(parent.iterdir()):
        if not (folder / "config.yaml").exists():
            continue
        try:
            rows.append(_row(folder))
        except (ValueError, OSError, yaml.YAMLError) as error:
            refused.append(f"{folder} is not a run of frog: {_reason(error)}")
    return rows, refused


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as CSV with all their columns; text that a spreadsheet would take for a formula starts with '."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows({name: _safe(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _row(folder: Path) -> dict[str, Any]:
    """Return what a run's files say.

    Raises:
        ValueError: if they are not what frog writes.
    """
    paths = [folder, *(folder / name for name in ("config.yaml", "run.json", "summary.json"))]
    for path in paths:
        if path.is_symlink():
            raise ValueError(f"{path.name} is a link")
    run: Run = _RUN.validate_python(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")), strict=True)
    about = _mapping(folder / "run.json")
    summary = _mapping(folder / "summary.json")
    outcome = summary.pop("outcome", None) or about.get("status", "not started")
    row = {"run": folder.name, "outcome": outcome, **learning_rates.factors(run)}
    row |= {"seed": run.seed, "learning_rate": run.learning_rate}
    row |= {name: value for name, value in summary.items() if not isinstance(value, list)}
    versions = about.get("versions")
    row["device"] = about.get("device")
    row["torch"] = versions.get("torch") if isinstance(versions, dict) else None
    row["commit"] = about.get("commit")
    return row


def _mapping(path: Path) -> dict[str, Any]:
    """Return a JSON file's content, nothing if there is no such file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} does not hold names and values")
    return content


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"config.yaml, {'.'.join(map(str, first['loc'][1:]))}: {first['msg']}"
    return " ".join(str(error).split())


def _safe(value: Any) -> Any:
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
