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
    MISSING,
    NO_PICTURE,
    OVERVIEW_HEAD,
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
{_paragraphs(ABOUT)}
{_overview(report.overview)}
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


def _overview(sections: Sequence[Section]) -> str:
    rows = [
        [_link(one.target.name), *map(inline, [one.target.source, str(one.done), str(one.missing), one.published])]
        for one in sections
    ]
    return f'<h2 id="Overview">Overview</h2>\n{_table("Overview", OVERVIEW_HEAD, rows)}'


def _part(part: Part) -> str:
    """Return claims with their verdicts, and the targets whose rows judge them."""
    rows = [[inline(one.claim), inline(one.source), _verdict(one)] for one in part.claims]
    claims = _table(part.title, CLAIMS_HEAD, rows, kind="claims")
    sections = "".join(_section(section) for section in part.sections)
    return f'<h2 id="{_id(part.title)}">{escape(part.title)}</h2>\n{claims}\n{sections}'


def _verdict(one: ClaimVerdict) -> str:
    """Return a verdict whose words, before the numbers that say so, stand out."""
    words, colon, numbers = one.verdict.partition(":")
    return f'<strong class="{_OF_VERDICTS[one.holds]}">{inline(words)}</strong>{colon}{inline(numbers)}'


def _section(section: Section) -> str:
    """Return what is shown of a target."""
    target, picture = section.target, section.picture
    texts = _paragraphs(f"{section.summary}\n\n{target.remarks}")
    if picture is None:
        shown = f"<p>{NO_PICTURE}</p>"
    else:
        data = base64.b64encode(picture.read_bytes()).decode()
        shown = f'<img alt="{escape(target.title)}" src="data:image/png;base64,{data}">'
    tables = "".join(_table_of_file(table) for table in section.tables)
    name = escape(target.name)
    return f'<section id="{_id(target.name)}">\n<h3>{name}</h3>\n{texts}\n{shown}\n{tables}</section>\n'


def _table_of_file(table: Table) -> str:
    """Return a table under the name of its file; a long one waits until it is asked for."""
    about = f"Table: <code>{escape(table.file)}</code>, {table.total} rows."
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
