"""frog ideas: the tangents, aggregations, step rules, functions, models and data sets, frog's own and others'."""

from __future__ import annotations

from collections.abc import Sequence

from frog_cli.ideas import sources
from frog_cli.ideas.declarations import Option

HELP = """usage: frog ideas [FILE.py | MODULE ...]

List ideas with their kind, source, options and the first line of what they say of themselves: frog's own, those that
installed packages announce (entry points of the group frog.ideas), those of FROG_IDEAS (files or modules, separated by
commas), and those of the files and modules that are named. Nothing of them is run. Examples:
  frog ideas
  frog ideas my_ideas.py

frog check judges them.
"""


def help_text() -> str:
    """Return the usage."""
    return HELP


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog ideas` and return its exit status."""
    found = list(sources.declarations([*sources.announced(), *sources.named(arguments)]))
    rows = [(one.kind.replace("_", " "), one.name, source.name, one.about, one.options) for source, one in found]
    head = ("kind", "name", "source", "what it is, and its options", ())
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(3)]
    for *cells, about, options in [head, *rows]:
        left = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        print(f"{left}  {about}".rstrip())
        for option in options:
            print(f"{'':{len(left) + 4}}{_written(option)}")
    return 0


def _written(option: Option) -> str:
    """Return an option as its signature has it."""
    return f"{option.name}: {option.written} = {option.default!r}"
