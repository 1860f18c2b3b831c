"""What was published, and what our runs reach at the papers' scale and at a laptop's, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from frog_cli.files.csv import Row
from frog_cli.reproduction import stored_rows
from frog_cli.reproduction.tables import published
from frog_cli.reproduction.targets import Job, Scale, Target, jobs

COLUMNS: dict[Scale, str] = {"paper": "papers' scale", "laptop": "laptop's scale"}


def scales_side_by_side(target: Target, folders: Mapping[Scale, Path]) -> list[Row]:
    """Return a row for each setting that a target compares, with its first metric at both scales.

    Settings are what differs between the papers' runs; each value is a mean over the seeds with the lowest and highest.

    Args:
        target: which has runs at both scales.
        folders: where the rows of each scale are.
    """
    metric = target.metrics[0]
    of_scale = {scale: [job for job in jobs(target, scale) if job.kind == "train"] for scale in COLUMNS}
    names = _compared([_settings(job) for job in of_scale["paper"]])
    table: dict[tuple[str, ...], Row] = {}
    for scale, column in COLUMNS.items():
        values: dict[str, list[float]] = {}
        for row in stored_rows.read_current(target, folders[scale], "runs", scale):
            values.setdefault(row["request"], []).extend([float(row[metric])] if row.get(metric) else [])
        for job in of_scale[scale]:
            key = tuple(_settings(job).get(name, "") for name in names)
            row = table.setdefault(key, dict(zip(map(_heading, names), key, strict=True)))
            for value in published(target, job, metric).values():
                row["published"] = f"{value:.4g}"
            row[column] = _with_spread(values.get(job.words, []), len(job.seeds))
    columns = list(dict.fromkeys(name for row in table.values() for name in row if name not in COLUMNS.values()))
    return [{name: row.get(name, "") for name in [*columns, *COLUMNS.values()]} for row in table.values()]


def _settings(job: Job) -> dict[str, str]:
    """Return the options of a job that are set, with the data set that its images stand for."""
    options = {name: value for name, value in job.options.items() if value != "none"}
    return options | ({"data": options["data.stands_for"]} if "data.stands_for" in options else {})


def _compared(settings: Sequence[dict[str, str]]) -> list[str]:
    """Return the options in which some jobs differ: first what they are on, then the method."""
    names = dict.fromkeys(name for one in settings for name in one)
    differ = [name for name in names if len({one.get(name) for one in settings}) > 1 and name != "gradient.measure"]
    of_method = [name for name in differ if name.startswith(("gradient", "schedule"))]
    return [name for name in differ if name not in of_method] + of_method


def _heading(name: str) -> str:
    """Return what an option is called above its column."""
    group, _, last = name.rpartition(".")
    return group if last == "name" else last


def _with_spread(values: Sequence[float], seeds: int) -> str:
    """Return the mean of some values, from the lowest to the highest, and how many there are if some are missing."""
    if not values:
        return "missing"
    spread = f"{fmean(values):.4g} ({min(values):.4g} to {max(values):.4g})" if len(values) > 1 else f"{values[0]:.4g}"
    return spread if len(values) == seeds else f"{spread}, {len(values)} of {seeds} runs"
