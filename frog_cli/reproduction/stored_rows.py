"""The rows of a target in results/TARGET/: reading them, adding to them, and what has none yet."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from frog_cli.errors import InProgressError, RequestError
from frog_cli.files.atomic import write_atomically
from frog_cli.files.csv import Row, as_csv, read_csv
from frog_cli.ideas import sources
from frog_cli.reproduction import targets
from frog_cli.reproduction.targets import Job, Scale, Target, jobs
from frog_cli.runs.folder import runs_location
from frog_cli.runs.lock import locked
from frog_cli.settings import idea_groups, learning_rates
from frog_cli.settings.requests import train_request

KINDS = {"runs": ("request", "seed"), "quality": ("request", "tangents", "angle", "gradient", "k"), "curves": ()}
"""The files of a target, and the columns that identify a row; those of curves are request, seed and the step."""


def results_folder(scale: Scale = "paper") -> Path:
    """Return the folder of results: FROG_RESULTS, or results; a laptop's is in it, a smoke test's with its runs."""
    if scale == "smoke":
        return runs_location() / "smoke"
    results = Path(os.environ.get("FROG_RESULTS") or "results")
    return results / "laptop" if scale == "laptop" else results


def read(target: Target, results: Path, kind: str) -> list[dict[str, str]]:
    """Return the rows of one kind that a target has.

    Raises:
        RequestError: if the file is damaged, as by a merge.
    """
    path = results / target.name / f"{kind}.csv"
    try:
        rows = read_csv(path)
    except UnicodeDecodeError:
        raise RequestError(str(path), "is no text in UTF-8") from None
    for line, row in enumerate(rows, 2):
        if None in row or None in row.values() or not row.get("seed", "0").isdecimal():
            raise RequestError(f"{path}, row {line - 1}", "is damaged, as by a merge; mend it, or delete the row")
    return rows


def read_current(target: Target, results: Path, kind: str, scale: Scale) -> list[dict[str, str]]:
    """Return the rows of one kind whose runs or studies a target asks for now; its file keeps others as well."""
    wanted = jobs(target, scale)
    requests = {job.words for job in wanted}
    runs_of_target = {run for job in wanted for run in job.runs}
    return [
        row
        for row in read(target, results, kind)
        if ((row["request"], int(row["seed"])) in runs_of_target if "seed" in row else row["request"] in requests)
    ]


def add(target: Target, scale: Scale, kind: str, rows: Sequence[Row]) -> None:
    """Add rows to those of a target, or replace the same ones; other processes may add at the same time."""
    if not rows:
        return
    results = results_folder(targets.own_scale(target, scale))
    key = KINDS[kind] or ("request", "seed", list(rows[0])[2])
    position = {job.words: index for index, job in enumerate(jobs(target, scale))}
    with _hold_lock(results / target.name):
        before = read(target, results, kind)
        if kind == "curves":  # of a run that is made again, all of the curve before goes
            again = {_key(row, key[:2]) for row in rows}
            before = [row for row in before if _key(row, key[:2]) not in again]
        merged = {_key(row, key): row for row in [*before, *rows]}

        def order(row: Row) -> Any:
            seed = int(row["seed"]) if "seed" in row else 0
            return position.get(row["request"], len(position)), row["request"], seed

        columns = learning_rates.columns(merged.values())
        ordered = [_in_columns(row, columns) for row in sorted(merged.values(), key=order)]
        write_atomically(results / target.name / f"{kind}.csv", as_csv(ordered))


def _in_columns(row: Row, columns: Sequence[str]) -> Row:
    """Return a row with all settings in front, so that columns are the same whichever row comes first."""
    front = ("request", "run", "outcome", *columns) if "run" in row else ()
    return {name: row.get(name) for name in front} | row


def missing(target: Target, scale: Scale) -> list[Job]:
    """Return the jobs of a target that have no row yet, with the seeds that are missing."""
    results = results_folder(targets.own_scale(target, scale))
    rates: dict[str, float | None] = {}
    own_searches = targets.searches(target, scale)
    done = {
        (row["request"], int(row["seed"]))
        for row in read(target, results, "runs")
        if not _is_outdated(row) and _has_rate_of_now(row, own_searches, rates)
    }
    studies = read(target, results, "quality")
    studied = {row["request"] for row in studies} - {row["request"] for row in studies if _is_outdated(row)}
    request = f"{learning_rates.OF_THE_SEARCH}request"
    searches = [{**row, "request": row[request]} for row in learning_rates.rows("searched")]
    searched = {row["request"] for row in searches if not _is_outdated(row)}
    left = []
    for job in jobs(target, scale):
        if job.kind == "train":
            seeds = tuple(seed for seed in job.seeds if (job.words, seed) not in done)
            left += [job._replace(seeds=seeds)] if seeds else []
        elif job.words not in (studied if job.kind == "quality" else searched):
            left.append(job)
    return left


def _has_rate_of_now(row: Mapping[str, str], searches: Collection[str], rates: dict[str, float | None]) -> bool:
    """Return whether a run with a searched rate had the one that is found now; True if there is none any more.

    Searches that are none of the target's change nothing that is done.

    Args:
        row: of the run.
        searches: the words of the target's.
        rates: by requests, those that were looked up already, to which it adds.
    """
    words = row["request"]
    if not searches or "learning_rate=searched" not in words.split() or not row.get("learning_rate"):
        return True
    if words not in rates:
        try:
            rates[words] = float(train_request(words.split(), searches).runs[0].learning_rate)
        except (RequestError, ValueError):  # the row is all that is left of its search
            rates[words] = None
    return rates[words] is None or rates[words] == float(row["learning_rate"])


def _is_outdated(row: Mapping[str, str]) -> bool:
    """Return whether a row was made with an idea from outside that is still there, but has changed since."""
    made_with = {value for name, value in row.items() if name.endswith(".sha256") and value}
    if not made_with:
        return False
    named = idea_groups.names_in(targets.options(row["request"].split()).get("ideas", "[]"))
    try:
        found = [*sources.named(named), *sources.announced()]
    except RequestError:  # the row is all that is left of it
        return False
    return not made_with <= {source.digest()[: learning_rates.LETTERS_OF_A_HASH] for source in found}


def _key(row: Row, names: Sequence[str]) -> tuple[str, ...]:
    values = (row.get(name) for name in names)
    return tuple("" if value is None else str(value) for value in values)


@contextmanager
def _hold_lock(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, as soon as no other process holds it.

    Raises:
        InProgressError: if that takes more than a minute.
    """
    with ExitStack() as held:
        for _ in range(600):
            try:
                held.enter_context(locked(folder))
                break
            except InProgressError:
                time.sleep(0.1)
        else:
            raise InProgressError(
                f"{folder} has been locked for a minute; if nobody writes there, delete its lock; "
                "runs that are done are kept, and the same command goes on"
            )
        yield
