"""The tables of a target, results/TARGET.csv, made from its rows alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, median, stdev

from frog_cli.files.atomic import write_atomically
from frog_cli.files.csv import Row, as_csv, read_csv
from frog_cli.files.shipped import folder
from frog_cli.reproduction import stored_rows, targets
from frog_cli.reproduction.searched_rates import rates_beside_published
from frog_cli.reproduction.targets import Job, Scale, Target, jobs
from frog_cli.settings import learning_rates

_ABOUT = ("torch", "device", "processor", "threads", "commit", "finished")
"""Columns that say when and on what a row was computed."""


def write_tables(target: Target, results: Path, scale: Scale = "paper") -> list[Path]:
    """Write the tables of a target from its rows; return their paths."""
    tables: dict[str, list[Row]] = {}
    wanted = jobs(target, scale)
    if any(job.kind == "train" for job in wanted):
        runs = stored_rows.read(target, results, "runs")
        tables[""] = _summary(target, [job for job in wanted if job.kind == "train"], runs, scale)
    if any(job.kind == "quality" for job in wanted):
        rows = stored_rows.read_current(target, results, "quality", scale)
        tables["_quality" if tables else ""] = [
            {name: value for name, value in row.items() if name not in (*_ABOUT, "request")} for row in rows
        ]
    if not tables and any(job.kind == "search" for job in wanted):  # else they only prepare the runs
        tables[""] = rates_beside_published(target, scale)
    if target.name in ("step_lengths", "informed_tangents", "neighbours"):  # with pandas, which others do without
        from frog_cli.reproduction import informed_tangents, lengths_beside_rates, neighbours
        from frog_cli.reproduction.frames import read_frames

        compare = {
            "step_lengths": lengths_beside_rates.compare,
            "informed_tangents": informed_tangents.compare,
            "neighbours": neighbours.compare,
        }
        compared = compare[target.name](read_frames(target, results, scale))
        rows_compared = compared.astype(object).where(compared.notna(), None).iterrows()
        tables["_compared"] = [{str(name): value for name, value in row.items()} for _, row in rows_compared]
    paths = []
    for suffix, table in tables.items():
        path = results / f"{target.name}{suffix}.csv"
        results.mkdir(parents=True, exist_ok=True)
        write_atomically(path, as_csv(table))
        paths.append(path)
    return paths


def _summary(target: Target, wanted: Sequence[Job], rows: Sequence[dict[str, str]], scale: Scale) -> list[Row]:
    """Return a row for the jobs that are taken together: settings, mean and spread, and what was published."""
    table = []
    columns = learning_rates.columns(rows)
    used = {name for row in rows for name in columns if row.get(name)}
    for words, group in targets.pooled(target, wanted).items():
        runs_of_group = {run for job in group for run in job.runs}
        found = [row for row in rows if (row["request"], int(row["seed"])) in runs_of_group]
        factors = {name: found[0].get(name) if found else None for name in columns}
        row: Row = {"request": words} | {name: value for name, value in factors.items() if name in used}
        row |= {"runs": len(found), "missing": len(runs_of_group) - len(found)}
        row["diverged"] = sum(one["outcome"] == "diverged" for one in found)
        for metric in (metric for metric in target.metrics if not rows or metric in rows[0]):
            values = [float(one[metric]) for one in found if one.get(metric)]
            row |= {f"{metric}_{name}": _statistic(function, values) for name, function in _STATISTICS.items()}
            row |= (
                published(target, group[0], metric) if scale == "laptop" else _beside(target, group[0], metric, values)
            )
        table.append(row)
    return table


_STATISTICS: dict[str, Callable[[list[float]], float]] = {
    "mean": fmean,
    "std": stdev,
    "median": median,
    "min": min,
    "max": max,
}


def _statistic(function: Callable[[list[float]], float], values: list[float]) -> float | None:
    return None if not values or (function is stdev and len(values) < 2) else function(values)


def published(target: Target, job: Job, metric: str) -> Row:
    """Return the published value of a metric, nothing if the target has none."""
    path = folder("sweeps") / "published" / f"{target.name}_{metric}.csv"
    if not path.exists():
        return {}
    wanted = {name: job.options.get(name) for name in ("model", "data", "gradient")}
    wanted["data"] = job.options.get("data.stands_for", wanted["data"])
    wanted["k"] = job.options.get("gradient.k", "")
    matches = [row for row in read_csv(path) if all(row[name] == value for name, value in wanted.items())]
    return {f"{metric}_published": float(matches[0][metric])} if len(matches) == 1 else {}


def _beside(target: Target, job: Job, metric: str, values: Sequence[float]) -> Row:
    """Return the published value of a metric beside ours at the papers' scale."""
    row = published(target, job, metric)
    if row and values:
        (value,) = row.values()
        row[f"{metric}_difference"] = fmean(values) - value
        row[f"{metric}_published_within_spread"] = "yes" if min(values) <= value <= max(values) else "no"
    return row
