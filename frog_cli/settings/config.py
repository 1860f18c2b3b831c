"""From the words of a command line to checked settings: Hydra composes, frog_cli.schema checks.

Whatever is wrong is reported as one RequestError that names the option, the value and what is allowed.
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from frog_cli.errors import RequestError
from frog_cli.files.shipped import folder
from frog_cli.settings import learning_rates, schema
from frog_cli.settings.schema import (
    CONES,
    Bench,
    ClassificationRun,
    Cone,
    Forward,
    FunctionRun,
    Interval,
    Preset,
    Quality,
    Regenerated,
    RequestOptions,
    Run,
    Search,
    Searched,
    Slurm,
)

SEVERAL = {
    "train": "several values need -m, one run for each",
    "quality": "several values are a list, as in k=[1,2]",
    "search": "several values are a list, as in [1,2]",
    "slurm": "several values are a list, as in [a,b]",
    "bench": "several values are a list, as in [1,28,28]",
}
SOURCES = ("published", "searched")
GROUPS = ("experiment", "objective", "data", "model", "gradient", "tangents")
FREE_OPTIONS = ("optimizer.options", "also")  # where any name may stand

Checked = TypeVar("Checked", bound=BaseModel)

OmegaConf.register_new_resolver("data_root", lambda: os.environ.get("FROG_DATA") or "data", replace=True)


class Request(NamedTuple):
    """Runs that differ in their seed alone, so that they may be computed side by side."""

    runs: list[Run]
    learning_rate: str  # a number, or where it was looked up: published or searched, and the table
    overwrite: bool
    fail_fast: bool
    notes: Sequence[str] = ()  # what was looked up, and where


def train_request(overrides: Sequence[str]) -> Request:
    """Compose and check the settings of `frog train`."""
    given, settings = compose_settings("train", overrides)
    request = {name: settings.pop(name) for name in RequestOptions.model_fields if name != "objective"}
    request["objective"] = {name: settings["objective"].pop(name) for name in Preset.model_fields}
    checked = _validate(RequestOptions, request, given)
    seeds = seed_list(checked.seeds, given)
    if seeds is None:
        seeds = [settings["seed"]]
    elif "seed" in given:
        raise RequestError(f"seed={given['seed']}", "either seed or seeds, not both")

    if "root" in settings.get("data", {}):
        settings["data"]["root"] = os.path.expanduser(str(settings["data"]["root"]))  # noqa: PTH111
    looked_up = {name: settings[name] for name in learning_rates.FOUND if settings.get(name) in SOURCES}
    settings |= dict.fromkeys(looked_up, 1)  # until the rest is known to be right
    kind = FunctionRun if "steps" in settings else ClassificationRun
    runs = [_validate(kind, {**settings, "seed": seed}, given) for seed in seeds]
    _check_combinations(runs[0])
    found = {name: _look_up(name, source, runs[0], looked_up, checked.searched) for name, source in looked_up.items()}
    for name, one in found.items():
        number = float(one.value) if name == "learning_rate" else int(one.value)
        runs = [run.model_copy(update={name: number}) for run in runs]
    notes = [f"{name}={looked_up[name]}: {one}" for name, one in found.items()]
    rate = str(settings["learning_rate"])
    if "learning_rate" in found:
        rate = f"{looked_up['learning_rate']}, {found['learning_rate'].table}"
    return Request(runs, rate, checked.overwrite, checked.fail_fast, notes)


def _look_up(name: str, source: str, run: Run, looked_up: Mapping[str, str], asked: Searched) -> learning_rates.Found:
    """Return a learning rate or a batch size from a search that was like the run, or as is asked for."""
    if source != "searched":
        return learning_rates.look_up(name, source, run)
    usual = compose_settings("search", [])[1]
    cost = {"evaluations": f"{usual['evaluations']}+", "low": str(usual["low"]), "high": str(usual["high"])}
    cost |= {name: value for name, value in learning_rates.cost_of(run).items() if name not in looked_up}
    cost |= {name: str(value) for name, value in asked if value is not None and (name in cost or name in looked_up)}
    cost = {name: "" if value == "none" else value for name, value in cost.items()}
    return learning_rates.look_up(name, source, run, cost)


class SearchRequest(NamedTuple):
    """What is searched, for runs whose searched hyperparameters stand at values that are replaced."""

    words: str
    request: Request
    search: Search


def search_request(overrides: Sequence[str]) -> SearchRequest:
    """Compose and check the settings of `frog search`, with what sweeps/definitions/ says of an experiment."""
    own = [override.removeprefix("search.") for override in overrides if override.startswith("search.")]
    others = [override for override in overrides if not override.startswith("search.")]
    given = {override.get_key_element(): override.value() for override in _parse(others)}
    definition = search_definition(given)
    for name, value in definition.get("options", {}).items():
        if not {name, name.removesuffix("s")} & given.keys():  # seeds stand back for seed
            others.append(f"{name}={value}")
    try:
        search = _search(own, definition.get("search", {}))
    except RequestError as error:
        raise _prefixed("search", "search", error) from None
    for name in ("learning_rate", *search.also):
        if name in given:
            raise RequestError(
                f"{name}={given[name]}", "is what is searched; search.low, search.high and search.also bound it"
            )
    if given.get("overwrite"):
        raise RequestError("overwrite=true", "a search keeps what it has evaluated; delete its folder to start anew")
    ends = [
        {name: choices[end] if isinstance(choices, list) else (choices.low, choices.high)[end]}
        for name, choices in search.also.items()
        for end in (0, -1)
    ]
    placeholders = {"learning_rate": 1.0} | {name: value for end in reversed(ends) for name, value in end.items()}
    request = train_request([*others, *(f"{name}={value}" for name, value in placeholders.items())])
    for end in ends:
        with_values(request, end)
    return SearchRequest(" ".join(overrides), request, search)


def _search(own: Sequence[str], definition: dict[str, Any]) -> Search:
    """Compose and check the settings of a search itself."""
    given, settings = compose_settings("search", own)
    settings |= {name: value for name, value in definition.items() if name not in given}
    search = _validate(Search, settings, given)
    if search.low >= search.high:
        raise RequestError(f"low={search.low:g}", f"must be below search.high={search.high:g}")
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
        runs.append(_validate(type(run), settings, {}))
    return request._replace(runs=runs)


def slurm_settings(overrides: Sequence[str]) -> Slurm:
    """Compose and check what a batch job asks of Slurm, from overrides such as slurm.time=60."""
    try:
        given, settings = compose_settings("slurm", [override.removeprefix("slurm.") for override in overrides])
        if "time" in given:  # which YAML may read as a number, and 01:30 as one of base 60
            settings["time"] = given["time"].strip("'\"")
        return _validate(Slurm, settings, given)
    except RequestError as error:
        raise _prefixed("slurm", "submit", error) from None


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
        bench = _validate(Bench, settings, given)
    except RequestError as error:
        raise _prefixed("bench", "bench", error) from None
    others = combinations([word for word in words if not word.startswith("bench.")])
    runs = [train_request(combination).runs[0] for combination in others]
    networks = [run for run in runs if isinstance(run, ClassificationRun)]
    if len(networks) < len(runs):
        raise RequestError("frog bench", "measures networks, which only objective=classification has")
    return BenchRequest(networks, bench)


def quality_request(overrides: Sequence[str]) -> Quality:
    """Compose and check the settings of `frog quality`."""
    given, settings = compose_settings("quality", overrides)
    quality = _validate(Quality, settings, given)
    cones = [name for name in quality.tangents if name in CONES]
    if quality.angles is not None and not cones:
        raise RequestError(_as_given("angles", settings, given), "only tangents=[cone] have an angle")
    if cones and quality.angles is None:
        raise RequestError(f"tangents=[{cones[0]}]", "needs angles in degrees, such as angles=[45]")
    if cones and quality.n < 2:
        raise RequestError(f"tangents=[{cones[0]}]", "needs n of at least 2")
    seed_list(quality.seeds, given)
    return quality


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


def combinations(words: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each run: with -m or --multirun among the words one for each combination of values."""
    overrides = [word for word in words if word not in ("-m", "--multirun")]
    return [overrides] if len(overrides) == len(words) else list(sweep(overrides))


def sweep(overrides: Sequence[str]) -> Iterator[list[str]]:
    """Yield every combination of the values that overrides such as `gradient.k=1,2,4` list."""
    choices = []
    for override in _parse(overrides):
        values = [override.input_line or ""]
        if override.is_sweep_override():
            try:
                values = [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
            except HydraException:
                raise RequestError(values[0], "must list its values, as in a=1,2,3 or a=range(1,4)") from None
        choices.append(values)
    yield from (list(combination) for combination in itertools.product(*choices))


@cache
def groups(verb: str) -> dict[str, list[str]]:
    """Return the configuration groups of a verb and what can be chosen in each."""
    if verb != "train":
        return {}
    return {group: sorted(path.stem for path in (folder("conf") / group).glob("*.yaml")) for group in GROUPS}


def compose_settings(verb: str, overrides: Sequence[str]) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the options as given, and all settings of a verb with defaults filled in, as plain values.

    Raises:
        RequestError: for whatever Hydra cannot parse, does not know, or cannot resolve.
    """
    parsed = _parse([re.sub(r"^gradient\.tangents(?=[.=])", "tangents", override) for override in overrides])
    for override in parsed:
        if override.is_sweep_override():
            raise RequestError(str(override.input_line), SEVERAL[verb])
    given = {override.get_key_element(): str(override.input_line).partition("=")[2] for override in parsed}
    choices = [f"{key}={value}" for key, value in given.items() if key in groups(verb)]
    values = {key: value for key, value in given.items() if key not in groups(verb)}
    # a verb without groups has a folder of its own, where its options may have the names of groups
    where = folder("conf") if groups(verb) else folder("conf") / verb
    with initialize_config_dir(str(where), version_base="1.3"):
        chosen = _compose_choices(verb, choices)
        for key, value in values.items():
            _check_known(verb, key, value, choices, chosen)
        lines = [f"{'++' if key.startswith(FREE_OPTIONS) else ''}{key}={value}" for key, value in values.items()]
        try:
            composed = compose(verb, choices + lines)
            settings = OmegaConf.to_container(composed, resolve=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise RequestError(" ".join(overrides), str(error).splitlines()[0]) from None
    assert isinstance(settings, dict)
    settings.pop("experiment", None)
    return given, {str(name): value for name, value in settings.items()}


def choices_among(words: Sequence[str]) -> list[str]:
    """Return the choices of groups among some words, whatever else they say; of a sweep, the first ones."""
    words = [re.sub(r"^gradient\.tangents=", "tangents=", word) for word in words]
    several = [word for word in words if word in ("-m", "--multirun")]
    return combinations([*several, *(word for word in words if word.partition("=")[0] in groups("train"))])[0]


def _parse(overrides: Sequence[str]) -> list[Override]:
    """Parse overrides, of which only the form option=value is accepted."""
    parser = OverridesParser.create()
    parsed = []
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not _is_name(key):
            name = key.lstrip("-").replace("-", "_")
            hint = f", without dashes: {name}={value}" if name != key and equals and _is_name(name) else ""
            raise RequestError(text, f"must have the form option=value{hint}")
        if "${" in value:
            raise RequestError(text, "a value cannot refer to others with ${..}")
        try:
            parsed.append(parser.parse_override(text))
        except HydraException:  # text with signs that mean something to Hydra, such as a path with an =
            quoted = value.replace("\\", "\\\\").replace("'", "\\'")
            try:
                parsed.append(parser.parse_override(f"{key}='{quoted}'"))
            except HydraException:
                raise RequestError(text, "cannot be read") from None
    return parsed


def _is_name(text: str) -> bool:
    """Return whether an option may be called so."""
    return re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", text, flags=re.ASCII) is not None


def _compose_choices(verb: str, choices: list[str]) -> DictConfig:
    """Compose with the choices of groups alone; refuse those that there are not."""
    for choice in choices:
        group, _, name = choice.partition("=")
        if name not in groups(verb)[group]:
            known = groups(verb)[group]
            raise RequestError(choice, f"must be one of {', '.join(known)}{_nearest(name, known)}")
    try:
        return compose(verb, choices)
    except HydraException as error:
        for choice in choices:
            others = [other for other in choices if other != choice]
            if _composes(verb, others):
                chosen = f" with {' '.join(others)}" if others else ""
                raise RequestError(choice, f"cannot be chosen{chosen}") from None
        raise RequestError(" ".join(choices), str(error).splitlines()[0]) from None


def _composes(verb: str, choices: list[str]) -> DictConfig | None:
    try:
        return compose(verb, choices)
    except HydraException:
        return None


def _check_known(verb: str, key: str, value: str, choices: list[str], chosen: DictConfig) -> None:
    """Refuse an option that these choices do not have, and say where it exists or what resembles it."""
    known = {name for name in _names(chosen) if name.removesuffix(".name") not in groups(verb)}
    if key in known or key.startswith(tuple(f"{option}." for option in FREE_OPTIONS)):
        return
    group = key.partition(".")[0]
    if group in groups(verb) and key == f"{group}.name":
        raise RequestError(f"{key}={value}", f"is chosen with {group}={value}")
    if groups(verb):
        group = group if group in groups(verb) else "objective"
        others = [choice for choice in choices if not choice.startswith(f"{group}=")]
        having = [
            f"{group}={name}"
            for name in groups(verb)[group]
            if (config := _composes(verb, [*others, f"{group}={name}"])) and key in _names(config)
        ]
        if having:
            raise RequestError(f"{key}={value}", f"exists only with {', '.join(having)}")
    candidates = sorted(known | groups(verb).keys())
    raise RequestError(f"{key}={value}", f"unknown option{_nearest(key, candidates)}; see frog {verb} --help")


def _names(config: DictConfig, prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all options."""
    for key in config:
        name = f"{prefix}{key!s}"
        yield name
        if not OmegaConf.is_interpolation(config, str(key)) and isinstance(config[key], DictConfig):
            yield from _names(config[key], f"{name}.")


def _prefixed(prefix: str, verb: str, error: RequestError) -> RequestError:
    """Return an error about an option of a verb's own, called as users call it."""
    allowed = error.allowed.replace("did you mean ", f"did you mean {prefix}.")
    return RequestError(f"{prefix}.{error.given}", allowed.replace(f"see frog {prefix} ", f"see frog {verb} "))


def _nearest(name: str, candidates: Iterable[str]) -> str:
    """Return `, did you mean ..?` or nothing."""
    name, candidates = name.lower(), list(candidates)
    last = {candidate.rpartition(".")[2]: candidate for candidate in candidates}
    close = difflib.get_close_matches(name, candidates, n=1) or [
        last[match] for match in difflib.get_close_matches(name.rpartition(".")[2], last, n=1)
    ]
    return f", did you mean {close[0]}?" if close else ""


def _validate(expected: type[Checked], settings: dict[str, Any], given: dict[str, str]) -> Checked:
    """Check settings against a schema and report the first that is wrong."""
    try:
        return expected.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        option = _option(settings, first["loc"])
        message = first["msg"].replace("Input should be", "must be")
        if first["type"] == "model_type":
            message = "has options of its own, such as " + ", ".join(
                f"{option}.{name}" for name in getattr(schema, first["ctx"]["class_name"]).model_fields
            )
        raise RequestError(_as_given(option, settings, given), message) from None


def _option(settings: dict[str, Any], location: Iterable[str | int]) -> str:
    """Return the dotted name of the option at a place that also names the alternatives of a union."""
    names: list[str] = []
    place: Any = settings
    for part in location:
        if isinstance(place, dict) and part in place:
            names.append(str(part))
            place = place[part]
    return ".".join(names)


def _as_given(option: str, settings: dict[str, Any], given: dict[str, str]) -> str:
    """Return option=value, in the user's own spelling where there is one."""
    if option in given:
        return f"{option}={given[option]}"
    value: Any = settings
    for part in option.split("."):
        value = value[part]
    return f"{option}={as_text(value)}"


def as_text(value: Any) -> str:
    """Return a value as it may be given on the command line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()


def _check_combinations(run: Run) -> None:
    """Refuse what is right by itself but not together."""
    if isinstance(run.tangents, Regenerated) and schema.samples_tangents(run.gradient):
        places = (getattr(run.gradient, name, None) for name in ("perturb", "measure"))
        if not isinstance(run, ClassificationRun) or tuple(places) != ("weights", "forward"):
            raise RequestError(
                "tangents=regenerated",
                "needs a network and a forward gradient with gradient.perturb=weights gradient.measure=forward",
            )
    if run.compile and isinstance(run.gradient, schema.SecondOrder):
        raise RequestError("compile=true", "is for gradients of first order; torch's compiler fails on second ones")
    if not isinstance(run, FunctionRun):
        return
    if isinstance(run.gradient, Forward) and run.gradient.perturb != "weights":
        raise RequestError(f"gradient.perturb={run.gradient.perturb}", "a closed-form function has only weights")
    if isinstance(run.tangents, Cone) and run.objective.n < 2:
        raise RequestError(f"tangents={run.tangents.name}", "needs objective.n of at least 2")
