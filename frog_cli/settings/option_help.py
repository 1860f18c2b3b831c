"""Options as help shows them: each with its default, what it means and what is allowed.

Defaults come from conf/ and the signatures of ideas, the rest from the schemas and from what ideas say of themselves.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from frog_cli.files.shipped import folder
from frog_cli.ideas import sources
from frog_cli.ideas.types import Allowed
from frog_cli.settings import composing, idea_groups, refusals
from frog_cli.settings.schema import ClassificationRun, FunctionRun, Idea, Run
from frog_cli.settings.verb_options import RequestOptions

WIDTH = 110
INDENT = 30  # where descriptions begin

_HIDDEN = "name", "source", "sha256"  # of a choice, which are not options


class Option(NamedTuple):
    """One option."""

    name: str
    default: str
    description: str
    allowed: str

    def entry(self) -> tuple[str, str]:
        """Return what help shows on the left and on the right."""
        text = f"{self.description} ({self.allowed})" if self.allowed else self.description
        return f"  {self.name}={self.default}", text


def options(schemas: Sequence[type[BaseModel]], settings: Mapping[str, Any], prefix: str = "") -> Iterator[Option]:
    """Yield the options that some schemas describe, in the order of the settings that hold their defaults."""
    for name, value in settings.items():
        fields = [schema.model_fields[name] for schema in schemas if name in schema.model_fields]
        inner = [schema for field in fields for schema in _describing(field, value)]
        if inner:
            yield from options(inner, value, f"{prefix}{name}.")
        elif not (name in _HIDDEN and prefix.removesuffix(".") in composing.GROUPS):
            yield Option(f"{prefix}{name}", refusals.as_text(value), fields[0].description or "", _allowed(fields[0]))


def of_verb(verb: str, schema: type[BaseModel], prefix: str = "", changes: Mapping[str, Any] | None = None) -> str:
    """Return the options of a verb that has a folder of its own in conf/."""
    settings = composing.defaults(verb) | dict(changes or {})
    return layout(option.entry() for option in options([schema], settings, prefix))


def of_training(words: Sequence[str]) -> str:
    """Return the groups and their choices, and the options with those choices that are among some words."""
    given = composing.choices_among(words)
    settings = composing.compose_settings("train", given)[1]
    chosen = {*given, *(f"{group}={settings[group]['name']}" for group in composing.GROUPS if group in settings)}
    parts = ["choices, with * before those in effect:"]
    for group, names in composing.groups("train").items():
        choices = {f"{group}={name}": about(group, name) for name in names}
        if "sha256" in settings.get(group, {}):
            name, sha256 = settings[group]["name"], settings[group]["sha256"]
            choices[f"{group}={name}"] = about(group, name, sha256)
        parts.append(layout((f"{'*' if choice in chosen else ' '} {choice}", text) for choice, text in choices.items()))
    kind = FunctionRun if "steps" in settings else ClassificationRun
    shown = [*options([kind, RequestOptions], settings)]
    parts += ["options with these choices, their defaults, and in brackets what is allowed:"]
    parts += [layout(option.entry() for option in shown)]
    parts += ["options that other choices have; frog train model=vit --help, for example, tells of those of model=vit:"]
    parts += [layout(_others({option.name for option in shown}))]
    return "\n".join(parts)


def about(group: str, name: str, sha256: str | None = None) -> str:
    """Return what a choice is: what an idea says of itself, or its file in conf/ in its first line."""
    kinds = idea_groups.KINDS.get(group, ())
    declaration = next(filter(None, (sources.declaration_of(kind, name, sha256) for kind in kinds)), None)
    if declaration is not None:
        return declaration.about.removesuffix(".")
    lines = (folder("conf") / group / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix("# ") for line in lines if not line.startswith("# @"))


def every_option(schema: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield all options of a schema, whatever is chosen, with the values that they can have if these are words."""
    for name, field in schema.model_fields.items():
        if name in _HIDDEN and prefix.removesuffix(".") in composing.GROUPS:
            continue
        inner = _alternatives(field)
        for one in inner:
            yield from every_option(one, f"{prefix}{name}.")
            if issubclass(one, Idea):
                own = (declared for (kind, _), (_, declared) in sources.own_declarations().items() if kind == one.kind)
                for declared in own:
                    yield from every_option(declared.schema, f"{prefix}{name}.")
        if not inner:
            words = re.split(r" \| | or ", _allowed(field))
            yield f"{prefix}{name}", words if all(map(re.compile(r"[a-z_]+").fullmatch, words)) else []


def layout(rows: Iterable[tuple[str, str]]) -> str:
    """Write rows in two columns; what is too long for the first has a line of its own."""
    lines = []
    for left, right in rows:
        wrapped = textwrap.wrap(right, WIDTH - INDENT, break_on_hyphens=False)
        first = wrapped.pop(0) if wrapped and len(left) < INDENT else ""
        lines += [f"{left:<{INDENT}}{first}".rstrip()]
        lines += [" " * INDENT + line for line in wrapped]
    return "\n".join([*lines, ""])


def _others(shown: set[str]) -> Iterator[tuple[str, str]]:
    """Yield choices that have options which are not shown, and these options."""
    having: dict[tuple[str, str], str] = {}
    for kind in (ClassificationRun, FunctionRun):
        common = {*Run.model_fields, *composing.GROUPS}
        own = [name for field in kind.model_fields if field not in common for name in _names(kind, field)]
        for group in (group for group in composing.GROUPS if group in kind.model_fields):
            for choice, schemas in _choices(kind.model_fields[group]):
                names = [f"{group}.{name}" for schema in schemas for name in schema.model_fields if name not in _HIDDEN]
                names += own if group == "objective" else []
                having[group, choice] = ", ".join(name for name in names if name not in shown)
    choices: dict[tuple[str, str], list[str]] = {}
    for (group, choice), hidden in having.items():
        choices.setdefault((group, hidden), []).append(choice)
    yield from ((f"  {group}={', '.join(alike)}", hidden) for (group, hidden), alike in choices.items() if hidden)


def _names(schema: type[BaseModel], field: str) -> Iterator[str]:
    """Yield the names of the options that a field holds."""
    inner = _alternatives(schema.model_fields[field])
    if not inner:
        yield field
    for one in inner:
        yield from (f"{field}.{name}" for nested in one.model_fields for name in _names(one, nested))


def _alternatives(field: FieldInfo) -> list[type[BaseModel]]:
    """Return the schemas that a field may have."""
    return [one for one in _types(field.annotation) if issubclass(one, BaseModel)]


def _choices(field: FieldInfo) -> Iterator[tuple[str, list[type[BaseModel]]]]:
    """Yield what a group's field can be chosen to be, and the schemas of each choice's options."""
    for one in _alternatives(field):
        if issubclass(one, Idea):
            for (kind, name), (_, declaration) in sources.own_declarations().items():
                if kind == one.kind:
                    yield name, [one, declaration.schema]
        else:
            yield from ((name, [one]) for name in get_args(one.model_fields["name"].annotation))


def _types(annotation: Any) -> Iterator[type]:
    """Yield the types that an annotation allows, one or the other."""
    if isinstance(annotation, type):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, UnionType):
        for part in get_args(annotation):
            yield from _types(part)


def _describing(field: FieldInfo, value: Any) -> list[type[BaseModel]]:
    """Return the schemas of the options that a field's value has."""
    found: list[type[BaseModel]] = []
    for one in _alternatives(field):
        name = one.model_fields.get("name")
        if issubclass(one, Idea):
            declaration = sources.declaration_of(one.kind, value["name"], value.get("sha256"))
            found += [one, declaration.schema] if declaration else []
        elif name is None or get_origin(name.annotation) is not Literal or value["name"] in get_args(name.annotation):
            found.append(one)
    return found


def _allowed(field: FieldInfo) -> str:
    """Return what a field accepts, as far as it is not said by its description alone."""
    for rule in field.metadata:
        if isinstance(rule, Allowed):
            return rule.text.removeprefix("must be ")
    kinds = [field.annotation, *get_args(field.annotation)]
    names = [str(name) for kind in kinds if get_origin(kind) is Literal for name in get_args(kind)]
    return " | ".join([*names, "null"] if NoneType in kinds and names else names)
