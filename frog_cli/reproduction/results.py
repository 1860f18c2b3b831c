"""The results of a target: rows that last in results/TARGET/, and the tables that are made from them alone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from frog_cli.errors import InProgressError
from frog_cli.files.atomic import write_atomically
from frog_cli.files.csv import Row, as_csv, read_csv
from frog_cli.files.shipped import folder
from frog_cli.reproduction import targets
from frog_cli.reproduction.targets import Job, Scale, Target, jobs
from frog_cli.runs.folder import runs_location
from frog_cli.runs.lock import locked
from frog_cli.settings import learning_rates

KINDS = {"runs": ("request", "seed"), "quality": ("request", "tangents", "angle", "gradient", "k"), "curves": ()}
"""The files of a target, and by which columns a row is told from others; curves go with the rows of runs."""

_ABOUT = ("torch", "device", "processor", "threads", "commit", "finished")
"""Columns that say on what a row was computed, not what."""


def root(scale: Scale = "paper") -> Path:
    """Return the folder of results: FROG_RESULTS, or results; those of a smoke test are kept with its runs."""
    return runs_location() / "smoke" if scale == "smoke" else Path(os.environ.get("FROG_RESULTS") or "results")


def read(target: Target, place: Path, kind: str) -> list[dict[str, str]]:
    """Return the rows of one kind that a target has."""
    return read_csv(place / target.name / f"{kind}.csv")


def of_grid(target: Target, place: Path, kind: str, scale: Scale) -> list[dict[str, str]]:
    """Return the rows of one kind that belong to what a target is now; others are kept in its file, and not used."""
    wanted = jobs(target, scale)
    requests = {job.words for job in wanted}
    runs_of_target = {run for job in wanted for run in _runs(job)}
    return [
        row
        for row in read(target, place, kind)
        if ((row["request"], int(row["seed"])) in runs_of_target if "seed" in row else row["request"] in requests)
    ]


def add(target: Target, scale: Scale, kind: str, rows: Sequence[Row]) -> None:
    """Add rows to those of a target, or replace the same ones; other processes may add at the same time."""
    if not rows:
        return
    place = root(scale)
    key = KINDS[kind] or ("request", "seed", list(rows[0])[2])
    position = {job.words: index for index, job in enumerate(jobs(target, scale))}
    with _patiently_locked(place / target.name):
        merged = {_key(row, key): row for row in [*read(target, place, kind), *rows]}

        def order(row: Row) -> Any:
            seed = int(row["seed"]) if "seed" in row else 0
            return position.get(row["request"], len(position)), row["request"], seed

        ordered = [_in_columns(row) for row in sorted(merged.values(), key=order)]
        write_atomically(place / target.name / f"{kind}.csv", as_csv(ordered))


def _in_columns(row: Row) -> Row:
    """Return a row with all settings in front, so that tables have the same columns whatever row comes first."""
    front = ("request", "run", "outcome", *learning_rates.FACTORS) if "run" in row else ()
    return {name: row.get(name) for name in front} | row


def missing(target: Target, scale: Scale) -> list[Job]:
    """Return the jobs of a target that have no row yet, with the seeds that are missing."""
    place = root(scale)
    done = {(row["request"], int(row["seed"])) for row in read(target, place, "runs")}
    studied = {row["request"] for row in read(target, place, "quality")}
    searched = {row["search_request"] for row in learning_rates.rows("searched")}
    left = []
    for job in jobs(target, scale):
        if job.kind == "train":
            seeds = tuple(seed for seed in job.seeds if (job.words, seed) not in done)
            left += [job._replace(seeds=seeds)] if seeds else []
        elif job.words not in (studied if job.kind == "quality" else searched):
            left.append(job)
    return left


def tabulate(target: Target, place: Path, scale: Scale = "paper") -> list[Path]:
    """Write the tables of a target from its rows; return their paths."""
    tables: dict[str, list[Row]] = {}
    wanted = jobs(target, scale)
    if any(job.kind == "train" for job in wanted):
        tables[""] = _summary(target, [job for job in wanted if job.kind == "train"], read(target, place, "runs"))
    if any(job.kind == "quality" for job in wanted):
        rows = of_grid(target, place, "quality", scale)
        tables["_quality" if tables else ""] = [
            {name: value for name, value in row.items() if name not in (*_ABOUT, "request")} for row in rows
        ]
    if any(job.kind == "search" for job in wanted):
        tables[""] = compared([job.words for job in wanted if job.kind == "search"])
    paths = []
    for suffix, table in tables.items():
        path = place / f"{target.name}{suffix}.csv"
        place.mkdir(parents=True, exist_ok=True)
        write_atomically(path, as_csv(table))
        paths.append(path)
    return paths


def _summary(target: Target, wanted: Sequence[Job], rows: Sequence[dict[str, str]]) -> list[Row]:
    """Return a row for the jobs that are taken together: settings, mean and spread, and what was published."""
    table = []
    used = {name for row in rows for name in learning_rates.FACTORS if row.get(name)}
    for words, group in targets.pooled(target, wanted).items():
        runs_of_group = {run for job in group for run in _runs(job)}
        found = [row for row in rows if (row["request"], int(row["seed"])) in runs_of_group]
        factors = {name: found[0].get(name) if found else None for name in learning_rates.FACTORS}
        row: Row = {"request": words} | {name: value for name, value in factors.items() if name in used}
        row |= {"runs": len(found), "missing": len(runs_of_group) - len(found)}
        row["diverged"] = sum(one["outcome"] == "diverged" for one in found)
        for metric in target.metrics:
            values = [float(one[metric]) for one in found if one.get(metric)]
            row |= {f"{metric}_{name}": _statistic(function, values) for name, function in _STATISTICS.items()}
            row |= _published(target, words, metric, values)
        table.append(row)
    return table


def _runs(job: Job) -> list[tuple[str, int]]:
    return [(job.words, seed) for seed in job.seeds]


_STATISTICS: dict[str, Callable[[list[float]], float]] = {
    "mean": fmean,
    "std": stdev,
    "median": median,
    "min": min,
    "max": max,
}


def _statistic(function: Callable[[list[float]], float], values: list[float]) -> float | None:
    return None if not values or (function is stdev and len(values) < 2) else function(values)


def _published(target: Target, words: str, metric: str, values: Sequence[float]) -> Row:
    """Return the published value of a metric beside ours, nothing if the target has no published values."""
    path = folder("sweeps") / "published" / f"{target.name}_{metric}.csv"
    if not path.exists():
        return {}
    chosen = dict(word.split("=") for word in words.split())
    wanted = {"model": chosen.get("model"), "data": chosen.get("data"), "gradient": chosen.get("gradient")}
    wanted["k"] = chosen.get("gradient.k", "")
    matches = [row for row in read_csv(path) if all(row[name] == value for name, value in wanted.items())]
    if len(matches) != 1:
        return {}
    published = float(matches[0][metric])
    row: Row = {f"{metric}_published": published}
    if values:
        row[f"{metric}_difference"] = fmean(values) - published
        row[f"{metric}_published_within_spread"] = "yes" if min(values) <= published <= max(values) else "no"
    return row


def compared(wanted: Sequence[str]) -> list[Row]:
    """Return searched learning rates beside the published ones, those that are wanted first, found or not."""
    found = {row["search_request"]: row for row in learning_rates.rows("searched")}
    table = []
    for words in dict.fromkeys([*wanted, *found]):
        searched = found.get(words, {})
        row: Row = {"request": words, **learning_rates.settings(searched)}
        row["searched"] = searched.get("learning_rate")
        published = learning_rates.find("published", learning_rates.settings(searched)) if searched else []
        if len(published) == 1:
            row["published"] = published[0]["learning_rate"]
            row["ratio"] = float(searched["learning_rate"]) / float(row["published"])
        row |= {name: value for name, value in searched.items() if name.startswith(learning_rates.OF_THE_SEARCH)}
        table.append(row)
    return table


def _key(row: Row, names: Sequence[str]) -> tuple[str, ...]:
    values = (row.get(name) for name in names)
    return tuple("" if value is None else str(value) for value in values)


@contextmanager
def _patiently_locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock; wait while another process holds it."""
    with ExitStack() as held:
        for _ in range(600):
            try:
                held.enter_context(locked(folder))
                break
            except InProgressError:
                time.sleep(0.1)
        else:
            raise InProgressError(f"{folder} has been locked for a minute; if nobody writes there, delete its lock")
        yield
