"""frog search: the best learning rate, alone or with many processes under mpiexec or srun."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean
from time import monotonic, perf_counter
from typing import Any

import yaml

from frog_cli.cluster.ranks import Ranks, parallel
from frog_cli.errors import GivenUpError, InProgressError, Interrupted, RequestError
from frog_cli.files.atomic import write_atomically
from frog_cli.files.csv import Row, as_csv, read_csv
from frog_cli.runs import execution
from frog_cli.runs.environment import environment
from frog_cli.runs.execution import Result
from frog_cli.runs.folder import RunFolder, runs_root
from frog_cli.runs.identity import digest, identity_settings, slug
from frog_cli.runs.interruption import Interruption
from frog_cli.runs.lock import locked
from frog_cli.runs.progress import Progress
from frog_cli.search import pictures as search_pictures
from frog_cli.search.record import Evaluation, Record, Values, best_of, clearly_worse, lowest_so_far
from frog_cli.settings import config, learning_rates, option_help
from frog_cli.settings.config import SearchRequest
from frog_cli.settings.schema import ClassificationRun, Run, Search

HELP = """usage: frog search [-m] [option=value ...]
       mpiexec -n N frog search ...

Search the learning rate with which frog train, given the same options, reaches the lowest validation loss, or the
lowest value of a function. Examples:
  frog search objective=styblinski-tang gradient.k=16
  mpiexec -n 4 frog search experiment=mlp_mnist model.width=256 gradient=mean gradient.k=4 epochs=5
  frog search 'search.also={batch_size: [32, 64, 128]}' search.evaluations=200
  frog search -m gradient.k=1,4,16 gradient=mean        one search for each combination

The best rate goes to sweeps/searched (or below FROG_SWEEPS), where learning_rate=searched finds it, with a table of
all evaluations and a picture. The same command goes on with a search that was stopped, with any number of processes,
and repeats no evaluation; with more search.evaluations it goes further.

options of the search (frog train --help has the others), their defaults, and in brackets what is allowed:
"""


def help_text(words: Sequence[str] = ()) -> str:
    """Return the usage with every option of a search, whose defaults an experiment may change."""
    given = dict(word.split("=", 1) for word in words if "=" in word)
    return HELP + option_help.of_verb("search", Search, "search.", config.search_definition(given).get("search"))


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog search` and return its exit status."""
    with parallel() as ranks:
        plans = ranks.first(lambda: _plans(arguments, ranks.size))
        ranks.share_cores()
        found = [carry_out(plan, ranks) for plan in plans]
    return 0 if all(found) else 1


def _plans(arguments: Sequence[str], size: int) -> list[SearchRequest]:
    """Return the searches that are asked for, after all checks."""
    from frog_cli.search.propulate_import import propulate

    plans = [config.search_request(combination) for combination in config.combinations(arguments)]
    for plan in plans:
        if plan.search.evaluations < size:
            raise RequestError(
                f"search.evaluations={plan.search.evaluations}", f"must be at least one for each of {size} processes"
            )
    execution.check([plan.request for plan in plans])
    runs_root()
    propulate()
    return plans


def carry_out(plan: SearchRequest, ranks: Ranks) -> bool:
    """Carry out one search on all ranks; return whether any run ended well."""
    folder = runs_root() / f"search-{slug(plan.request.runs[0])}-{digest(_determining(plan))}"
    record = Record(folder)
    search = plan.search
    with ExitStack() as locks, Interruption() as interruption:

        def evaluate(number: int, values: Values) -> None:
            if interruption.number is not None:
                raise Interrupted(interruption.number)
            _evaluate(plan, folder, record, number, values, ranks)
            _show(progress, record)

        unfinished = ranks.first(lambda: _begin(plan, folder, record, locks))
        count = len(record.evaluations())
        with Progress(search.evaluations, "evaluation", silent=ranks.rank > 0) as progress:
            if ranks.rank == 0 and 0 < count < search.evaluations:
                print(f"frog: {folder.name} goes on after {count} evaluations", file=sys.stderr)
            for number, values in list(unfinished.items())[ranks.rank :: ranks.size]:
                evaluate(number, values)
            for number in range(search.evaluations):
                if record.proposed(number):
                    continue
                values = _propose(plan, record, number)
                if record.propose(number, values):
                    evaluate(number, values)
            ranks.wait()
            _show(progress, record, last=True)
        best = best_of(record.evaluations())
        if ranks.rank == 0 and best is None:
            print(f"frog: none of {search.evaluations} runs ended well; see {folder / 'trials'}", file=sys.stderr)
        elif ranks.rank == 0 and best is not None:
            _report(plan, best, record.evaluations())
        ranks.wait()
    return best is not None


def _begin(plan: SearchRequest, folder: Path, record: Record, locks: ExitStack) -> dict[int, Values]:
    """Make the folder of a search, hold its lock, and return the proposals that were in progress when it stopped."""
    settings = yaml.safe_dump(_determining(plan), sort_keys=False)
    try:
        locks.enter_context(locked(folder))
        kept = folder / "settings.yaml"
        if not kept.exists():
            write_atomically(kept, settings)
    except (InProgressError, OSError) as error:
        raise RequestError(str(folder), str(error)) from None
    if kept.read_text(encoding="utf-8") != settings:
        raise RequestError(str(folder), "holds another search; move it away, or set FROG_RUNS to another folder")
    return record.unfinished()


def _determining(plan: SearchRequest) -> dict[str, Any]:
    """Return what tells a search from others: more evaluations only make it longer."""
    settings = identity_settings(plan.request.runs[0])
    return {
        "search": plan.search.model_dump(exclude={"evaluations"}),
        "run": {name: value for name, value in settings.items() if name not in ("learning_rate", "seed")},
        "seeds": [run.seed for run in plan.request.runs],
    }


def _propose(plan: SearchRequest, record: Record, number: int) -> Values:
    from frog_cli.search.proposals import propose

    return propose(plan.search, record.evaluations(), number)


def _evaluate(plan: SearchRequest, folder: Path, record: Record, number: int, values: Values, ranks: Ranks) -> None:
    """Run what frog train runs with some values, and add what came out to the record."""
    start = perf_counter()
    request = config.with_values(plan.request, values)
    parent = folder / "trials" / f"{number:05d}"  # of its own: two proposals may have the same values
    results = execution.carry_out(request, parent, _Judge(plan.search, record), ranks.local_rank, quiet=True)
    for result in results:
        if result.error is not None and not isinstance(result.error, GivenUpError):
            raise result.error
    curve = _curve([result.folder for result in results])
    outcome = _outcome(results)
    loss = math.inf if outcome == "diverged" or not curve else curve[-1]
    record.add(Evaluation(number, values, loss, outcome, curve, perf_counter() - start, ranks.rank))


class _Judge:
    """Gives up runs that are clearly worse than the best evaluation so far."""

    def __init__(self, search: Search, record: Record):
        self._search, self._record = search, record
        self._best: Evaluation | None = None
        self._looked = -math.inf
        self._lanes: dict[Path, float] = {}  # the lowest loss so far
        self._curves: dict[Path, list[float]] = {}  # the mean of those that go side by side, by the first one's folder

    def __call__(self, folders: Sequence[RunFolder], rows: Sequence[Row | None]) -> bool:
        """Return whether runs that go side by side are given up after these rows of metrics."""
        if self._search.patience is None:
            return False
        if monotonic() - self._looked > 1:  # others may have found better ones
            self._best, self._looked = best_of(self._record.evaluations()), monotonic()
        first = folders[0].path
        if first not in self._curves:  # also of runs that go on
            self._lanes |= {folder.path: (_curve([folder]) or [math.inf])[-1] for folder in folders}
            self._curves[first] = _curve(folders)
        else:
            for folder, row in zip(folders, rows, strict=True):
                loss = math.inf if row is None else _loss(row)
                self._lanes[folder.path] = lowest_so_far([self._lanes[folder.path], loss])[-1]
            self._curves[first].append(fmean(self._lanes[folder.path] for folder in folders))
        if self._best is None:
            return False
        return clearly_worse(self._curves[first], self._best.curve, self._search.margin, self._search.patience)


def _loss(row: Mapping[str, Any]) -> float:
    """Return what is minimised, from a row of metrics."""
    return float(row["best_value" if "best_value" in row else "validation_loss"])


def _outcome(results: Sequence[Result]) -> str:
    """Return how several seeds ended: as the worst of them did."""
    found = {"given up" if result.error else (result.folder.finished() or {}).get("outcome") for result in results}
    worst_first = ("diverged", "step_failed", "given up", "completed", "stopped_early")
    return next(outcome for outcome in worst_first if outcome in found)


def _curve(folders: Sequence[RunFolder]) -> list[float]:
    """Return the lowest loss so far after each row of metrics, the mean over seeds that have got anywhere."""
    curves = []
    for folder in folders:
        rows = read_csv(folder.path / "metrics.csv")
        if rows:
            curves.append(lowest_so_far([_loss(row) for row in rows]))
    longest = max(map(len, curves), default=0)
    means = [fmean(curve[min(row, len(curve) - 1)] for curve in curves) for row in range(longest)]
    return [value for value in means if math.isfinite(value)]


def _show(progress: Progress, record: Record, last: bool = False) -> None:
    """Show how far the search is."""
    evaluations = record.evaluations()
    best = best_of(evaluations)
    text = f"{_values(best.values)} has the lowest loss, {best.loss:.6g}" if best else "no run has ended well yet"
    progress.show(len(evaluations), f"{len(evaluations)} evaluations: {text}", last)


def _values(values: Values) -> str:
    texts = {name: format(value, ".4g") if isinstance(value, float) else value for name, value in values.items()}
    return ", ".join(f"{name} {text}" for name, text in texts.items())


def _report(plan: SearchRequest, best: Evaluation, evaluations: Sequence[Evaluation]) -> None:
    """Write the best values, all evaluations and their picture where searched rates are looked up, and say so."""
    run = config.with_values(plan.request, best.values).runs[0]
    place = learning_rates.searched()
    place.mkdir(parents=True, exist_ok=True)
    name = name_of(plan, run, len(evaluations))
    table = place / f"evaluations_{name}.csv"
    rows = [
        {
            "number": one.number,
            **one.values,
            "loss": one.loss if math.isfinite(one.loss) else None,
            "outcome": one.outcome,
            "rows": len(one.curve),
            "seconds": round(one.seconds, 3),
        }
        for one in evaluations
    ]
    write_atomically(table, as_csv(rows))
    write_atomically(place / f"learning_rates_{name}.csv", as_csv([_found(plan, run, best, evaluations)]))
    picture = search_pictures.draw(place, name)
    published = _published(run)
    lost = sum(one.outcome == "diverged" for one in evaluations), sum(one.outcome == "given up" for one in evaluations)
    print(f"{name}: {_values(best.values)}, loss {best.loss:.6g}, the best of {len(evaluations)} evaluations", end="")
    print(f" ({lost[0]} diverged, {lost[1]} given up)")
    print(f"  published      {'none' if published is None else format(published, '.4g')}")
    print(f"  evaluations    {table}\n  picture        {picture}")
    usual = config.compose_settings("search", [])[1]
    asked = f" searched.evaluations={len(evaluations)}" if len(evaluations) < usual["evaluations"] else ""
    asked += "".join(
        f" searched.{end}={value}"
        for end, value in (("low", plan.search.low), ("high", plan.search.high))
        if value != usual[end]
    )
    print(f"  used by        runs like those of the search, with learning_rate=searched{asked}")


def name_of(plan: SearchRequest, run: Run, evaluations: int) -> str:
    """Return the name of a search's files: what was searched, and with how much effort, so that none hides another."""
    words = list(learning_rates.factors(run).values())
    words += [f"{value}{name}" for name, value in learning_rates.cost_of(run).items() if value]
    words += [f"{evaluations}evaluations", f"{len(plan.request.runs)}seeds"]
    usual = config.compose_settings("search", [])[1]
    own = plan.search.model_dump()
    words += [
        f"{name}{own[name]}" for name in ("low", "high", "seed", "margin", "patience") if own[name] != usual[name]
    ]
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", "-".join(words))


def _found(plan: SearchRequest, run: Run, best: Evaluation, evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Return the row by which learning_rate=searched finds a rate, with how it was found."""
    search, row = plan.search, dict[str, Any](learning_rates.factors(run))
    of_the_search: dict[str, Any] = {
        "request": plan.words,
        "loss": best.loss,
        "evaluations": len(evaluations),
        "low": search.low,
        "high": search.high,
        "seed": search.seed,
        "seeds": " ".join(str(one.seed) for one in plan.request.runs),
        "early_stopping": run.early_stopping.patience,
        "torch": environment()["versions"]["torch"],
        "commit": environment()["commit"],
    }
    cost = learning_rates.cost_of(run)
    if isinstance(run, ClassificationRun):
        row["batch_size"] = cost.pop("batch_size")
        of_the_search["validation"] = run.data.validation
        of_the_search["data"] = getattr(run.data, "variant", run.data.name)
    of_the_search |= cost
    also = {name: value for name, value in best.values.items() if name not in learning_rates.FOUND}
    of_the_search |= {f"also_{name}": value for name, value in also.items()}
    row["learning_rate"] = run.learning_rate
    return row | {f"{learning_rates.OF_THE_SEARCH}{name}": value for name, value in of_the_search.items()}


def _published(run: Run) -> float | None:
    """Return the rate that a paper gives for the same setting, None if it gives none."""
    try:
        return float(learning_rates.look_up("learning_rate", "published", run).value)
    except RequestError:
        return None
