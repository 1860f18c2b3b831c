"""The page about all results: README.md beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frog_cli.files.atomic import write_atomically
from frog_cli.reproduction import targets
from frog_cli.reproduction.report_content import write_tables_and_read
from frog_cli.reproduction.report_markdown import markdown
from frog_cli.reproduction.targets import Scale, Target


def write_if_about(chosen: Sequence[Target], results: Path, scale: Scale = "paper") -> list[Path]:
    """Write the report anew if one of the targets is frog's own, which alone are in it; return its path, if so."""
    return [write(results, scale)] if any(target.name in targets.names() for target in chosen) else []


def write(results: Path, scale: Scale = "paper") -> Path:
    """Write all tables anew, and README.md with them, into a folder of results; return its path."""
    write_atomically(results / "README.md", markdown(write_tables_and_read(results, scale)))
    return results / "README.md"
