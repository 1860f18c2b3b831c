"""One job of a target, and carrying it out in this process."""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from frog_cli.cluster.mpi import MpiRanks
from frog_cli.errors import Interrupted, RequestError, first_line
from frog_cli.files.csv import Row, read_csv
from frog_cli.reproduction.targets import Curves, Job, Target
from frog_cli.runs import execution
from frog_cli.runs import row as rows
from frog_cli.runs.environment import environment
from frog_cli.runs.folder import RunFolder
from frog_cli.runs.interruption import HANDLED
from frog_cli.runs.progress import Progress
from frog_cli.search import execution as search
from frog_cli.settings.requests import quality_request, search_request, train_request, without_weights
from frog_cli.settings.schema import ClassificationRun, Run

_OF_NETWORKS = ("data.", "evaluation_batch_size")


class Order(NamedTuple):
    """One job of one target."""

    target: Target
    job: Job
    only_done: bool  # run nothing: take in the runs that are done
    searches: Collection[str] = ()  # the words of the target's, which find the rates of its runs


class Outcome(NamedTuple):
    """The rows of a job, and why it has fewer than it should."""

    rows: list[Row]
    curves: list[Row]
    failures: list[str]
    interrupted: int | None = None  # by this signal


def carry_out(order: Order, parent: Path, extra: Sequence[str], local_rank: int | None = None) -> Outcome:
    """Carry out a job and return its rows.

    Args:
        order: the job.
        parent: the folder that the folders of its runs are in.
        extra: options for all jobs, of which it takes those that it has.
        local_rank: of this process, among those of the same machine that share its GPUs.
    """
    try:
        if order.job.kind == "train":
            return _train(order, parent, extra, local_rank)
        if order.job.kind == "quality":
            with _ended_by_signals():
                return _study(order.job)
        return _search(order.job, extra)
    except Interrupted as interrupted:
        return Outcome([], [], [], interrupted.status - 128)
    except Exception as error:  # one job that fails does not end the others
        why = str(error) if isinstance(error, RequestError) else first_line(error)
        return Outcome([], [], [f"{order.target.name}, {order.job.words}: {why}"])


def _train(order: Order, parent: Path, extra: Sequence[str], local_rank: int | None) -> Outcome:
    """Carry out runs that differ in their seeds; those that are done already only become rows."""
    words = order.job.arguments
    request = train_request(words, order.searches)
    if extra:
        request = train_request([*words, *_fitting(extra, request.runs[0])], order.searches)
    if order.only_done:
        done = [run for run in request.runs if RunFolder(parent, run).finished() is not None]
        if not done:
            return Outcome([], [], [])
        request = request._replace(runs=done)
    else:
        execution.check([request])
    found, curves, failures = [], [], []
    for result in execution.carry_out(without_weights(request), parent, local_rank=local_rank, quiet=True):
        where = {"request": order.job.words}
        if result.error is not None:
            failures.append(f"{order.target.name}, {result.folder.path.name}: {first_line(result.error)}")
            continue
        try:
            found.append(where | rows.of_run(result.folder.path))
        except (OSError, ValueError) as error:
            damaged = f"{result.folder.path} cannot be read, delete it to run it again: {first_line(error)}"
            failures.append(f"{order.target.name}: {damaged}")
            continue
        if order.target.curves is not None:
            curve = _curve(read_csv(result.folder.path / "metrics.csv"), order.target.curves)
            curves += [{**where, "seed": result.folder.run.seed, **row} for row in curve]
    return Outcome(found, curves, failures)


def _curve(metrics: Sequence[Row], kept: Curves) -> list[Row]:
    """Return what a target keeps of the rows of metrics.csv: the first ones, some of the others, and the last.

    Of a run that does not measure one of the columns, nothing is kept.
    """
    last = len(metrics) - 1
    chosen = [row for i, row in enumerate(metrics) if i < kept.first or i % kept.every == 0 or i == last]
    names = [*kept.columns, *(name for name in kept.also if name in metrics[0])]
    return [{name: row[name] for name in names} for row in chosen if row.keys() >= {*kept.columns}]


def _fitting(extra: Sequence[str], run: Run) -> list[str]:
    """Return the options that a run has: functions have no data."""
    return [word for word in extra if isinstance(run, ClassificationRun) or not word.startswith(_OF_NETWORKS)]


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let signals end at once, by an Interrupted, what has no state to save."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    before = {number: signal.signal(number, end) for number in HANDLED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _study(job: Job) -> Outcome:
    """Carry out a study of approximation quality."""
    from frog_cli.studies import quality  # with torch, which listing what is missing need not wait for

    request = quality_request(job.arguments)
    with Progress(1, "estimator", silent=True) as progress:
        studied = quality.study(request, progress)
    about: dict[str, Any] = environment()
    on = {"torch": about["versions"]["torch"], **{name: about[name] for name in ("processor", "threads", "commit")}}
    return Outcome([{"request": job.words, **row, **on} for row in studied], [], [])


def _search(job: Job, extra: Sequence[str]) -> Outcome:
    """Carry out a search, which keeps its own rows."""
    words = job.arguments
    plan = search_request(words)
    if extra:
        plan = search_request([*words, *_fitting(extra, plan.request.runs[0])])._replace(words=job.words)
    execution.check([plan.request])
    ended_well = search.carry_out(plan, MpiRanks())
    return Outcome([], [], [] if ended_well else [f"search {job.words}: no run ended well"])
