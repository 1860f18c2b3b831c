"""From the words of a command line to settings: Hydra composes them from the groups and defaults in conf/."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from functools import cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from frog_cli.errors import RequestError
from frog_cli.files.shipped import folder
from frog_cli.settings import idea_groups
from frog_cli.settings.refusals import nearest

SEVERAL = {
    "train": "several values need -m, one run for each",
    "quality": "several values are a list, as in k=[1,2]",
    "search": "several values are a list, as in [1,2]",
    "slurm": "several values are a list, as in [a,b]",
    "bench": "several values are a list, as in [1,28,28]",
}
GROUPS = ("experiment", "objective", "data", "model", "gradient", "tangents")
FREE_OPTIONS = ("optimizer.options", "also")  # where any name may stand

OmegaConf.register_new_resolver("data_root", lambda: os.environ.get("FROG_DATA") or "data", replace=True)


@cache
def groups(verb: str) -> dict[str, list[str]]:
    """Return the configuration groups of a verb and what can be chosen in each: files in conf/ and frog's own ideas."""
    if verb != "train":
        return {}
    files = {group: [path.stem for path in (folder("conf") / group).glob("*.yaml")] for group in GROUPS}
    return {group: sorted([*names, *idea_groups.own_names(group)]) for group, names in files.items()}


def compose_settings(verb: str, overrides: Sequence[str]) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the options as given, and all settings of a verb with defaults filled in, as plain values.

    Raises:
        RequestError: for whatever Hydra cannot parse, does not know, or cannot resolve.
    """
    parsed = parse([re.sub(r"^gradient\.tangents(?=[.=])", "tangents", override) for override in overrides])
    for override in parsed:
        if override.is_sweep_override():
            raise RequestError(str(override.input_line), SEVERAL[verb])
    given = {override.get_key_element(): str(override.input_line).partition("=")[2] for override in parsed}
    from_outside = idea_groups.chosen(given, groups(verb)) if groups(verb) else []
    choices = [f"{key}={value}" for key, value in given.items() if key in groups(verb)]
    values = {key: override for override in parsed if (key := override.get_key_element()) not in groups(verb)}
    composed, options = _with_names(verb, choices, from_outside) if from_outside else _own(verb, tuple(choices))
    for key in values:
        _check_known(verb, key, given[key], choices, options, from_outside)
    settings = _with_values(composed, values)
    settings.pop("experiment", None)
    for one in from_outside:
        settings[one.group] |= idea_groups.where_from(one.source)
    return given, {str(name): value for name, value in settings.items()}


def _with_values(composed: DictConfig, values: Mapping[str, Override]) -> dict[Any, Any]:
    """Return what has been composed as plain values, with some options set as Hydra sets them."""
    composed = deepcopy(composed)
    for key, override in values.items():
        try:
            OmegaConf.update(composed, key, override.value(), force_add=key.startswith(FREE_OPTIONS))
        except OmegaConfBaseException as error:
            raise RequestError(str(override.input_line), str(error).splitlines()[0]) from None
    try:
        settings = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        words = " ".join(str(override.input_line) for override in values.values())
        raise RequestError(words, str(error).splitlines()[0]) from None
    assert isinstance(settings, dict)
    return settings


@contextmanager
def _hydra(verb: str, from_outside: Sequence[idea_groups.Chosen]) -> Iterator[None]:
    """Let Hydra compose from conf/ and ideas."""
    # a verb without groups has a folder of its own, where its options may have the names of groups
    where = folder("conf") if groups(verb) else folder("conf") / verb
    ideas = idea_groups.known_to_hydra(from_outside) if groups(verb) else nullcontext()
    with ideas, initialize_config_dir(str(where), version_base="1.3"):
        yield


def defaults(verb: str) -> dict[str, Any]:
    """Return the settings of a verb to which nothing is given."""
    return deepcopy(_defaults(verb, os.environ.get("FROG_DATA")))


@cache
def _defaults(verb: str, data: str | None) -> dict[str, Any]:
    """Compose the settings of a verb to which nothing is given once for each folder of data, which they name."""
    return compose_settings(verb, [])[1]


def combinations(words: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each run: with -m or --multirun among the words one for each combination of values."""
    overrides = [word for word in words if word not in ("-m", "--multirun")]
    return [overrides] if len(overrides) == len(words) else list(sweep(overrides))


def sweep(overrides: Sequence[str]) -> Iterator[list[str]]:
    """Yield every combination of the values that overrides such as `gradient.k=1,2,4` list."""
    choices = []
    for override in parse(overrides):
        values = [override.input_line or ""]
        if override.is_sweep_override():
            try:
                values = [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
            except HydraException:
                raise RequestError(values[0], "must list its values, as in a=1,2,3 or a=range(1,4)") from None
        choices.append(values)
    yield from (list(combination) for combination in itertools.product(*choices))


def varying(combinations: Sequence[Sequence[str]]) -> list[str]:
    """Name each combination of a sweep by the options in which it differs from others."""
    positions = [position for position, values in enumerate(zip(*combinations, strict=True)) if len(set(values)) > 1]
    return [" ".join(combination[position] for position in positions) for combination in combinations]


def choices_among(words: Sequence[str]) -> list[str]:
    """Return ideas and choices of groups among some words, whatever else they say; of a sweep, the first ones."""
    words = [re.sub(r"^gradient\.tangents=", "tangents=", word) for word in words]
    several = [word for word in words if word in ("-m", "--multirun")]
    wanted = [word for word in words if word.partition("=")[0] in (*groups("train"), "ideas")]
    return combinations([*several, *wanted])[0]


def parse(overrides: Sequence[str]) -> list[Override]:
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


def _compose_choices(verb: str, choices: list[str], from_outside: Collection[str]) -> DictConfig:
    """Compose with the choices of groups alone; refuse those that there are not."""
    for choice in choices:
        group, _, name = choice.partition("=")
        if group not in from_outside and name not in groups(verb)[group]:
            known = groups(verb)[group]
            raise RequestError(choice, f"must be one of {', '.join(known)}{nearest(name, known)}")
    try:
        return compose(verb, choices)
    except HydraException as error:
        for choice in choices:
            others = [other for other in choices if other != choice]
            if _composes(verb, others):
                chosen = f" with {' '.join(others)}" if others else ""
                raise RequestError(choice, f"cannot be chosen{chosen}") from None
        raise RequestError(" ".join(choices), str(error).splitlines()[0]) from None


@cache
def _own(verb: str, choices: tuple[str, ...]) -> tuple[DictConfig, frozenset[str]]:
    """Return what choices among frog's own lead to, which a process composes once, and the names of all options."""
    return _with_names(verb, list(choices), ())


def _with_names(
    verb: str, choices: list[str], from_outside: Sequence[idea_groups.Chosen]
) -> tuple[DictConfig, frozenset[str]]:
    """Return what some choices lead to, and the dotted names of all options that it has."""
    with _hydra(verb, from_outside):
        composed = _compose_choices(verb, choices, {one.group for one in from_outside})
    return composed, _names(composed)


def _composes(verb: str, choices: list[str]) -> DictConfig | None:
    """Return what some choices of groups lead to, None if they do not go together."""
    try:
        return compose(verb, choices)
    except HydraException:
        return None


def _check_known(
    verb: str,
    key: str,
    value: str,
    choices: list[str],
    options: Collection[str],
    from_outside: Sequence[idea_groups.Chosen],
) -> None:
    """Refuse an option that these choices do not have, and say where it exists or what resembles it."""
    known = {name for name in options if name.removesuffix(".name") not in groups(verb)}
    if key in known or key.startswith(tuple(f"{option}." for option in FREE_OPTIONS)):
        return
    group = key.partition(".")[0]
    if group in groups(verb) and key == f"{group}.name":
        raise RequestError(f"{key}={value}", f"is chosen with {group}={value}")
    if groups(verb):
        group = group if group in groups(verb) else "objective"
        others = [choice for choice in choices if not choice.startswith(f"{group}=")]
        having = [name for name in groups(verb)[group] if idea_groups.may_have(group, name, key)]
        with _hydra(verb, from_outside):
            config = _composes(verb, [*others, f"{group}={having[0]}"]) if having else None
        if config is not None and key in _names(config):  # the group goes with the others
            choices = [f"{group}={name}" for name in having]
            raise RequestError(f"{key}={value}", f"exists only with {', '.join(choices)}")
    candidates = sorted(known | groups(verb).keys())
    raise RequestError(f"{key}={value}", f"unknown option{nearest(key, candidates)}; see frog {verb} --help")


def _names(config: DictConfig) -> frozenset[str]:
    """Return the dotted names of all options."""
    settings = OmegaConf.to_container(config)
    assert isinstance(settings, dict)
    return frozenset(idea_groups.dotted_names(settings))
