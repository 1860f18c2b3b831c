"""frog reproduce: all runs behind a figure or table of the papers that are missing, then its table and picture."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from frog_cli.cluster.ranks import Ranks, parallel
from frog_cli.errors import Interrupted, RequestError
from frog_cli.files.csv import Row, read_csv
from frog_cli.reproduction import report, results, targets
from frog_cli.reproduction.targets import Job, Scale, Target
from frog_cli.runs import row as rows
from frog_cli.runs.environment import environment
from frog_cli.runs.execution import first_line
from frog_cli.runs.folder import RunFolder, runs_root
from frog_cli.runs.interruption import Interruption
from frog_cli.runs.progress import Progress
from frog_cli.settings.requests import quality_request, search_request, train_request
from frog_cli.settings.schema import ClassificationRun, Run

HELP = """usage: frog reproduce TARGET ... [scale=smoke] [workers=N] [device=..] [data.root=..] [checkpoint.minutes=..]
       frog reproduce --list [scale=smoke]
       frog reproduce --dry-run TARGET ...
       mpiexec -n N frog reproduce TARGET ...

Make what is missing of figures and tables of both papers: each run that is done is a row in results/TARGET/ (or below
FROG_RESULTS) and is not repeated; then the table results/TARGET.csv and the picture results/TARGET.png and .pdf.
Stopped at any time, the same command goes on.

  --list       the targets, their state, and what they have cost and will
  --dry-run    what would be run
  --only-done  run nothing: take in the runs in FROG_RUNS that are done
  scale        paper: the papers' settings; smoke: seconds, to see that all works, kept below FROG_RUNS
  workers      processes, which share the cores (default: one for each core, or one with a GPU)

targets:
{targets}
  all
"""

_HARMLESS = ("device", "compile", "evaluation_batch_size", "checkpoint.", "data.root", "data.download")
"""Options that do not change what a run is."""

_OF_NETWORKS = ("data.", "evaluation_batch_size")


class Order(NamedTuple):
    """One job of one target."""

    target: Target
    job: Job
    only_done: bool


class Outcome(NamedTuple):
    """The rows of a job, and why it has fewer than it should."""

    rows: list[Row]
    curves: list[Row]
    failures: list[str]
    interrupted: int | None = None


def help_text() -> str:
    """Return the usage with all targets."""
    return HELP.format(targets="\n".join(f"  {name:<26} {targets.load(name).title}" for name in targets.names()))


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog reproduce` and return its exit status: 1 if something could not be made."""
    with parallel() as ranks:
        request = ranks.first(lambda: _request(arguments))
        if request.scale == "smoke":
            os.environ["FROG_SWEEPS"] = str(results.root("smoke") / "sweeps")
        if "--list" in request.flags:
            if ranks.rank == 0:
                _list(request.scale)
            return 0
        orders = ranks.first(lambda: _orders(request))
        if "--dry-run" in request.flags:
            for order in orders if ranks.rank == 0 else []:
                print(" ".join(["frog", order.job.kind, order.job.words, _seeds(order.job)]).strip())
            if ranks.rank == 0 and not orders:
                print("frog: nothing is missing", file=sys.stderr)
            return 0
        ranks.share_cores()
        workers = (request.workers or _default_workers()) if ranks.size == 1 else 1
        failures = _make(orders[ranks.rank :: ranks.size], request.scale, workers, request.extra, ranks.local_rank)
        ranks.wait()
        if ranks.rank == 0:
            _finish(request.targets, request.scale)
        for failure in failures:
            print(f"frog: {failure}", file=sys.stderr)
        return 1 if failures else 0


class Request(NamedTuple):
    """What is asked for."""

    flags: set[str]
    targets: list[Target]
    scale: Scale
    workers: int | None
    extra: list[str]


def _request(arguments: Sequence[str]) -> Request:
    """Return what the words ask for.

    Raises:
        RequestError: if a word is wrong.
    """
    flags = {word for word in arguments if word.startswith("--")}
    named = [word for word in arguments if "=" not in word and word not in flags]
    options = dict(word.split("=", 1) for word in arguments if "=" in word)
    scale, workers = _scale(options), _workers(options)
    for option in options:
        if not option.startswith(_HARMLESS):
            raise RequestError(f"{option}={options[option]}", "would make other runs than those of the target")
    for flag in flags - {"--list", "--dry-run", "--only-done"}:
        raise RequestError(flag, "must be --list, --dry-run or --only-done")
    if not named and "--list" not in flags:
        raise RequestError("frog reproduce", f"needs a target: {', '.join(targets.names())}, all")
    chosen = targets.chosen(named)
    runs_root()
    return Request(flags, chosen, scale, workers, [f"{name}={value}" for name, value in options.items()])


def _orders(request: Request) -> list[Order]:
    """Return the jobs that are missing."""
    only_done = "--only-done" in request.flags
    return [
        Order(target, job, only_done)
        for target in request.targets
        for job in results.missing(target, request.scale)
        if job.kind == "train" or not only_done
    ]


def _finish(chosen: Sequence[Target], scale: Scale) -> None:
    """Make tables, pictures and the report anew, and say where they are."""
    from frog_cli.verbs import plot

    place = results.root(scale)
    for target in chosen:
        paths = [*results.tabulate(target, place, scale), *plot.draw(target, place, scale)]
        print(f"{target.name}: {_state(target, scale)}", *[f"  {path}" for path in paths], sep="\n")
    print(report.write(place, scale))


def _scale(options: dict[str, str]) -> Scale:
    scale = options.pop("scale", "paper")
    if scale not in ("paper", "smoke"):
        raise RequestError(f"scale={scale}", "must be paper or smoke")
    return "smoke" if scale == "smoke" else "paper"


def _workers(options: dict[str, str]) -> int | None:
    """Return how many processes are asked for, None if it is left to frog."""
    given = options.pop("workers", None)
    if given is not None and (not given.isdecimal() or int(given) < 1):
        raise RequestError(f"workers={given}", "must be a whole number, at least 1")
    return None if given is None else int(given)


def _default_workers() -> int:
    """Return one for each core, or one if there is a GPU."""
    import torch

    return 1 if torch.cuda.is_available() else len(os.sched_getaffinity(0))


def _seeds(job: Job) -> str:
    return f"seeds=[{','.join(map(str, job.seeds))}]" if job.seeds else ""


def _state(target: Target, scale: Scale) -> str:
    total, left = targets.count(targets.jobs(target, scale)), targets.count(results.missing(target, scale))
    return "done" if not left else f"{total - left} of {total} done"


def _list(scale: Scale) -> None:
    """Print the state of all targets; what is missing is taken to cost as much as what is done, run by run."""
    print(f"{'target':<26} {'done':>5} {'missing':>8}  {'hours so far':>12} {'hours left':>10}  title")
    for name in targets.names():
        target = targets.load(name)
        total, left = targets.count(targets.jobs(target, scale)), targets.count(results.missing(target, scale))
        found = results.read(target, results.root(scale), "runs")
        seconds = [float(row["seconds"]) for row in found if row.get("seconds")]
        spent = f"{sum(seconds) / 3600:.2f}" if seconds else "-"
        rest = f"{sum(seconds) / len(seconds) * left / 3600:.2f}" if seconds and left else "-" if left else "0"
        print(f"{name:<26} {total - left:>5} {left:>8}  {spent:>12} {rest:>10}  {target.title}")


def _make(
    orders: Sequence[Order], scale: Scale, workers: int, extra: Sequence[str], local_rank: int | None
) -> list[str]:
    """Carry out jobs and add their rows as they end; return what could not be made.

    Raises:
        Interrupted: after a signal, when all that was in progress has saved its state.
    """
    if not orders:
        return []
    failures: list[str] = []
    interrupted = None
    done, total = 0, targets.count([order.job for order in orders])
    parent = runs_root() / "smoke-runs" if scale == "smoke" else runs_root()
    parent.mkdir(exist_ok=True)
    with Progress(total, "run") as progress:
        for order, outcome in _outcomes(orders, workers, str(parent), extra, local_rank):
            # curves first: a row among the runs says that all of them is there
            results.add(order.target, scale, "curves", outcome.curves)
            results.add(order.target, scale, "quality" if order.job.kind == "quality" else "runs", outcome.rows)
            failures += outcome.failures
            interrupted = interrupted or outcome.interrupted
            done += 0 if outcome.interrupted else max(1, len(order.job.seeds))
            progress.show(
                done, f"{done} of {total} runs, the last {order.target.name}: {order.job.words}", done == total
            )
    if interrupted:
        raise Interrupted(interrupted)
    return failures


def _outcomes(
    orders: Sequence[Order], workers: int, parent: str, extra: Sequence[str], local_rank: int | None
) -> Iterator[tuple[Order, Outcome]]:
    """Yield jobs as they end; after a signal, only those in progress."""
    if workers == 1 or len(orders) == 1:
        for order in orders:
            outcome = _work(order, parent, extra, local_rank)
            yield order, outcome
            if outcome.interrupted:
                return
        return
    spawn = multiprocessing.get_context("spawn")
    threads = max(1, len(os.sched_getaffinity(0)) // workers)
    left = list(reversed(orders))
    with (
        Interruption() as interruption,
        ProcessPoolExecutor(min(workers, len(orders)), spawn, initializer=_begin, initargs=(threads,)) as pool,
    ):
        working: dict[Future[Outcome], Order] = {}
        while working or (left and not interruption()):
            while left and len(working) < workers and not interruption():  # what waits in a queue cannot be stopped
                order = left.pop()
                working[pool.submit(_work, order, parent, extra)] = order
            ended, _ = wait(working, timeout=0.5, return_when=FIRST_COMPLETED)
            if interruption():
                for child in multiprocessing.active_children():
                    with suppress(ProcessLookupError):  # again and again: between two runs a worker does not listen
                        os.kill(child.pid or 0, signal.SIGTERM)
            for future in ended:
                yield working.pop(future), future.result()
        if interruption.number is not None:
            raise Interrupted(interruption.number)


def _begin(threads: int) -> None:
    """Prepare a worker: it shares the cores, ends with its parent, and between runs a signal is for that one."""
    import torch

    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


def _end_with_parent() -> None:
    """End a worker whose parent was killed, which would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(order: Order, parent: str, extra: Sequence[str], local_rank: int | None = None) -> Outcome:
    """Carry out a job and return its rows."""
    try:
        if order.job.kind == "train":
            return _train(order, Path(parent), extra, local_rank)
        if order.job.kind == "quality":
            return _study(order.job)
        return _search(order.job, extra)
    except Interrupted as interrupted:
        return Outcome([], [], [], interrupted.status - 128)
    except Exception as error:  # one job that fails does not end the others
        why = str(error) if isinstance(error, RequestError) else first_line(error)
        return Outcome([], [], [f"{order.target.name}, {order.job.words}: {why}"])


def _train(order: Order, parent: Path, extra: Sequence[str], local_rank: int | None) -> Outcome:
    """Carry out runs that differ in their seeds; those that are done already only become rows."""
    from frog_cli.runs import execution

    words = [*order.job.words.split(), _seeds(order.job)]
    request = train_request(words)
    if extra:
        request = train_request([*words, *_fitting(extra, request.runs[0])])
    if order.only_done:
        done = [run for run in request.runs if RunFolder(parent, run).finished() is not None]
        if not done:
            return Outcome([], [], [])
        request = request._replace(runs=done)
    else:
        execution.check([request])
    found, curves, failures = [], [], []
    for result in execution.carry_out(request, parent, local_rank=local_rank, quiet=True):
        where = {"request": order.job.words}
        if result.error is not None:
            failures.append(f"{order.target.name}, {result.folder.path.name}: {execution.first_line(result.error)}")
            continue
        found.append(where | rows.of_run(result.folder.path))
        if order.target.curves is not None:
            kept = order.target.curves
            metrics = read_csv(result.folder.path / "metrics.csv")
            last = len(metrics) - 1
            chosen = [row for i, row in enumerate(metrics) if i < kept.first or i % kept.every == 0 or i == last]
            seed = {"seed": result.folder.run.seed}
            curves += [{**where, **seed, **{name: row[name] for name in kept.columns}} for row in chosen]
    return Outcome(found, curves, failures)


def _fitting(extra: Sequence[str], run: Run) -> list[str]:
    """Return the options that a run has: functions have no data."""
    return [word for word in extra if isinstance(run, ClassificationRun) or not word.startswith(_OF_NETWORKS)]


def _study(job: Job) -> Outcome:
    from frog_cli.studies import quality

    settings = quality_request(job.words.split())
    with Progress(1, "estimator", silent=True) as progress:
        studied = quality.study(settings, progress)
    about: dict[str, Any] = environment()
    on = {"torch": about["versions"]["torch"], **{name: about[name] for name in ("processor", "threads", "commit")}}
    return Outcome([{"request": job.words, **row, **on} for row in studied], [], [])


def _search(job: Job, extra: Sequence[str]) -> Outcome:
    """Carry out a search, which keeps its own rows."""
    from frog_cli.runs import execution
    from frog_cli.search.execution import carry_out

    words = job.words.split()
    plan = search_request(words)
    if extra:
        plan = search_request([*words, *_fitting(extra, plan.request.runs[0])])._replace(words=job.words)
    execution.check([plan.request])
    ended_well = carry_out(plan, Ranks())
    return Outcome([], [], [] if ended_well else [f"search {job.words}: no run ended well"])
