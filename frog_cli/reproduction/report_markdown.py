"""The report as results/README.md, which a forge shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from frog_cli.reproduction.report_content import (
    ABOUT,
    CLAIMS_HEAD,
    COSTS_HEAD,
    NO_PICTURE,
    OVERVIEW_HEAD,
    SCALE_TITLES,
    VERDICTS_HEAD,
    AtScale,
    Report,
    Section,
    Table,
)


def markdown(report: Report) -> str:
    """Return the report as Markdown, with pictures and tables as links into its folder."""
    verdicts = [
        [one.claim, one.source, one.words, one.scale, one.basis, f"in {', '.join(map(_anchor, one.targets))}"]
        for part in report.parts
        for one in part.claims
    ]
    overview = [[_anchor(one.target.name), *one.overview] for one in report.overview]
    blocks = ["# Results", _table(VERDICTS_HEAD, verdicts), ABOUT.strip(), "## What is reproduced, and what is not"]
    blocks += [_table(OVERVIEW_HEAD, overview)]
    if report.not_run:
        costs = [
            [_anchor(one.target.name), str(one.scales[0].missing), one.target.cost.strip()] for one in report.not_run
        ]
        blocks += ["## What we could not run at the papers' scale", _table(COSTS_HEAD, costs)]
    text = "\n\n".join(blocks) + "\n"
    for part in report.parts:
        claims = [[one.claim, one.source, one.verdict, one.scale] for one in part.claims]
        text += f"\n## {part.title}\n\n{_table(CLAIMS_HEAD, claims)}\n"
        text += "".join(_section(section) for section in part.sections)
    return text


def _anchor(name: str) -> str:
    return f"[{name}](#{name})"


def _section(section: Section) -> str:
    """Return what is shown of a target."""
    target = section.target
    blocks = [f"## {target.name}", section.summary, target.remarks.strip()]
    if section.beside is not None:
        blocks += [section.caption_beside, _table(section.beside.head, section.beside.rows)]
    for at_scale in section.scales:
        if len(section.scales) > 1:
            blocks += [f"### {target.name}: {SCALE_TITLES[at_scale.scale]}"]
            blocks += [target.reductions.strip()] if at_scale.scale == "laptop" else []
        blocks += _at_scale(section, at_scale)
    return "\n" + "\n\n".join(block for block in blocks if block) + "\n"


def _at_scale(section: Section, at_scale: AtScale) -> list[str]:
    """Return the picture and the tables of a target at one scale."""
    picture = at_scale.picture
    shown = NO_PICTURE if picture is None else f"![{section.target.title}]({at_scale.folder}{picture.name})"
    named_only = at_scale.scale == "laptop"  # the table of both scales has its results
    return [shown, *(block for table in at_scale.tables for block in _linked_table(table, at_scale.folder, named_only))]


def _linked_table(table: Table, folder: str, named_only: bool) -> list[str]:
    """Return a link to a table, and the table if it is short."""
    link = f"Table: [{folder}{table.file}]({folder}{table.file}), {table.total} rows."
    if named_only or table.long or not table.rows:
        return [link]
    return [link + (" Those that are not empty:" if table.rows_left_out else ""), _table(table.head, table.rows)]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)])
