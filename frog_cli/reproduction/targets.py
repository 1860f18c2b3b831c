"""What frog reproduce makes: conf/targets/NAME.yaml names the runs behind each figure and table.

They are those of the papers, and of what frog itself has to show beyond them.
A file anywhere else, such as my_target.yaml, is a target of the user's own: a title, and what is run, under train,
quality and search.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import yaml
from pydantic import Field, ValidationError

from frog_cli.errors import RequestError
from frog_cli.files.shipped import folder
from frog_cli.ideas.types import Count, Options
from frog_cli.settings import composing
from frog_cli.settings.requests import seed_list

Scale = Literal["paper", "laptop", "smoke"]
"""The size of a target's runs: the papers', what two cores finish overnight, or what only shows that all works."""


class Curves(Options):
    """What of metrics.csv is kept as curves: some columns of the first rows, and of one row in every so many."""

    first: Count
    every: Count
    columns: list[str]
    also: list[str] = Field(default_factory=list)  # columns that are kept of the runs that have them


class Work(Options):
    """What is run, as words behind `frog train -m`, `frog quality` and `frog search -m`."""

    train: list[str] = Field(default_factory=list)
    quality: list[str] = Field(default_factory=list)
    search: list[str] = Field(default_factory=list)


class Target(Options):
    """A figure or table of a paper, of frog's own, or of a user's."""

    name: str
    title: str
    source: str
    of_papers: bool = True  # others have a section of their own
    paper: Work
    laptop: Work | None = None  # none: the papers' runs are small enough
    smoke: Work
    metrics: list[str] = Field(default_factory=list)  # of runs, whose statistics the table has
    shown: list[str] = Field(default_factory=list)  # columns of its tables that the report shows: those of the picture
    pooled: list[str] = Field(default_factory=list)  # options; runs that differ in nothing else are taken together
    published: str = "as a picture only"  # where the published values are, unless they are in sweeps/published
    curves: Curves | None = None
    remarks: str = ""
    reductions: str = ""  # what is smaller in laptop than in paper, said in the table's caption
    cost: str = ""  # what runs that are missing at the papers' scale would cost


class Job(NamedTuple):
    """Runs that differ in their seeds alone, a study of approximation quality, or a search."""

    kind: Literal["train", "quality", "search"]
    words: str
    seeds: tuple[int, ...]

    @property
    def options(self) -> dict[str, str]:
        """Return the values that its words give to options, by the names of the options."""
        return options(self.words.split())

    @property
    def arguments(self) -> list[str]:
        """Return the words behind the verb that carries it out."""
        seeds = [f"seeds=[{','.join(map(str, self.seeds))}]"] if self.seeds else []
        return [*self.words.split(), *seeds]

    @property
    def runs(self) -> list[tuple[str, int]]:
        """Return its runs: its words with each of its seeds."""
        return [(self.words, seed) for seed in self.seeds]


def options(words: Sequence[str]) -> dict[str, str]:
    """Return the values that words such as gradient.k=4 give to options, by the names of the options."""
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def names() -> list[str]:
    """Return the names of all targets, in the order of the papers, those of frog's own last."""
    listed = yaml.safe_load((folder("conf") / "targets" / "order.yaml").read_text(encoding="utf-8"))
    assert isinstance(listed, list)
    return [str(name) for name in listed]


@cache
def load(name: str) -> Target:
    """Return a target of frog's own."""
    settings = yaml.safe_load((folder("conf") / "targets" / f"{name}.yaml").read_text(encoding="utf-8"))
    return Target.model_validate({"name": name, **settings})


def load_file(path: Path) -> Target:
    """Return a target of a user's own.

    Raises:
        RequestError: if the file cannot be read, or does not say what a target needs to say.
    """
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RequestError(str(path), f"cannot be read: {' '.join(str(error).split())}") from None
    if path.stem in names() or not re.fullmatch(r"[A-Za-z0-9_-]+", path.stem):
        raise RequestError(str(path), "must have a name of its own, of letters, digits, _ and - only")
    if not isinstance(settings, dict) or not settings.keys() & Work.model_fields.keys():
        raise RequestError(str(path), f"must say what is run, under {', '.join(Work.model_fields)}")
    work = {name: settings.pop(name) for name in Work.model_fields if name in settings}
    usual = {"title": path.stem, "source": str(path), "metrics": ["best_value", "best_test_error_percent"]}
    try:
        return Target.model_validate({**usual, **settings, "name": path.stem, "paper": work, "smoke": {}})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])).removeprefix("paper.")
        raise RequestError(f"{path}, {where}", first["msg"].replace("Input should be", "must be")) from None


def chosen(words: Sequence[str]) -> list[Target]:
    """Return the targets that are named; `all` names all of frog's own.

    Raises:
        RequestError: if there is no such target.
    """
    wanted: dict[str, Target] = {}
    for word in words:
        own = load_file(Path(word)) if word.endswith((".yaml", ".yml")) else None
        if own is None and word not in (*names(), "all"):
            raise RequestError(word, f"must be one of {', '.join(names())}, all, or a file such as my_target.yaml")
        found = [own] if own is not None else [load(name) for name in (names() if word == "all" else [word])]
        for target in found:
            if own is not None and wanted.get(target.name, target) != target:
                raise RequestError(word, f"must have another name: {wanted[target.name].source} has it")
            wanted[target.name] = target
    return list(wanted.values())


def own_scale(target: Target, scale: Scale) -> Scale:
    """Return the scale whose rows a target has at a scale: on a laptop those of the papers if they are small enough."""
    return "paper" if scale == "laptop" and target.laptop is None else scale


def jobs(target: Target, scale: Scale) -> tuple[Job, ...]:
    """Return the jobs of a target."""
    work = target.smoke if scale == "smoke" else (scale == "laptop" and target.laptop) or target.paper
    return _jobs(tuple(work.train), tuple(work.quality), tuple(work.search))


def searches(target: Target, scale: Scale) -> frozenset[str]:
    """Return the words of a target's searches."""
    return frozenset(job.words for job in jobs(target, scale) if job.kind == "search")


@cache
def _jobs(train: tuple[str, ...], quality: tuple[str, ...], search: tuple[str, ...]) -> tuple[Job, ...]:
    """Return what lines stand for, of which several may give the same run different seeds.

    They are kept, because reading the many of a large grid takes time.
    """
    seeds_of: dict[str, dict[int, None]] = {}
    for line in train:
        for combination in composing.sweep(line.split()):
            given = options(combination)
            seeds = (
                [int(given.get("seed", 0))] if "seeds" not in given else seed_list(yaml.safe_load(given["seeds"]), {})
            )
            words = [word for word in combination if not word.startswith(("seeds=", "seed="))]
            seeds_of.setdefault(" ".join(words), {}).update(dict.fromkeys(seeds or ()))
    found = [Job("train", words, tuple(seeds)) for words, seeds in seeds_of.items()]
    found += [Job("quality", line, ()) for line in quality]
    for line in search:
        for words_of_one in [line] if "=" in line else _grid(line):
            found += [Job("search", " ".join(combination), ()) for combination in composing.sweep(words_of_one.split())]
    return tuple(found)


def pooled(target: Target, jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """Return the jobs that are taken together, by the words that stand for all of them."""
    groups: dict[tuple[tuple[str, str | None], ...], list[Job]] = {}
    for job in jobs:
        key = tuple((name, None if name in target.pooled else value) for name, value in job.options.items())
        groups.setdefault(key, []).append(job)
    return {_sweep(group): group for group in groups.values()}


def _sweep(group: Sequence[Job]) -> str:
    """Return words of `frog train -m` that stand for all jobs of a group, which give the same options."""
    values = {name: dict.fromkeys(job.options[name] for job in group) for name in group[0].options}
    return " ".join(f"{name}={','.join(different)}" for name, different in values.items())


def count(jobs: Sequence[Job]) -> int:
    """Return how many runs, studies and searches jobs are."""
    return sum(max(1, len(job.seeds)) for job in jobs)


def _grid(definition: str) -> list[str]:
    """Return the searches that a definition in sweeps/definitions names."""
    path = folder("sweeps") / "definitions" / f"{definition}.yaml"
    grid = yaml.safe_load(path.read_text(encoding="utf-8"))["grid"]
    return [str(line) for line in grid]
