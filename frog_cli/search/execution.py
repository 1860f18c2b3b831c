"""From a request to a search that is done: its folder, its evaluations on all ranks, what it leaves and tells."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

import yaml

from frog_cli.cluster.mpi import MpiRanks
from frog_cli.errors import GivenUpError, InProgressError, Interrupted, RequestError
from frog_cli.files.atomic import write_atomically
from frog_cli.runs import execution
from frog_cli.runs.execution import Result
from frog_cli.runs.folder import runs_root
from frog_cli.runs.identity import digest, slug
from frog_cli.runs.interruption import Interruption
from frog_cli.runs.lock import locked
from frog_cli.runs.progress import Progress
from frog_cli.search import pictures, tables
from frog_cli.search.curves import mean_curve
from frog_cli.search.identity import identity_settings
from frog_cli.search.judge import Judge
from frog_cli.search.proposals import end_of_interval, propose
from frog_cli.search.record import Evaluation, Record, Values, best_of
from frog_cli.settings import composing, learning_rates
from frog_cli.settings.requests import SearchRequest, with_values, without_weights
from frog_cli.settings.schema import Run


def carry_out(plan: SearchRequest, ranks: MpiRanks) -> bool:
    """Carry out one search on all ranks; return whether any run ended well.

    Raises:
        Interrupted: after a signal, when the runs in progress have saved their state.
    """
    settings = identity_settings(plan)
    folder = runs_root() / f"search-{slug(plan.request.runs[0])}-{digest(settings)}"
    record = Record(folder)
    total = plan.search.evaluations
    with ExitStack() as locks, Interruption() as interruption:
        unfinished = ranks.first(lambda: _begin(folder, settings, record, locks))
        count = len(record.evaluations())
        with Progress(total, "evaluation", silent=ranks.rank > 0) as progress:
            if ranks.rank == 0 and 0 < count < total:
                print(f"frog: {folder.name} goes on after {count} evaluations", file=sys.stderr)
            for number, values in _proposals(plan, record, unfinished, ranks):
                if interruption.number is not None:
                    raise Interrupted(interruption.number)
                _evaluate(plan, folder, record, number, values, ranks)
                _show(progress, record)
            ranks.wait()
            _show(progress, record, last=True)
        asked_for = [one for one in record.evaluations() if one.number < total]  # a longer search may have been here
        best = best_of(asked_for)
        if ranks.rank == 0 and best is None:
            print(f"frog: none of {total} runs ended well; see {folder / 'trials'}", file=sys.stderr)
        elif ranks.rank == 0 and best is not None:
            _report(plan, best, asked_for)
        ranks.wait()
    return best is not None


def _begin(folder: Path, settings: Mapping[str, Any], record: Record, locks: ExitStack) -> dict[int, Values]:
    """Make the folder of a search, hold its lock, and return the proposals that were in progress when it stopped."""
    text = yaml.safe_dump(settings, sort_keys=False)
    try:
        locks.enter_context(locked(folder))
        kept = folder / "settings.yaml"
        if not kept.exists():
            write_atomically(kept, text)
    except (InProgressError, OSError) as error:
        raise RequestError(str(folder), str(error)) from None
    if yaml.safe_load(kept.read_text(encoding="utf-8")) != yaml.safe_load(text):
        raise RequestError(str(folder), "holds another search; move it away, or set FROG_RUNS to another folder")
    return record.unfinished()


def _proposals(
    plan: SearchRequest, record: Record, unfinished: Mapping[int, Values], ranks: MpiRanks
) -> Iterator[tuple[int, Values]]:
    """Yield what a rank evaluates: its share of what was in progress, then whatever no rank has proposed yet."""
    asked_for = [one for one in unfinished.items() if one[0] < plan.search.evaluations]
    yield from asked_for[ranks.rank :: ranks.size]
    for number in range(plan.search.evaluations):
        if not record.proposed(number):
            values = propose(plan.search, plan.searched, record.evaluations(), number)
            if record.propose(number, values):
                yield number, values


def _evaluate(plan: SearchRequest, folder: Path, record: Record, number: int, values: Values, ranks: MpiRanks) -> None:
    """Run what frog train runs with some values, and add what came out to the record."""
    start = perf_counter()
    request = without_weights(with_values(plan.request, values))
    parent = folder / "trials" / f"{number:05d}"  # of its own: two proposals may have the same values
    results = execution.carry_out(request, parent, Judge(plan.search, record), ranks.local_rank, quiet=True)
    for result in results:
        if result.error is not None and not isinstance(result.error, GivenUpError):
            raise result.error
    curve = mean_curve([result.folder for result in results])
    outcome = _outcome(results)
    loss = math.inf if outcome == "diverged" or not curve else curve[-1]
    record.add(Evaluation(number, values, loss, outcome, curve, perf_counter() - start, ranks.rank))


def _outcome(results: Sequence[Result]) -> str:
    """Return how several seeds ended: as the worst of them did."""
    found = {"given up" if result.error else (result.folder.finished() or {}).get("outcome") for result in results}
    worst_first = ("diverged", "step_failed", "given up", "completed", "stopped_early")
    return next(outcome for outcome in worst_first if outcome in found)


def _show(progress: Progress, record: Record, last: bool = False) -> None:
    """Show how far the search is."""
    evaluations = record.evaluations()
    best = best_of(evaluations)
    text = f"{_as_text(best.values)} has the lowest loss, {best.loss:.6g}" if best else "no run has ended well yet"
    progress.show(len(evaluations), f"{len(evaluations)} evaluations: {text}", last)


def _as_text(values: Values) -> str:
    texts = {name: format(value, ".4g") if isinstance(value, float) else value for name, value in values.items()}
    return ", ".join(f"{name} {text}" for name, text in texts.items())


def _report(plan: SearchRequest, best: Evaluation, evaluations: Sequence[Evaluation]) -> None:
    """Write the tables and the picture of a search where searched rates are looked up, and print what it has found."""
    run = with_values(plan.request, best.values).runs[0]
    place = learning_rates.searched()
    name = tables.write(place, plan, run, best, evaluations)
    picture = pictures.draw(place, name)
    diverged, given_up = (sum(one.outcome == how for one in evaluations) for how in ("diverged", "given up"))
    published = _published(run)
    usual = composing.defaults("search")["evaluations"]
    changed = {"evaluations": len(evaluations)} if len(evaluations) < usual else {}
    changed |= tables.changed(plan, ("low", "high"))
    asked = "learning_rate=searched" + "".join(f" searched.{option}={value}" for option, value in changed.items())
    if plan.searched != "learning_rate":
        asked = f"learning_rate={run.learning_rate} {plan.searched}={best.values[plan.searched]:.4g}"
    lines = [
        f"{name}: {_as_text(best.values)}, loss {best.loss:.6g}, the best of {len(evaluations)} evaluations "
        f"({diverged} diverged, {given_up} given up)",
        *_beyond(plan, float(best.values[plan.searched])),
        f"  published      {'none' if published is None else format(published, '.4g')}",
        f"  evaluations    {tables.evaluations_path(place, name)}",
        f"  picture        {picture}",
        f"  used by        runs like those of the search, with {asked}",
    ]
    print("\n".join(lines))


def _beyond(plan: SearchRequest, found: float) -> list[str]:
    """Return a line that asks for a wider search if the best value lies at an end of the interval."""
    low, high = plan.search.low, plan.search.high
    end = end_of_interval(found, low, high)
    wider = {"lower": f"below: search.low={low - 1:g}", "upper": f"above: search.high={high + 1:g}"}
    told = f"  at an end      the best is at the {end} end of what was searched; a better one may lie {wider.get(end)}"
    return [told] if end else []


def _published(run: Run) -> float | None:
    """Return the rate that a paper gives for the same setting, None if it gives none."""
    try:
        return float(learning_rates.look_up("learning_rate", "published", run).value)
    except RequestError:
        return None
