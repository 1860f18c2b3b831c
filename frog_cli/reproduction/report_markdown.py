"""The report as results/README.md, which a forge shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from frog_cli.reproduction.report_content import (
    ABOUT,
    CLAIMS_HEAD,
    NO_PICTURE,
    OVERVIEW_HEAD,
    Report,
    Section,
    Table,
)


def markdown(report: Report) -> str:
    """Return the report as Markdown, with pictures and tables as links into its folder."""
    overview = [
        [f"[{one.target.name}](#{one.target.name})", one.target.source, str(one.done), str(one.missing), one.published]
        for one in report.overview
    ]
    text = "\n\n".join(["# Results", ABOUT.strip(), _table(OVERVIEW_HEAD, overview)]) + "\n"
    for part in report.parts:
        claims = [[one.claim, one.source, one.verdict] for one in part.claims]
        text += f"\n## {part.title}\n\n{_table(CLAIMS_HEAD, claims)}\n"
        text += "".join(_section(section) for section in part.sections)
    return text


def _section(section: Section) -> str:
    """Return what is shown of a target."""
    target, picture = section.target, section.picture
    shown = NO_PICTURE if picture is None else f"![{target.title}]({picture.name})"
    blocks = [f"## {target.name}", section.summary, target.remarks.strip(), shown]
    for table in section.tables:
        blocks += _linked_table(table)
    return "\n" + "\n\n".join(block for block in blocks if block) + "\n"


def _linked_table(table: Table) -> list[str]:
    """Return a link to a table, and the table if it is short."""
    link = f"Table: [{table.file}]({table.file}), {table.total} rows."
    if table.long or not table.rows:
        return [link]
    return [link + (" Those that are not empty:" if table.rows_left_out else ""), _table(table.head, table.rows)]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)])
