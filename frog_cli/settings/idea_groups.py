"""The groups of settings in which ideas are chosen: every idea is a choice, and its options are settings.

Hydra composes them like the files in conf/; their defaults come from the signatures of ideas, frog's own and others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import yaml
from hydra.core.config_store import ConfigStore

from frog_cli.errors import RequestError
from frog_cli.files.shipped import folder
from frog_cli.ideas import sources
from frog_cli.ideas.declarations import Declaration
from frog_cli.ideas.registry import Kind
from frog_cli.ideas.sources import Source
from frog_cli.settings.refusals import nearest

KINDS: dict[str, tuple[Kind, ...]] = {
    "tangents": ("tangents",),
    "gradient": ("aggregation", "step_rule"),
    "objective": ("function",),
    "model": ("model",),
    "data": ("data",),
}
"""The kinds of ideas that are chosen in each group."""

_GROUPS = {kind: group for group, kinds in KINDS.items() for kind in kinds}

_BESIDE = {
    "aggregation": "base/forward",
    "step_rule": "base/plane",
    "tangents": "base/sharing",
    "data": "base/splits",
    "function": "base/function",
}
"""The file in the folder of its group with what frog's own options beside those of an idea are, by its kind."""


class Chosen(NamedTuple):
    """An idea from outside that is chosen in a group."""

    group: str
    source: Source
    declaration: Declaration


def own_names(group: str) -> list[str]:
    """Return the names of frog's own ideas of a group."""
    return [name for kind, name in sources.own_declarations() if kind in KINDS.get(group, ())]


def may_have(group: str, name: str, option: str) -> bool:
    """Return whether a choice among frog's own has an option, or has one called so in another place.

    Args:
        group: of the choice.
        name: of the choice, an idea or a file in conf/.
        option: its dotted name.
    """
    names = {option, option.removeprefix(f"{group}.")}
    for kind in KINDS.get(group, ()):
        if (kind, name) in sources.own_declarations():
            _, declaration = sources.own_declarations()[kind, name]
            beside = _names_in_file(group, _BESIDE[kind]) if kind in _BESIDE else frozenset()
            return not names.isdisjoint({one.name for one in declaration.options} | beside)
    return not names.isdisjoint(_names_in_file(group, name))


@cache
def _names_in_file(group: str, name: str) -> frozenset[str]:
    """Return the dotted names of the options in a file of conf/."""
    return frozenset(dotted_names(yaml.safe_load((folder("conf") / group / f"{name}.yaml").read_text("utf-8"))))


def dotted_names(settings: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    """Yield the names of all settings, also of those within others, as `early_stopping.patience`."""
    for key, value in settings.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from dotted_names(value, f"{prefix}{key}.")


@contextmanager
def known_to_hydra(from_outside: Sequence[Chosen]) -> Iterator[None]:
    """Let Hydra know frog's own ideas, and some from outside, as choices of their groups."""
    own = [declaration for _, declaration in sources.own_declarations().values()]
    for declaration in [*own, *(one.declaration for one in from_outside)]:
        _store(declaration)
    try:
        yield
    finally:
        for group in KINDS:  # which would be groups for every verb, also for options of these names
            ConfigStore.instance().repo.pop(group, None)


def chosen(given: Mapping[str, str], built_in: Mapping[str, list[str]]) -> list[Chosen]:
    """Return the ideas from outside that are chosen.

    Args:
        given: options as they are written, by their dotted names.
        built_in: what can be chosen in each group without them.
    """
    wanted = {group: given[group] for group in KINDS if given.get(group) not in (None, *built_in.get(group, []))}
    found = from_outside(names_in(given.get("ideas", "[]")), bool(wanted))
    taken = []
    for group, name in wanted.items():
        for kind in KINDS[group]:
            if (kind, name) in found:
                taken.append(Chosen(group, *found[kind, name]))
                sources.remember(taken[-1].source, taken[-1].declaration)
    return taken


def from_outside(names: list[str], wanted: bool = True) -> dict[tuple[Kind, str], tuple[Source, Declaration]]:
    """Return the ideas of files and modules by kind and name, and if one is wanted also those of packages.

    Raises:
        RequestError: if a file or module is not there, or has an idea that is called like another of its group.
    """
    found: dict[tuple[Kind, str], tuple[Source, Declaration]] = {}
    for source, one in sources.declarations([*sources.named(names), *(sources.announced() if wanted else [])]):
        if source.name == sources.OWN_NAME:
            continue
        group = _GROUPS[one.kind]
        if (folder("conf") / group / f"{one.name}.yaml").is_file():
            raise RequestError(f"ideas={source.name}, line {one.line}", f"{group}={one.name} is built in")
        for kind in KINDS[group]:
            if kind != one.kind and ((kind, one.name) in found or (kind, one.name) in sources.own_declarations()):
                what = f"{group}={one.name} is the name of one {kind.replace('_', ' ')} as well"
                raise RequestError(f"ideas={source.name}, line {one.line}", what)
        found[one.kind, one.name] = source, one
    return found


def settings_of(
    kind: Kind, name: str, found: Mapping[tuple[Kind, str], tuple[Source, Declaration]], option: str
) -> dict[str, str]:
    """Return the settings of an idea with the defaults of its options: one of frog's, or of those that were found.

    Raises:
        RequestError: naming the option whose list has a name that there is not.
    """
    if (kind, name) in sources.own_declarations():
        return {"name": name}
    if (kind, name) not in found:
        known = [one for other, one in [*sources.own_declarations(), *found] if other == kind]
        raise RequestError(f"{option}=[{name}]", f"must be among {', '.join(sorted(known))}{nearest(name, known)}")
    source, declaration = found[kind, name]
    sources.remember(source, declaration)
    return {"name": name, **where_from(source)}


def where_from(source: Source) -> dict[str, str]:
    """Return where an idea is from, as the settings of a run hold it."""
    return {"source": str(source.path) if source.module is None else source.module, "sha256": source.digest()}


def names_in(text: str) -> list[str]:
    """Return the files and modules that a list such as `[my_ideas.py,package.module]` names."""
    try:
        names = yaml.safe_load(text)
    except yaml.YAMLError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RequestError(f"ideas={text}", "must be a list of files and modules, such as [my_ideas.py]")
    return names


def from_anywhere(word: str) -> str:
    """Return an option such as `ideas=[my_ideas.py]` with the whole paths of its files, any other word as it is."""
    option, _, text = word.partition("=")
    if option != "ideas":
        return word
    return f"ideas={json.dumps([sources.from_anywhere(name) for name in names_in(text)], ensure_ascii=False)}"


def _store(declaration: Declaration) -> None:
    """Let Hydra know an idea as a choice of its group, laid over what conf/ has for all of its kind."""
    group = _GROUPS[declaration.kind]
    settings: dict[str, Any] = {"name": declaration.name}
    settings |= {one.name: "${data_root:}" if one.is_root else one.default for one in declaration.options}
    traits, node, package = declaration.traits, settings, None
    if group == "objective":
        node = {"defaults": [_BESIDE["function"], "_self_"], "objective": settings}
        node |= {"steps": traits["steps"]} if "steps" in traits else {}
        package = "_global_"
    elif declaration.kind in _BESIDE:
        node = {"defaults": [f"{_BESIDE[declaration.kind]}@_here_", "_self_"], **settings}
    if group == "data":
        node |= {"validation": traits["validation"]} if "validation" in traits else {}
    ConfigStore.instance().store(name=declaration.name, node=node, group=group, package=package)
