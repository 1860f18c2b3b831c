"""results/README.md: every target with its picture and table, and every claim with our verdict, from the rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frog_cli.files.atomic import write_atomically
from frog_cli.files.csv import read_csv
from frog_cli.reproduction import stored_rows, tables, targets
from frog_cli.reproduction.targets import Scale, Target

_ROWS_SHOWN = 60  # longer tables are only linked

_OF_A_STUDY = (
    "problem",
    "method",
    "gradient",
    "tangents",
    "angle",
    "k",
    "seeds",
)  # what tells a row without a request from others

_BEGIN = """# Results

Written by `frog reproduce`, `frog table` and `frog plot`; every table, verdict and picture is made from the rows in the
folders beside this file, each of which says on what it was computed. `frog reproduce --list` shows what is missing,
`frog reproduce TARGET` makes it.

A published number is within our spread if it lies between the lowest and the highest of our seeds; two methods differ
within the spread if the ranges of their seeds overlap. $g_v$ and FGD are the papers' names for
`gradient=mean gradient.k=1`.

| target | source | runs done | missing | published numbers |
|---|---|---|---|---|
"""


def write_if_about(chosen: Sequence[Target], results: Path, scale: Scale = "paper") -> list[Path]:
    """Write the report anew if one of the targets is frog's own, which alone are in it; return its path, if so."""
    return [write(results, scale)] if any(target.name in targets.names() for target in chosen) else []


def write(results: Path, scale: Scale = "paper") -> Path:
    """Write all tables anew, and README.md with them, into a folder of results; return its path."""
    from frog_cli.reproduction.claims import CLAIMS
    from frog_cli.reproduction.claims_beyond import BEYOND
    from frog_cli.reproduction.frames import read_frames

    loaded = {name: targets.load(name) for name in targets.names()}
    written = {name: tables.write_tables(target, results, scale) for name, target in loaded.items()}
    text = _BEGIN
    for name, target in loaded.items():
        wanted, left = targets.jobs(target, scale), stored_rows.missing(target, scale)
        total, open_ = targets.count(wanted), targets.count(left)
        cells = [f"[{name}](#{name})", target.source, total - open_, open_, _reproduced(target, written[name])]
        text += f"| {' | '.join(map(str, cells))} |\n"
    frames = {name: read_frames(target, results, scale) for name, target in loaded.items()}
    for title, claims, of_papers in (("What the papers claim", CLAIMS, True), ("Beyond the papers", BEYOND, False)):
        text += f"\n## {title}\n\n| claim | source | verdict by our runs |\n|---|---|---|\n"
        for claim in claims:
            text += f"| {claim.text} | {claim.source} | {claim.judge(frames)} |\n"
        for name, target in loaded.items():
            text += _section(target, results, written[name]) if target.of_papers == of_papers else ""
    write_atomically(results / "README.md", text)
    return results / "README.md"


def _reproduced(target: Target, paths: Sequence[Path]) -> str:
    """Return how many published numbers lie within our spread; for learning rates, within a factor of 3."""
    rows = [row for path in paths for row in read_csv(path)]
    if target.name == "learning_rates":
        ratios = [float(row["ratio"]) for row in rows if row.get("ratio")]
        near = sum(1 / 3 <= ratio <= 3 for ratio in ratios)
        return f"{near} of {len(ratios)} that are searched are within a factor of 3"
    found = [{name: value for name, value in row.items() if "_published" in name and value} for row in rows]
    published = sum(name.endswith("_published") for row in found for name in row)
    judged = [value for row in found for name, value in row.items() if name.endswith("_published_within_spread")]
    if not published:
        return target.published
    if not judged:
        return f"{published}, none of them is run"
    return f"{published}; {judged.count('yes')} of {len(judged)} that are run are within our spread"


def _section(target: Target, results: Path, paths: Sequence[Path]) -> str:
    """Return what is shown of a target."""
    lines = ["", f"## {target.name}", "", f"{target.title} ({target.source})."]
    if target.remarks:
        lines += ["", target.remarks.strip()]
    picture = results / f"{target.name}.png"
    lines += ["", f"![{target.title}]({picture.name})" if picture.exists() else "No runs yet, so no picture."]
    for path in paths:
        rows = read_csv(path)
        lines += ["", f"Table: [{path.name}]({path.name}), {len(rows)} rows."]
        if len(rows) > _ROWS_SHOWN:
            total, rows = len(rows), [row for row in rows if any(row.get(name) for name in target.shown)]
            lines[-1] += " Those that are not empty:" if 0 < len(rows) < total else ""
        elif rows and target.shown and not rows[0].keys() & {*target.shown}:
            rows = []  # it has nothing to compare: another table of the target has
        if 0 < len(rows) <= _ROWS_SHOWN:
            lines += ["", *_markdown(rows, target)]
    return "\n".join(lines) + "\n"


def _markdown(rows: Sequence[dict[str, str]], target: Target) -> list[str]:
    """Return the columns that a reader compares; the CSV has all."""
    names = list(rows[0]) if rows else []
    of_row = ["request", "runs", "missing", "diverged"] if "request" in names else _OF_A_STUDY
    published = [name for name in names if name.endswith("_published")]
    shown = [name for name in [*of_row, *target.shown, *published] if name in names]
    head = [f"| {' | '.join(name.replace('_', ' ') for name in shown)} |", "|" + "---|" * len(shown)]
    lines = []
    for row in rows:
        nothing_run = row.get("runs") == "0"
        cells = [_short(row[name], missing=nothing_run and name in target.shown) for name in shown]
        lines.append(f"| {' | '.join(cells)} |")
    return head + lines


def _short(cell: str, missing: bool) -> str:
    """Return a number with four digits; an empty cell says so if it waits for a run."""
    try:
        return cell if cell.isdecimal() else f"{float(cell):.4g}"
    except ValueError:
        return cell or ("missing" if missing else "")
