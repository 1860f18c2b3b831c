"""Learning rates found before: rows of sweeps/*/learning_rates_*.csv, looked up by all their columns."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from frog_cli.errors import RequestError
from frog_cli.files.csv import read_csv_once
from frog_cli.files.images import digest
from frog_cli.files.shipped import folder
from frog_cli.ideas import sources
from frog_cli.settings import methods
from frog_cli.settings.idea_groups import KINDS
from frog_cli.settings.schema import (
    ClassificationRun,
    Forward,
    FunctionRun,
    Idea,
    Run,
    ideas_of,
    model_settings,
    samples_tangents,
)

FOUND = ("learning_rate", "batch_size")
"""The columns that are looked up; all others are settings that must agree, but for those of the search itself."""

LETTERS_OF_A_HASH = 10
"""So much of the SHA-256 of a file with ideas stands in a table."""

OF_THE_SEARCH = "search_"
"""How the names of columns begin that say how a rate was found."""


def columns(rows: Iterable[Mapping[str, Any]] = ()) -> list[str]:
    """Return all settings that a learning rate may depend on, in the order of the columns of tables.

    Args:
        rows: whose columns for options of other ideas, which have the group in front, come last.
    """
    declared = [one for _, one in sources.own_declarations().values() if one.kind == "model"]
    of_models = dict.fromkeys(option.name for one in declared for option in one.options)
    names = ["function", "n", "start", "model", *of_models, "data"]
    names += ["gradient", "k", "tangents", "angle", "perturb", "optimizer", "schedule"]
    of_ideas = (name for row in rows for name in row if "." in name and name.partition(".")[0] in KINDS)
    return names + list(dict.fromkeys(of_ideas))


def searched() -> Path:
    """Return the folder that searches write to: below FROG_SWEEPS, or sweeps."""
    return Path(os.environ.get("FROG_SWEEPS") or "sweeps") / "searched"


def factors(run: Run) -> dict[str, str]:
    """Return what a learning rate depends on, as columns of a table."""
    found: dict[str, object] = {}
    if isinstance(run, FunctionRun):
        found |= {"function": run.objective.name, "n": run.objective.n}
        if run.objective.start != "published":
            found["start"] = run.objective.start
    if isinstance(run, ClassificationRun):
        found |= {"model": run.model.name, "data": run.data.options.get("stands_for") or run.data.variant}
        if not run.model.from_outside:
            options = {name: value for name, value in model_settings(run.model).items() if name != "name"}
            found |= {name: f"{value:g}" if isinstance(value, float) else value for name, value in options.items()}
    found |= methods.of_run(run).columns()
    if run.optimizer.name != "SGD" or run.optimizer.options:
        found["optimizer"] = " ".join([run.optimizer.name, *sorted(map(str, run.optimizer.options))])
    if isinstance(run, ClassificationRun) and run.schedule.name != "none":
        found["schedule"] = run.schedule.name
    if isinstance(run.gradient, Forward) and run.gradient.measure in ("greedy", "difference"):  # another gradient
        found["gradient.measure"] = run.gradient.measure
        if run.gradient.measure == "difference":
            found["gradient.spacing"] = run.gradient.spacing
    for group, idea in ideas_of(run).items():
        if group != "tangents" or samples_tangents(run.gradient):
            found |= {f"{group}.{name}": value for name, value in _options_beside(group, idea).items()}
    return {name: str(value) for name, value in found.items()}


_WITHOUT_GROUP = "angle", "eigenvalues"
"""Options of frog's own ideas that have a column of their own, or none: no published rate tells the second."""


def _options_beside(group: str, idea: Idea) -> dict[str, Any]:
    """Return the options of an idea that have no column without its group, and the hash of a file from outside."""
    if idea.sha256 is not None:
        return {**idea.options, "sha256": idea.sha256[:LETTERS_OF_A_HASH]}
    if group in ("model", "data"):
        return {}
    return {name: value for name, value in idea.options.items() if name not in _WITHOUT_GROUP}


def further_settings(run: Run) -> dict[str, str]:
    """Return what a result depends on beside `factors` and `cost_of`, by the names of its options."""
    told = {"name", "k", "measure", "spacing", "perturb", "chunk_size", "source", "sha256"}
    found = {f"gradient.{name}": value for name, value in run.gradient.model_dump(exclude=told).items()}
    found |= {f"optimizer.{name}": value for name, value in run.optimizer.options.items()}
    found |= {"early_stopping.patience": run.early_stopping.patience, "diverged_above": run.diverged_above}
    if isinstance(run, FunctionRun):
        found["objective.dtype"] = run.objective.dtype
    if isinstance(run, ClassificationRun):
        found["data.validation"] = run.data.validation
        if "size" in run.data.options:
            found["data.size"] = run.data.options["size"]
        if run.schedule.name != "none":
            found |= {"schedule.factor": run.schedule.factor, "schedule.epochs": run.schedule.epochs}
    return {
        name: value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        for name, value in found.items()
    }


def files(run: Run) -> dict[str, str]:
    """Return what tells the files of a run's images from others, by a look at each; nothing if they are gone."""
    if not isinstance(run, ClassificationRun) or run.data.name != "image_folder" or run.data.from_outside:
        return {}
    root = str(run.data.options["root"])
    return {"data.files": digest(root)[:LETTERS_OF_A_HASH]} if Path(root).is_dir() else {}


SETTINGS = f"{OF_THE_SEARCH}settings"
"""The column for the further settings of a search's runs, as words."""


def _made_otherwise(row: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Return the further settings of the search behind a row that are not as wanted, as name=value."""
    made_with = (word.partition("=")[::2] for word in row.get(SETTINGS, "").split())
    return [f"{name}={value}" for name, value in made_with if wanted.get(name, "") != value]


class Found(NamedTuple):
    """A learning rate or a batch size that was found before, as it is written in a table."""

    value: str
    table: Path
    search: dict[str, str]  # what runs it was searched for with, nothing if it is published

    def __str__(self) -> str:
        how = ", ".join(f"{name} {value}" for name, value in self.search.items() if value)
        return f"{self.value}, from {self.table}" + (f", a search with {how}" if how else "")


def look_up(
    name: str, source: str, run: Run, cost: Mapping[str, str] | None = None, searches: Collection[str] = ()
) -> Found:
    """Return the learning rate or the batch size of a run from sweeps/`source`.

    Args:
        name: one of `FOUND`.
        source: `published` or `searched`.
        run: whose settings a row must have.
        cost: of searched rates, what the runs of the search must have cost, as `cost_of` has it, and under
            `evaluations` how many runs; at least so many if that ends in `+`. Of several searches, that with most runs
            counts.
        searches: the words of some searches; where one of them has found it, no others count.

    Raises:
        RequestError: if there is none, or more than one.
    """
    wanted = factors(run)
    having = [(row, table) for row, table in tables(source) if name in row]
    similar = [(row, table) for row, table in having if _agree(row, wanted)]
    further = further_settings(run)
    if any("data.files=" in row.get(SETTINGS, "") for row, _ in similar):  # searches from before did not note them
        further |= files(run)
    of_cost = [(row, table) for row, table in similar if source != "searched" or _costs(row, cost or {})]
    matches = [(row, table) for row, table in of_cost if not _made_otherwise(row, further)]
    matches = [one for one in matches if one[0].get(f"{OF_THE_SEARCH}request") in searches] or matches
    setting = ", ".join(f"{name}={value}" for name, value in wanted.items())
    if matches:
        most = max(_runs(row) for row, _ in matches)
        longest = [(row, table) for row, table in matches if _runs(row) == most]
        if len(longest) > 1:
            raise RequestError(f"{name}={source}", f"{len(longest)} are known for {setting}; give a number")
        row, table = longest[0]
        return Found(row[name], table, _cost(row) if source == "searched" else {})
    if of_cost:
        others = " or ".join(sorted({" ".join(_made_otherwise(row, further)) for row, _ in of_cost}))
        raise RequestError(
            f"{name}={source}",
            f"no search was made with runs like this one for {setting}; there is one with {others}; else give a number",
        )
    if similar:
        ways = " or ".join(sorted({_asking(_cost(row), cost or {}) for row, _ in similar}))
        raise RequestError(
            f"{name}={source}",
            f"no search was made with runs like this one for {setting}; to take another's, add {ways}",
        )
    differences = [_difference(row, wanted) for row, _ in having]
    nearest = min(differences, key=len, default=[])
    near = sorted({one for difference in differences if len(difference) == len(nearest) for one in difference})
    near = [one for one in near if not one.endswith("=")]
    hint = f"; there is one for {' or '.join(near)}" if 1 <= len(near) <= 8 else ""
    search = "search one with frog search, or " if source == "searched" else "else "
    raise RequestError(f"{name}={source}", f"none is known for {setting}{hint}; {search}give a number")


COST = ("evaluations", "low", "high", "epochs", "steps", "batch_size", "limit")
"""What tells one search of a setting from another, in the order of the options `searched.*`."""


def cost_of(run: Run) -> dict[str, str]:
    """Return what one run costs, as columns of a table: its epochs, batch size and limit, or its steps."""
    if isinstance(run, FunctionRun):
        return {"steps": str(run.steps)}
    assert isinstance(run, ClassificationRun)
    found = {"epochs": run.epochs, "batch_size": run.batch_size, "limit": run.data.limit or ""}
    return {name: str(value) for name, value in found.items()}


def _cost(row: Mapping[str, str]) -> dict[str, str]:
    """Return what each run of the search behind a row cost, and how many there were."""
    columns = {name: name if name == "batch_size" else f"{OF_THE_SEARCH}{name}" for name in COST}
    return {name: row[column] for name, column in columns.items() if column in row}


def _costs(row: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Return whether the search behind a row cost what is wanted."""
    found = _cost(row)
    least = wanted.get("evaluations", "")
    enough = found["evaluations"] == least or (least.endswith("+") and _evaluations(row) >= int(least[:-1]))
    return enough and all(found.get(name, "") == value for name, value in wanted.items() if name != "evaluations")


def _evaluations(row: Mapping[str, str]) -> int:
    return int(row.get(f"{OF_THE_SEARCH}evaluations") or 0)


def _runs(row: Mapping[str, str]) -> int:
    """Return how many runs a search made: one for each seed of each evaluation."""
    return _evaluations(row) * len(row.get(f"{OF_THE_SEARCH}seeds", "").split())


def _asking(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Return the options that ask for a search which is not the default one."""
    least = wanted.get("evaluations", "")
    options = [
        f"searched.{name}={found.get(name) or 'none'}"
        for name, value in wanted.items()
        if name != "evaluations" and found.get(name, "") != value
    ]
    if not (least.endswith("+") and int(found["evaluations"]) >= int(least[:-1])):
        options.insert(0, f"searched.evaluations={found['evaluations']}")
    return " ".join(options)


def find(source: str, wanted: Mapping[str, str]) -> list[Mapping[str, str]]:
    """Return the rows of a source for some settings."""
    return [row for row in rows(source) if _agree(row, wanted)]


def settings(row: Mapping[str, str]) -> dict[str, str]:
    """Return the columns of a row that must agree."""
    return {name: value for name, value in row.items() if _must_agree(name)}


def _must_agree(column: str) -> bool:
    """Return whether a column is a setting that a learning rate depends on."""
    return column not in FOUND and not column.startswith(OF_THE_SEARCH)


def rows(source: str) -> list[Mapping[str, str]]:
    """Return all rows of a source."""
    return [row for row, _ in tables(source)]


def tables(source: str) -> list[tuple[Mapping[str, str], Path]]:
    """Return all rows of a source, with their tables; a user's own searches stand for frog's of the same names."""
    places = [folder("sweeps") / source, *([searched()] if source == "searched" else [])]
    files = {path.name: path for place in places for path in sorted(place.glob("learning_rates_*.csv"))}
    return [(row, path) for path in files.values() for row in read_csv_once(path)]


def _agree(row: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Return whether a row is for the wanted settings."""
    return next(_differing(row, wanted), None) is None


def _difference(row: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Return the row's columns that differ from the wanted settings, as name=value."""
    return [f"{name}={row.get(name, '')}" for name in _differing(row, wanted)]


def _differing(row: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    """Yield the columns in which a row differs from the wanted settings."""
    for name in row.keys() | wanted.keys():
        if row.get(name, "") != wanted.get(name, "") and _must_agree(name):
            yield name
