"""The pages about all results: README.md beside them, and index.html if it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frog_cli.files.atomic import write_atomically
from frog_cli.reproduction import targets
from frog_cli.reproduction.report_content import write_tables_and_read
from frog_cli.reproduction.report_html import html
from frog_cli.reproduction.report_markdown import markdown
from frog_cli.reproduction.stored_rows import results_folder
from frog_cli.reproduction.targets import Scale, Target


def is_about(chosen: Sequence[Target]) -> bool:
    """Return whether one of the targets is frog's own, which alone are in the report."""
    return any(target.name in targets.names() for target in chosen)


def write_if_about(chosen: Sequence[Target], scale: Scale, with_html: bool = False) -> list[Path]:
    """Write the pages anew if they are about one of the targets; return their paths, if so."""
    of_page: Scale = "smoke" if scale == "smoke" else "paper"  # one page tells of the papers' scale and a laptop's
    return write(results_folder(of_page), of_page, with_html) if is_about(chosen) else []


def write(results: Path, scale: Scale = "paper", with_html: bool = False) -> list[Path]:
    """Write all tables anew, and the pages about them, into a folder of results.

    Args:
        results: the folder.
        scale: `smoke` if its rows are those of a smoke test.
        with_html: whether to write index.html, too.

    Returns:
        The paths of README.md and, if it is written, index.html.
    """
    report = write_tables_and_read(results, scale)
    pages = {"README.md": markdown(report)} | ({"index.html": html(report)} if with_html else {})
    for name, text in pages.items():
        write_atomically(results / name, text)
    return [results / name for name in pages]
