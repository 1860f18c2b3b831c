"""The tables of a search in sweeps/searched: all evaluations, and the row by which learning_rate=searched finds a rate.

A search for step.factor leaves a row with that column instead, which no learning rate is looked up in.

Both carry the search's name: what was searched, with how much effort, and the digits of all that determines it, which
the folder of its evaluations has as well, so that no search hides another.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from frog_cli.files.atomic import write_atomically
from frog_cli.files.csv import as_csv
from frog_cli.runs.environment import environment
from frog_cli.search.identity import identity
from frog_cli.search.record import Evaluation
from frog_cli.settings import composing, learning_rates
from frog_cli.settings.requests import SearchRequest
from frog_cli.settings.schema import ClassificationRun, Run

_EVALUATIONS = "evaluations_"
_FOUND = "learning_rates_"
_LONGEST = 180  # letters of a search's name, which is a part of names of files


def evaluations_path(place: Path, name: str) -> Path:
    """Return the file of all evaluations of a search."""
    return place / f"{_EVALUATIONS}{name}.csv"


def found_path(place: Path, name: str) -> Path:
    """Return the file of the values that a search has found."""
    return place / f"{_FOUND}{name}.csv"


def evaluations_beside(found: Path) -> Path:
    """Return the file of all evaluations of a search that has left its values in a file."""
    return evaluations_path(found.parent, found.stem.removeprefix(_FOUND))


def names(place: Path) -> list[str]:
    """Return the names of all searches that have left their tables."""
    return sorted(path.stem.removeprefix(_EVALUATIONS) for path in place.glob(f"{_EVALUATIONS}*.csv"))


def write(place: Path, plan: SearchRequest, run: Run, best: Evaluation, evaluations: Sequence[Evaluation]) -> str:
    """Write both tables of a search and return its name; `run` has the best values."""
    name = _name(plan, run, len(evaluations))
    place.mkdir(parents=True, exist_ok=True)
    write_atomically(evaluations_path(place, name), as_csv([_row(one) for one in evaluations]))
    write_atomically(found_path(place, name), as_csv([_found(plan, run, best, len(evaluations))]))
    return name


def changed(plan: SearchRequest, options: Sequence[str]) -> dict[str, Any]:
    """Return those of some options of a search that are not at their defaults, with their values."""
    usual = composing.defaults("search")
    return {option: value for option in options if (value := getattr(plan.search, option)) != usual[option]}


def _name(plan: SearchRequest, run: Run, evaluations: int) -> str:
    words = [*learning_rates.factors(run).values(), *([] if plan.searched == "learning_rate" else [plan.searched])]
    words += [f"{value}{name}" for name, value in learning_rates.cost_of(run).items() if value]
    words += [f"{evaluations}evaluations", f"{len(plan.request.runs)}seeds"]
    words += [
        f"{name}{value}"
        for name, value in changed(plan, ("method", "low", "high", "seed", "margin", "patience")).items()
    ]
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", "-".join(words))
    return f"{name[: _LONGEST - 11]}-{identity(plan)}"


def _row(evaluation: Evaluation) -> dict[str, Any]:
    """Return an evaluation as a row of the table."""
    return {
        "number": evaluation.number,
        **evaluation.values,
        "loss": evaluation.loss if math.isfinite(evaluation.loss) else None,
        "outcome": evaluation.outcome,
        "rows": len(evaluation.curve),
        "seconds": round(evaluation.seconds, 3),
    }


def _found(plan: SearchRequest, run: Run, best: Evaluation, evaluations: int) -> dict[str, Any]:
    """Return the row by which learning_rate=searched finds a rate, with how it was found."""
    search, row = plan.search, dict[str, Any](learning_rates.factors(run))
    of_the_search: dict[str, Any] = {
        "request": plan.words,
        "loss": best.loss,
        "method": search.method,
        "evaluations": evaluations,
        "low": search.low,
        "high": search.high,
        "seed": search.seed,
        "seeds": " ".join(str(one.seed) for one in plan.request.runs),
        "torch": environment()["versions"]["torch"],
        "commit": environment()["commit"],
    }
    cost = learning_rates.cost_of(run)
    if isinstance(run, ClassificationRun):
        row["batch_size"] = cost.pop("batch_size")
        of_the_search["data"] = run.data.variant
    of_the_search |= cost
    also = {name: value for name, value in best.values.items() if name not in (plan.searched, "batch_size")}
    further = learning_rates.further_settings(run) | learning_rates.files(run)
    of_the_search["settings"] = " ".join(f"{name}={value}" for name, value in further.items())
    of_the_search |= {f"also_{name}": value for name, value in also.items()}
    row[plan.searched] = best.values[plan.searched]
    return row | {f"{learning_rates.OF_THE_SEARCH}{name}": value for name, value in of_the_search.items()}
