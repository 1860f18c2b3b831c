"""A run's folder: what was asked, on what it ran, what came out."""

from __future__ import annotations

import csv
import json
import math
import os
import socket
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from frog_cli.errors import RequestError
from frog_cli.files.atomic import flush, naming, write_atomically
from frog_cli.files.csv import read_csv
from frog_cli.runs import checkpoints, weights
from frog_cli.runs.environment import environment
from frog_cli.runs.events import Events
from frog_cli.runs.identity import identity
from frog_cli.settings.schema import Run

if TYPE_CHECKING:
    from frog_cli.objectives.objective import Weights


def runs_location() -> Path:
    """Return the folder that run folders are in: FROG_RUNS, or runs."""
    return Path(os.environ.get("FROG_RUNS") or "runs")


def runs_root() -> Path:
    """Return the folder that run folders are in, made if it is not there.

    Raises:
        RequestError: if nothing can be written there.
    """
    path = runs_location()
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".writable-{socket.gethostname()}-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RequestError(f"FROG_RUNS={path}", f"must be a folder that can be written: {error.strerror}") from None
    return path


TABLES = ("metrics.csv", "timings.csv")

_REPEATED = "repeated"
"""The file that says which command repeats a run, and whether it has begun to: then earlier results are gone."""

_BEGUN = " has begun"

WEIGHTS = {"best": "weights.safetensors", "last": "weights_last.safetensors"}
"""The files of a network's weights: those with the lowest validation loss, and those at the end."""


class RunFolder:
    """The folder of one run: config.yaml, run.json, metrics.csv, timings.csv, summary.json, curve.png, weights.

    An unfinished one has checkpoints.
    """

    def __init__(self, parent: Path, run: Run):
        self.run = run
        self.path = parent / identity(run)
        self._events: Events | None = None

    def finished(self) -> dict[str, Any] | None:
        """Return the summary of a run that is done, None if there is none, or it is to be repeated.

        Raises:
            RequestError: if what is there is none.
        """
        path = self.path / "summary.json"
        if self._is_to_be_repeated():
            return None
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            summary = None
        if not isinstance(summary, dict) or "outcome" not in summary:
            raise RequestError(str(path), "is no summary of a run; delete its folder to run it again")
        return summary

    def is_repeated_by(self, command: str) -> bool:
        """Return whether a command is repeating the run or has done so, before it was interrupted."""
        return self._repetition().removesuffix(_BEGUN) == command

    def repeat(self, command: str) -> None:
        """Note that a command repeats the run; its results stay until it starts."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / _REPEATED, command)

    def end_repetition(self) -> None:
        """Note that the command which repeated the run has ended, so that it would be repeated again."""
        (self.path / _REPEATED).unlink(missing_ok=True)

    def has_results(self) -> bool:
        """Return whether there are results of a run that is done, be it to be repeated or not."""
        return (self.path / "summary.json").exists()

    def _repetition(self) -> str:
        try:
            return (self.path / _REPEATED).read_text(encoding="utf-8")
        except OSError:
            return ""

    def _is_to_be_repeated(self) -> bool:
        noted = self._repetition()
        return noted != "" and not noted.endswith(_BEGUN)

    def _drop(self) -> None:
        for name in ("summary.json", "metrics.csv", "timings.csv", "curve.png", *WEIGHTS.values()):
            (self.path / name).unlink(missing_ok=True)
        checkpoints.remove_all(self.path)

    def start(self, device: str, learning_rate: str, seeds: list[int], ranks: int = 1) -> None:
        """Write what was asked and on what it runs, and drop what is there of an earlier attempt, or is repeated."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._drop()
        if self._is_to_be_repeated():
            write_atomically(self.path / _REPEATED, self._repetition() + _BEGUN)
        self._describe(device, learning_rate, seeds, ranks)
        self._events = Events(self.path) if self.run.tensorboard else None

    def resume(self, device: str, learning_rate: str, seeds: list[int], rows: int, ranks: int = 1) -> None:
        """Go on after `rows` rows: drop those that were recorded after the checkpoint.

        What ran on something else before is told on standard error, because results may differ in their rounding.
        """
        for name in TABLES:
            _keep_rows(self.path / name, rows)
        if self.run.tensorboard:
            kept = read_csv(self.path / "metrics.csv")
            self._events = Events(self.path, after=int(kept[-1]["step"]) if kept else -1)
        before = self.about()
        self._describe(device, learning_rate, seeds, ranks)
        now = self._about
        for what in ("device", "compile", "processor", "threads", "chunk_size", "sharing", "versions"):
            if what in before and before[what] != now[what]:
                print(
                    f"frog: {self.path.name} goes on with {what} {now[what]}; it had {before[what]} before, "
                    "so its numbers may differ from those of a run without interruption",
                    file=sys.stderr,
                )

    def about(self) -> dict[str, Any]:
        """Return what run.json says, nothing if it is not there."""
        try:
            about: dict[str, Any] = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return about

    def checkpoint(self) -> dict[str, Any] | None:
        """Return the newest state that is whole and has all its rows in the tables, None if there is none."""
        state = None if self._is_to_be_repeated() else checkpoints.latest(self.path)
        if state is not None and any(_rows(self.path / name) < state["rows"] for name in TABLES):
            print(f"frog: {self.path} lacks rows of its tables; the run starts anew", file=sys.stderr)
            return None
        return state

    def save(self, state: Mapping[str, Any], rows: int, steps: int) -> None:
        """Write a checkpoint of a state after `rows` rows and `steps` steps."""
        for path in (self.path / name for name in TABLES):
            if path.exists():
                flush(path)
        checkpoints.save(self.path, steps, {"rows": rows, "steps": steps, "objective": state})

    def _describe(self, device: str, learning_rate: str, seeds: list[int], ranks: int) -> None:
        for stale in self.path.glob(f".*.{socket.gethostname()}.*"):  # of a process that was killed while writing
            stale.unlink(missing_ok=True)
        settings = yaml.safe_dump(self.run.model_dump(), sort_keys=False)
        write_atomically(self.path / "config.yaml", settings)
        self._about = {
            "status": "running",
            "started": _now(),
            "learning_rate_from": learning_rate,
            "seeds_side_by_side": seeds,
            "device": device,
            "compile": self.run.compile,
            "chunk_size": getattr(self.run.gradient, "chunk_size", None),
            "ranks": ranks,
            "sharing": _sharing(self.run, ranks),
            **environment(device),
        }
        self._write_about()

    def record(self, metrics: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """Append a row of metrics and one of timings."""
        _append(self.path / "metrics.csv", metrics)
        _append(self.path / "timings.csv", timings)
        if self._events is not None:
            self._events.record(metrics)

    def keep(self, found: Mapping[str, Weights]) -> None:
        """Write weights, by the names in `WEIGHTS`."""
        for which, (tensors, about) in found.items():
            weights.write(self.path / WEIGHTS[which], tensors, about)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the summary, whose presence says that the run is done."""
        write_atomically(self.path / "summary.json", json.dumps(_in_json(summary), indent=2, allow_nan=False) + "\n")
        self._about |= {"status": "done", "finished": _now()}
        self._write_about()
        checkpoints.remove_all(self.path)
        self._close()

    def end(self, status: str, reason: str) -> None:
        """Record that the run has failed or was interrupted."""
        self._about |= {"status": status, "finished": _now(), "error": reason}
        self._write_about()
        self._close()

    def _close(self) -> None:
        if self._events is not None:
            self._events.close()

    def _write_about(self) -> None:
        write_atomically(self.path / "run.json", json.dumps(self._about, indent=2) + "\n")


def _sharing(run: Run, ranks: int) -> str | None:
    """Return what ranks share and exchange, None if the numbers are those of one rank."""
    parallel, exchange = getattr(run, "parallel", None), getattr(run, "exchange", None)
    chunks = getattr(run.gradient, "chunk_size", None)
    if ranks == 1 or (parallel == "tangents" and exchange == "slopes" and chunks is not None):
        return None
    return f"{parallel} over {ranks} ranks, exchange of {exchange}"


class FolderOfOthers(RunFolder):
    """The folder of a run that this process computes with others, of which another one keeps it."""

    def start(self, device: str, learning_rate: str, seeds: list[int], ranks: int = 1) -> None:
        """Leave it to the other."""

    def resume(self, device: str, learning_rate: str, seeds: list[int], rows: int, ranks: int = 1) -> None:
        """Leave it to the other."""

    def save(self, state: Mapping[str, Any], rows: int, steps: int) -> None:
        """Leave it to the other."""

    def record(self, metrics: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """Leave it to the other."""

    def keep(self, found: Mapping[str, Weights]) -> None:
        """Leave it to the other."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Leave it to the other."""

    def end(self, status: str, reason: str) -> None:
        """Leave it to the other."""


def _in_json(value: Any) -> Any:
    """Return a summary with null for every number that is not finite, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _in_json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_in_json(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _append(path: Path, row: Mapping[str, float]) -> None:
    """Append a row to a CSV file, which starts with the names of its columns; floats keep every digit."""
    new = not path.exists() or path.stat().st_size == 0
    with naming(path), path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row.keys(), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def _rows(path: Path) -> int:
    """Return how many whole rows a table has below the names of its columns."""
    return max(0, path.read_bytes().count(b"\n") - 1) if path.exists() else 0


def _keep_rows(path: Path, count: int) -> None:
    """Shorten a table to its first rows."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    write_atomically(path, "".join(lines[: count + 1] if count else []))


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
