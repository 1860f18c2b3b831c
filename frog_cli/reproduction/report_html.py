"""The report as one page of HTML that needs nothing else: pictures, style and script are in it."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from frog_cli.reproduction.report_content import (
    ABOUT,
    CLAIMS_HEAD,
    COSTS_HEAD,
    MISSING,
    NO_PICTURE,
    OVERVIEW_HEAD,
    SCALE_TITLES,
    VERDICTS_HEAD,
    AtScale,
    ClaimVerdict,
    Part,
    Report,
    Section,
    Table,
)

_NOTHING_FROM_ELSEWHERE = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_MARKS = re.compile(r"`([^`]+)`|(?<![\\$\w])\$([^$\n]+)\$|\b(arXiv (\d{4}\.\d{4,5}))\b")
_BELOW_OR_ABOVE = re.compile(r"([_^])(?:\{([^{}]*)\}|(\w))")
_OF_VERDICTS = {True: "holds", False: "fails", None: "unknown"}


def html(report: Report) -> str:
    """Return the report as a page of HTML; equal reports give equal pages."""
    style, script = (
        Path(__file__).with_name(f"report_html.{kind}").read_text(encoding="utf-8") for kind in ("css", "js")
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_NOTHING_FROM_ELSEWHERE}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Results of frog</title>
<style>
{style}</style>
</head>
<body>
{_contents(report)}
<main>
<h1>Results</h1>
{_verdicts(report.parts)}
{_paragraphs(ABOUT)}
{_overview(report)}
{"".join(_part(part) for part in report.parts)}</main>
<script>
{script}</script>
</body>
</html>
"""


def inline(text: str) -> str:
    """Return a text as HTML: `words` as code, $formulas$ with their indices, arXiv papers as links."""
    return _MARKS.sub(_marked, escape(text))


def _marked(found: re.Match[str]) -> str:
    code, formula, paper, number = found.groups()
    if code:
        return f"<code>{code}</code>"
    if formula:
        return f"<i>{_BELOW_OR_ABOVE.sub(_index, formula)}</i>"
    return f'<a href="https://arxiv.org/abs/{number}">{paper}</a>'


def _index(found: re.Match[str]) -> str:
    name = "sub" if found[1] == "_" else "sup"
    return f"<{name}>{found[2] or found[3]}</{name}>"


def _paragraphs(text: str) -> str:
    return "\n".join(f"<p>{inline(paragraph)}</p>" for paragraph in text.strip().split("\n\n"))


def _contents(report: Report) -> str:
    """Return the table of contents."""
    parts = ""
    for part in report.parts:
        names = "".join(f"<li>{_link(section.target.name)}</li>" for section in part.sections)
        parts += f"\n<li>{_link(part.title)}<ul>{names}</ul></li>"
    return f'<nav aria-label="Contents"><ul>\n<li>{_link("Overview")}</li>{parts}\n</ul></nav>'


def _id(title: str) -> str:
    return escape(title.replace(" ", "-"))


def _link(title: str) -> str:
    return f'<a href="#{_id(title)}">{escape(title)}</a>'


def _verdicts(parts: Sequence[Part]) -> str:
    """Return all claims with the words of their verdicts, and on what these stand."""
    rows = []
    for one in (claim for part in parts for claim in part.claims):
        shown = f"in {', '.join(map(_link, one.targets))}"
        rows += [[inline(one.claim), inline(one.source), _words(one, one.words), one.scale, one.basis, shown]]
    return _table("Verdicts", VERDICTS_HEAD, rows, kind="claims")


def _overview(report: Report) -> str:
    """Return what is done and missing of all targets, and what that would cost which could not be run."""
    rows = [[_link(one.target.name), *map(inline, one.overview)] for one in report.overview]
    text = f'<h2 id="Overview">Overview</h2>\n{_table("Overview", OVERVIEW_HEAD, rows)}'
    if report.not_run:
        costs = [
            [_link(one.target.name), str(one.scales[0].missing), inline(one.target.cost.strip())]
            for one in report.not_run
        ]
        text += f"\n<h2>What we could not run at the papers' scale</h2>\n{_table('Costs', COSTS_HEAD, costs)}"
    return text


def _part(part: Part) -> str:
    """Return claims with their verdicts, and the targets whose rows judge them."""
    rows = [[inline(one.claim), inline(one.source), _verdict(one), one.scale] for one in part.claims]
    claims = _table(part.title, CLAIMS_HEAD, rows, kind="claims")
    sections = "".join(_section(section) for section in part.sections)
    return f'<h2 id="{_id(part.title)}">{escape(part.title)}</h2>\n{claims}\n{sections}'


def _verdict(one: ClaimVerdict) -> str:
    """Return a verdict whose words, before the numbers that say so, stand out."""
    words, colon, numbers = one.verdict.partition(":")
    return f"{_words(one, words)}{colon}{inline(numbers)}"


def _words(one: ClaimVerdict, words: str) -> str:
    return f'<strong class="{_OF_VERDICTS[one.holds]}">{inline(words)}</strong>'


def _section(section: Section) -> str:
    """Return what is shown of a target."""
    target = section.target
    shown = _paragraphs(f"{section.summary}\n\n{target.remarks}")
    if section.beside is not None:
        rows = [[inline(cell) for cell in row] for row in section.beside.rows]
        shown += f"\n<p>{section.caption_beside}</p>\n{_table('Scales side by side', section.beside.head, rows)}"
    for at_scale in section.scales:
        if len(section.scales) > 1:
            shown += f"\n<h4>{escape(SCALE_TITLES[at_scale.scale].capitalize())}</h4>"
            shown += f"\n{_paragraphs(target.reductions)}" if at_scale.scale == "laptop" else ""
        shown += f"\n{_at_scale(section, at_scale)}"
    name = escape(target.name)
    return f'<section id="{_id(target.name)}">\n<h3>{name}</h3>\n{shown}</section>\n'


def _at_scale(section: Section, at_scale: AtScale) -> str:
    """Return the picture and the tables of a target at one scale."""
    if at_scale.picture is None:
        shown = f"<p>{NO_PICTURE}</p>"
    else:
        data = base64.b64encode(at_scale.picture.read_bytes()).decode()
        shown = f'<img alt="{escape(section.target.title)}" src="data:image/png;base64,{data}">'
    return shown + "\n" + "".join(_table_of_file(table, at_scale.folder) for table in at_scale.tables)


def _table_of_file(table: Table, folder: str) -> str:
    """Return a table under the name of its file; a long one waits until it is asked for."""
    about = f"Table: <code>{escape(folder + table.file)}</code>, {table.total} rows."
    about += f" {len(table.rows)} of them are not empty:" if table.rows_left_out else ""
    if not table.rows:
        return f"<p>{about}</p>\n"
    shown = _table(table.file, table.head, [[inline(cell) for cell in row] for row in table.rows])
    if table.long:
        return f"<details>\n<summary>{about}</summary>\n{shown}\n</details>\n"
    return f"<p>{about}</p>\n{shown}\n"


def _table(name: str, head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """Return a table in a box that scrolls by itself; its cells are HTML."""
    numeric = [all(_is_number(cell) for cell in column) for column in zip(*rows, strict=True)]
    heads = "".join(
        f'<th scope="col"{_class(number=number)}>{escape(column)}</th>'
        for column, number in zip(head, numeric or [False] * len(head), strict=True)
    )
    lines = ""
    for row in rows:
        cells = [
            f"<td{_class(number=number, missing=cell == MISSING)}>{cell}</td>"
            for cell, number in zip(row, numeric, strict=True)
        ]
        lines += f"<tr>{''.join(cells)}</tr>\n"
    return (
        f'<div class="box {kind}" role="region" aria-label="{escape(name)}" tabindex="0"><table>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}</tbody>\n</table></div>"
    )


def _class(**kinds: bool) -> str:
    """Return the attribute that says of which kinds a cell is, if of any."""
    names = [name for name, is_so in kinds.items() if is_so]
    return f' class="{" ".join(names)}"' if names else ""


def _is_number(cell: str) -> bool:
    """Return whether a cell is a number, or nothing that speaks against its column being numbers."""
    try:
        float(cell)
    except ValueError:
        return cell in ("", MISSING)
    return True
