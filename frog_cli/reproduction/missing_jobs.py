"""Making what is missing of targets: which jobs that are, and carrying them out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from frog_cli.errors import Interrupted, RequestError
from frog_cli.reproduction import stored_rows, targets, workers
from frog_cli.reproduction.command import Request
from frog_cli.reproduction.jobs import Order, Outcome, carry_out
from frog_cli.reproduction.targets import Scale
from frog_cli.runs.folder import runs_root
from frog_cli.runs.progress import Progress
from frog_cli.settings.requests import train_request


def missing(request: Request) -> list[Order]:
    """Return the jobs that are missing; with --only-done those of runs, which alone can be taken in."""
    only_done = "--only-done" in request.flags
    return [
        Order(target, job, only_done, targets.searches(target, request.scale))
        for target in request.targets
        for job in stored_rows.missing(target, request.scale)
        if job.kind == "train" or not only_done
    ]


def behind_searches(request: Request) -> tuple[list[Order], list[str]]:
    """Return the jobs that are missing when all searches have been tried: runs and studies; and what cannot be made.

    Those are runs that look up what a search of their target would find which is not done.
    """
    left = missing(request)
    unsearched = {order.target.name for order in left if order.job.kind == "search"}
    others = [order for order in left if order.job.kind != "search"]
    waiting = [order for order in others if order.target.name in unsearched and _waits_for_a_search(order)]
    names = dict.fromkeys(order.target.name for order in waiting)
    counts = {name: targets.count([order.job for order in waiting if order.target.name == name]) for name in names}
    told = [
        f"{name}, {count} run{'s' * (count > 1)}: no rate without a search that is not done"
        for name, count in counts.items()
    ]
    return [order for order in others if order not in waiting], told


def _waits_for_a_search(order: Order) -> bool:
    """Return whether a run looks up what no search has found yet."""
    if order.job.kind != "train":
        return False
    try:
        train_request(order.job.arguments, order.searches)
    except RequestError as error:
        return error.given.endswith("=searched")
    return False


def phases(orders: Sequence[Order]) -> list[list[Order]]:
    """Return jobs in two parts, or one: searches first, whose rates the runs behind them may look up.

    A search that several targets want is there once.
    """
    searches = {order.job.words: order for order in reversed(orders) if order.job.kind == "search"}
    others = [order for order in orders if order.job.kind != "search"]
    return [phase for phase in (list(searches.values())[::-1], others) if phase]


def make(
    orders: Sequence[Order], scale: Scale, processes: int, extra: Sequence[str], local_rank: int | None
) -> Iterator[str]:
    """Carry out jobs and add their rows as they end.

    Yields:
        What cannot be made, and why.

    Raises:
        Interrupted: after a signal, when all that was in progress has saved its state.
    """
    if not orders:
        return
    interrupted = None
    done, total = 0, targets.count([order.job for order in orders])
    parent = runs_root() / "smoke-runs" if scale == "smoke" else runs_root()
    parent.mkdir(exist_ok=True)
    side_by_side = processes > 1 and len(orders) > 1
    with Progress(total, "run") as progress:
        for order, outcome in (
            workers.outcomes(orders, processes, parent, extra)
            if side_by_side
            else _one_by_one(orders, parent, extra, local_rank)
        ):
            # curves first: a row among the runs says that all of them is there
            stored_rows.add(order.target, scale, "curves", outcome.curves)
            stored_rows.add(order.target, scale, "quality" if order.job.kind == "quality" else "runs", outcome.rows)
            yield from outcome.failures
            interrupted = interrupted or outcome.interrupted
            done += 0 if outcome.interrupted else max(1, len(order.job.seeds))
            progress.show(
                done, f"{done} of {total} runs, the last {order.target.name}: {order.job.words}", done == total
            )
    if interrupted:
        raise Interrupted(interrupted)


def _one_by_one(
    orders: Sequence[Order], parent: Path, extra: Sequence[str], local_rank: int | None
) -> Iterator[tuple[Order, Outcome]]:
    """Yield jobs as they end in this process; the one that a signal interrupts is the last."""
    for order in orders:
        outcome = carry_out(order, parent, extra, local_rank)
        yield order, outcome
        if outcome.interrupted:
            return
