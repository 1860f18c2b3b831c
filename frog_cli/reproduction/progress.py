"""What is done of targets, what is missing, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from frog_cli.files.csv import read_csv
from frog_cli.reproduction import stored_rows, targets
from frog_cli.reproduction.targets import Job, Scale, Target
from frog_cli.search import tables as tables_of_searches
from frog_cli.settings import learning_rates


class Hours(NamedTuple):
    """What a target has cost and will, in hours of one process; None: nobody knows."""

    spent: float | None
    left: float | None

    def texts(self) -> list[str]:
        """Return both as a table has them."""
        return ["-" if hours is None else f"{hours:.2f}" if hours else "0" for hours in self]


def hours(target: Target, scale: Scale, missing: Sequence[Job]) -> Hours:
    """Return what a target has cost and will.

    What is missing is taken to cost as much as what is done of its kind; nobody knows it if nothing is done, or if the
    target itself says what the rest would cost. A search that several targets want counts for the first of them.
    """
    searches = _first_wanted(target, scale)
    of_kind = {"train": _of_runs(target, scale), "search": _of_searches(searches), "quality": []}
    spent, left = 0.0, 0.0
    for kind, seconds in of_kind.items():
        waiting = [job for job in missing if job.kind == kind and (kind != "search" or job.words in searches)]
        spent += sum(seconds) / 3600
        if waiting:
            left += sum(seconds) / len(seconds) * targets.count(waiting) / 3600 if seconds else math.nan
    known = any(of_kind.values())
    unknown = math.isnan(left) or (left > 0 and scale == "paper" and bool(target.cost))
    return Hours(spent if known else None, None if unknown else left)


def _first_wanted(target: Target, scale: Scale) -> list[str]:
    """Return the searches of a target that no target before it wants."""
    before: set[str] = set()
    for name in targets.names() if target.name in targets.names() else []:
        if name == target.name:
            break
        before |= {job.words for job in targets.jobs(targets.load(name), scale) if job.kind == "search"}
    return [job.words for job in targets.jobs(target, scale) if job.kind == "search" and job.words not in before]


def _of_runs(target: Target, scale: Scale) -> list[float]:
    """Return the seconds of each run."""
    results = stored_rows.results_folder(targets.own_scale(target, scale))
    found = stored_rows.read_current(target, results, "runs", scale)
    return [float(row["seconds"]) for row in found if row.get("seconds")]


def _of_searches(wanted: list[str]) -> list[float]:
    """Return the seconds of each search."""
    evaluations = {
        row["search_request"]: tables_of_searches.evaluations_beside(path)
        for row, path in learning_rates.tables("searched")
    }
    found = [read_csv(evaluations[words]) for words in wanted if words in evaluations]
    return [sum(float(row["seconds"]) for row in of_one) for of_one in found if of_one]


def describe(target: Target, scale: Scale) -> str:
    """Return how much of a target is done."""
    total, left = targets.count(targets.jobs(target, scale)), targets.count(stored_rows.missing(target, scale))
    return "done" if not left else f"{total - left} of {total} done"


def table(scale: Scale) -> str:
    """Return the state of all targets."""
    lines = [f"{'target':<26} {'done':>5} {'missing':>8}  {'hours so far':>12} {'hours left':>10}  title"]
    for name in targets.names():
        target = targets.load(name)
        missing = stored_rows.missing(target, scale)
        total, left = targets.count(targets.jobs(target, scale)), targets.count(missing)
        spent, rest = hours(target, scale, missing).texts()
        lines.append(f"{name:<26} {total - left:>5} {left:>8}  {spent:>12} {rest:>10}  {target.title}")
    return "\n".join(lines)
