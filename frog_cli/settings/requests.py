"""What each verb is asked to do, as composed and checked settings.

Whatever is wrong is reported as one RequestError that names the option, the value and what is allowed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from frog_cli.errors import RequestError
from frog_cli.files.shipped import folder
from frog_cli.ideas import sources
from frog_cli.settings import idea_groups, learning_rates
from frog_cli.settings.composing import combinations, compose_settings, defaults, parse
from frog_cli.settings.refusals import as_given, check_combinations, prefixed, validate
from frog_cli.settings.schema import Aggregation, ClassificationRun, FunctionRun, Run, Tangents, are_local, need_layers
from frog_cli.settings.verb_options import Bench, Interval, Preset, Quality, RequestOptions, Search, Searched, Slurm

SOURCES = ("published", "searched")


class Request(NamedTuple):
    """Runs that differ in their seed alone, so that they may be computed side by side."""

    runs: list[Run]
    learning_rate: str  # a number, or where it was looked up: published or searched, and the table
    overwrite: bool
    fail_fast: bool
    notes: Sequence[str] = ()  # what was looked up, and where


def train_request(overrides: Sequence[str], searches: Collection[str] = ()) -> Request:
    """Compose and check the settings of `frog train`.

    Args:
        overrides: the words behind the verb.
        searches: the words of some searches, which come first where learning_rate=searched has a choice.
    """
    given, settings = compose_settings("train", overrides)
    request = {name: settings.pop(name) for name in RequestOptions.model_fields if name != "objective"}
    request["objective"] = {name: settings["objective"].pop(name) for name in Preset.model_fields}
    checked = validate(RequestOptions, request, given)
    seeds = seed_list(checked.seeds, given)
    if seeds is None:
        seeds = [settings["seed"]]
    elif "seed" in given:
        raise RequestError(f"seed={given['seed']}", "either seed or seeds, not both")

    if "data" in settings:
        data = settings["data"]
        declaration = sources.declaration_of("data", data["name"], data.get("sha256"))
        for option in declaration.options if declaration else ():
            if option.is_root:
                data[option.name] = os.path.expanduser(str(data[option.name]))  # noqa: PTH111
    looked_up = {name: settings[name] for name in learning_rates.FOUND if settings.get(name) in SOURCES}
    settings |= dict.fromkeys(looked_up, 1)  # until the rest is known to be right
    kind = FunctionRun if "steps" in settings else ClassificationRun
    runs = [validate(kind, {**settings, "seed": seed}, given) for seed in seeds]
    check_combinations(runs[0])
    if are_local(runs[0].tangents) and "gradient.k" in given:
        raise RequestError(
            f"gradient.k={given['gradient.k']}",
            "tangents=local has one or more for each layer; tangents.random adds some",
        )
    asked = checked.searched
    found = {name: _look_up(name, source, runs[0], looked_up, asked, searches) for name, source in looked_up.items()}
    for name, one in found.items():
        number = float(one.value) if name == "learning_rate" else int(one.value)
        runs = [run.model_copy(update={name: number}) for run in runs]
    notes = [f"{name}={looked_up[name]}: {one}" for name, one in found.items()]
    rate = str(settings["learning_rate"])
    if "learning_rate" in found:
        rate = f"{looked_up['learning_rate']}, {found['learning_rate'].table}"
    return Request(runs, rate, checked.overwrite, checked.fail_fast, notes)


def _look_up(
    name: str, source: str, run: Run, looked_up: Mapping[str, str], asked: Searched, searches: Collection[str]
) -> learning_rates.Found:
    """Return a learning rate or a batch size from a search that was like the run, or as is asked for."""
    if source != "searched":
        return learning_rates.look_up(name, source, run)
    usual = defaults("search")
    cost = {"evaluations": f"{usual['evaluations']}+", "low": str(usual["low"]), "high": str(usual["high"])}
    cost |= {name: value for name, value in learning_rates.cost_of(run).items() if name not in looked_up}
    cost |= {name: str(value) for name, value in asked if value is not None and (name in cost or name in looked_up)}
    cost = {name: "" if value == "none" else value for name, value in cost.items()}
    return learning_rates.look_up(name, source, run, cost, searches)


class SearchRequest(NamedTuple):
    """What is searched, for runs whose searched hyperparameters stand at values that are replaced."""

    words: str
    request: Request
    search: Search

    @property
    def searched(self) -> str:
        """The option that is searched: the learning rate, or what lengths from the curvature are multiplied by."""
        return _searched(self.request.runs[0].learning_rate)


def search_request(overrides: Sequence[str]) -> SearchRequest:
    """Compose and check the settings of `frog search`, with what sweeps/definitions/ says of an experiment."""
    own = [override.removeprefix("search.") for override in overrides if override.startswith("search.")]
    others = [override for override in overrides if not override.startswith("search.")]
    given = {override.get_key_element(): override.value() for override in parse(others)}
    definition = search_definition(given)
    for name, value in definition.get("options", {}).items():
        if not {name, name.removesuffix("s")} & given.keys():  # seeds stand back for seed
            others.append(f"{name}={value}")
    try:
        search = _search(own, definition.get("search", {}))
    except RequestError as error:
        raise prefixed("search", "search", error) from None
    searched = _searched(given.get("learning_rate"))
    for name in (searched, *search.also):
        if name in given:
            raise RequestError(
                f"{name}={given[name]}", "is what is searched; search.low, search.high and search.also bound it"
            )
    if given.get("parallel") is not None:
        raise RequestError(
            f"parallel={given['parallel']}", "is for frog train; processes share a search by evaluations"
        )
    if given.get("overwrite"):
        raise RequestError("overwrite=true", "a search keeps what it has evaluated; delete its folder to start anew")
    values = {
        name: choices if isinstance(choices, list) else [choices.low, choices.high]
        for name, choices in {searched: [1.0], **search.also}.items()
    }
    request = train_request([*others, *(f"{name}={_quoted(some[0])}" for name, some in values.items())])
    for name, some in values.items():
        for value in some:
            with_values(request, {name: value})
    return SearchRequest(" ".join(overrides), request, search)


def _searched(learning_rate: Any) -> str:
    return "step.factor" if learning_rate == "curvature" else "learning_rate"


def _quoted(value: Any) -> str:
    """Return a value as a command line has it, text in quotes unless it is a word."""
    if not isinstance(value, str) or (re.fullmatch(r"[A-Za-z_][\w.-]*", value) and yaml.safe_load(value) == value):
        return str(value)
    return "'{}'".format(value.replace("'", "\\'"))


def _search(own: Sequence[str], definition: dict[str, Any]) -> Search:
    """Compose and check the settings of a search itself."""
    given, settings = compose_settings("search", own)
    settings |= {name: value for name, value in definition.items() if name not in given}
    search = validate(Search, settings, given)
    if search.low >= search.high:
        raise RequestError(f"low={search.low:g}", f"must be below search.high={search.high:g}")
    if search.method == "grid" and search.also:
        raise RequestError(f"also.{next(iter(search.also))}", "needs search.method=evolution: a grid is of one number")
    for name, choices in search.also.items():
        if isinstance(choices, Interval) and choices.low >= choices.high:
            raise RequestError(f"also.{name}.low={choices.low:g}", f"must be below its high={choices.high:g}")
        if isinstance(choices, Interval) and choices.log and choices.low <= 0:
            raise RequestError(f"also.{name}.low={choices.low:g}", "must be above 0 to have a logarithm")
    return search


def search_definition(given: dict[str, Any]) -> dict[str, Any]:
    """Return what sweeps/definitions/ has for the experiment, or else the objective, that is chosen."""
    chosen = given.get("experiment") or given.get("objective")
    path = folder("sweeps") / "definitions" / f"{chosen}.yaml"
    if not re.fullmatch(r"[A-Za-z0-9_-]+", str(chosen)) or not path.is_file():
        return {}
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def with_values(request: Request, values: dict[str, Any]) -> Request:
    """Return a request with other values of some options, by their dotted names; refuse what is not allowed."""
    runs = []
    for run in request.runs:
        settings = run.model_dump()
        for option, value in values.items():
            *path, last = option.split(".")
            place = settings
            for name in path:
                place = place[name]
            place[last] = value
        runs.append(validate(type(run), settings, {}))
    return request._replace(runs=runs)


def slurm_settings(overrides: Sequence[str]) -> Slurm:
    """Compose and check what a batch job asks of Slurm, from overrides such as slurm.time=60."""
    try:
        given, settings = compose_settings("slurm", [override.removeprefix("slurm.") for override in overrides])
        if "time" in given:  # which YAML may read as a number, and 01:30 as one of base 60
            settings["time"] = given["time"].strip("'\"")
        return validate(Slurm, settings, given)
    except RequestError as error:
        raise prefixed("slurm", "submit", error) from None


class BenchRequest(NamedTuple):
    """Whose steps are measured, one run for each, and how."""

    runs: list[ClassificationRun]
    bench: Bench


def bench_request(words: Sequence[str]) -> BenchRequest:
    """Compose and check the settings of `frog bench`: those of `frog train`, and overrides such as bench.rounds=5."""
    try:
        given, settings = compose_settings(
            "bench", [word.removeprefix("bench.") for word in words if word.startswith("bench.")]
        )
        bench = validate(Bench, settings, given)
    except RequestError as error:
        raise prefixed("bench", "bench", error) from None
    others = combinations([word for word in words if not word.startswith("bench.")])
    runs = [train_request(combination).runs[0] for combination in others]
    networks = [run for run in runs if isinstance(run, ClassificationRun)]
    if len(networks) < len(runs):
        raise RequestError("frog bench", "measures networks, which only objective=classification has")
    return BenchRequest(networks, bench)


class QualityRequest(NamedTuple):
    """What is studied, and the ideas that it names."""

    settings: Quality
    tangents: dict[str, Tangents]
    gradients: dict[str, Aggregation]

    @property
    def identity(self) -> dict[str, Any]:
        """What the result depends on."""
        ideas = [*self.tangents.values(), *self.gradients.values()]
        hashes = {f"{one.kind} {one.name}": one.sha256 for one in ideas if one.from_outside}
        settings = self.settings.model_dump(exclude={"device", "ideas"})
        return settings | ({"sha256": hashes} if hashes else {})


def check_size(plan: SearchRequest, processes: int) -> None:
    """Refuse a search on more processes than it evaluates.

    Raises:
        RequestError: if it is.
    """
    if plan.search.evaluations < processes:
        raise RequestError(
            f"search.evaluations={plan.search.evaluations}", f"must be at least one for each of {processes} processes"
        )


def without_weights(request: Request) -> Request:
    """Return a request whose runs keep no weights of their networks, because there are many of them."""
    kept = {"keep_weights": False}
    return request._replace(
        runs=[run.model_copy(update=kept) if isinstance(run, ClassificationRun) else run for run in request.runs]
    )


def quality_request(overrides: Sequence[str]) -> QualityRequest:
    """Compose and check the settings of `frog quality`."""
    given, settings = compose_settings("quality", overrides)
    quality = validate(Quality, settings, given)
    named = {("tangents", name) for name in quality.tangents} | {("aggregation", name) for name in quality.gradients}
    found = idea_groups.from_outside(quality.ideas, not named <= sources.own_declarations().keys())
    tangents = {
        name: Tangents.model_validate(idea_groups.settings_of("tangents", name, found, "tangents"))
        for name in quality.tangents
    }
    gradients = {
        name: Aggregation.model_validate(idea_groups.settings_of("aggregation", name, found, "gradients"))
        for name in quality.gradients
    }
    for name, one in tangents.items():
        if need_layers(one):
            raise RequestError(f"tangents=[{name}]", "come from the layers of a network, such as data=digits model=mlp")
    cones = [name for name, sampler in tangents.items() if sampler.angle is not None]
    if quality.angles is not None and not cones:
        raise RequestError(as_given("angles", settings, given), "only tangents=[cone] have an angle")
    if cones and quality.angles is None:
        raise RequestError(f"tangents=[{cones[0]}]", "needs angles in degrees, such as angles=[45]")
    if cones and quality.n < 2:
        raise RequestError(f"tangents=[{cones[0]}]", "needs n of at least 2")
    seed_list(quality.seeds, given)
    return QualityRequest(quality, tangents, gradients)


def seed_list(seeds: list[int] | int | None, given: dict[str, str]) -> list[int] | None:
    """Return the seeds that `seeds` stands for: N means 0 to N-1; None if it is not given.

    Raises:
        RequestError: if they are not different seeds.
    """
    if seeds is None:
        return None
    listed = list(range(seeds)) if isinstance(seeds, int) else seeds
    if not listed or len(set(listed)) < len(listed):
        raise RequestError(f"seeds={given.get('seeds', seeds)}", "must be at least one seed, and each only once")
    return listed
