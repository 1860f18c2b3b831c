"""Ideas from outside among the words of a request: which are chosen, and their options, checked before any import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from frog_cli.errors import RequestError
from frog_cli.ideas import sources
from frog_cli.ideas.declarations import Declaration
from frog_cli.ideas.registry import Kind
from frog_cli.ideas.sources import Source
from frog_cli.settings.refusals import validate

KINDS: dict[str, Kind] = {"tangents": "tangents", "gradient": "aggregation", "objective": "function", "model": "model"}
"""The kind of idea that is chosen in each group."""

_STAND_INS = {"tangents": "normal", "gradient": "mean", "objective": "sphere", "model": "logistic_regression"}
"""The built-in one with which the other settings are composed."""


class Chosen(NamedTuple):
    """An idea from outside that is chosen in a group.

    Attributes:
        group: where.
        source: of the idea.
        declaration: of the idea.
        given: its options as they are written.
    """

    group: str
    source: Source
    declaration: Declaration
    given: dict[str, str]

    def settings(self, composed: Any) -> dict[str, Any]:
        """Return the group's settings, where those of the built-in one are composed.

        Raises:
            RequestError: naming an option that is not what it must be.
        """
        options = {one.name: one.default for one in self.declaration.options}
        options |= {name: yaml.safe_load(text) for name, text in self.given.items()}
        try:
            checked = validate(self.declaration.schema(), {"name": self.declaration.name, **options}, self.given)
        except RequestError as error:
            raise RequestError(f"{self.group}.{error.given}", error.allowed) from None
        kept = composed if self.group in ("gradient", "objective") else {}
        where = str(self.source.path) if self.source.module is None else self.source.module
        return {**kept, **checked.model_dump(), "source": where, "sha256": self.source.digest()}


def chosen(given: dict[str, str], built_in: Mapping[str, list[str]]) -> list[Chosen]:
    """Take the ideas from outside out of what is given, and put built-in ones in their places.

    Args:
        given: options as they are written, by their dotted names; is changed.
        built_in: what can be chosen in each group.
    """
    wanted = {group: given[group] for group in KINDS if given.get(group) not in (None, *built_in.get(group, []))}
    named = sources.named(_names(given.get("ideas", "[]")))
    if not wanted:
        return []
    found = {
        (one.kind, one.name): (source, one) for source, one in sources.declarations([*named, *sources.announced()])
    }
    taken = []
    for group, name in wanted.items():
        if (KINDS[group], name) in found:
            source, declaration = found[KINDS[group], name]
            given[group] = _STAND_INS[group]
            options = [one.name for one in declaration.options if f"{group}.{one.name}" in given]
            own = {option: given.pop(f"{group}.{option}") for option in options}
            taken.append(Chosen(group, source, declaration, own))
    return taken


def _names(text: str) -> list[str]:
    """Return the files and modules that a list such as `[my_ideas.py,package.module]` names."""
    names = yaml.safe_load(text)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RequestError(f"ideas={text}", "must be a list of files and modules, such as [my_ideas.py]")
    return names
