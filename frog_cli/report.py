"""results/README.md: every target with its picture and table, and every claim with our verdict, from the rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frog_cli import results, targets
from frog_cli.csv_files import read_csv
from frog_cli.files import write_atomically
from frog_cli.targets import Scale, Target

_ROWS_SHOWN = 40  # longer tables are only linked

_BEGIN = """# Results

Written by `frog reproduce`; every number and picture here is made from the rows in the folders beside this file, each
of which says on what it was computed. `frog reproduce --list` shows what is missing, `frog reproduce TARGET` makes it.

| target | source | runs done | missing | published numbers within our spread |
|---|---|---|---|---|
"""


def write(place: Path, scale: Scale = "paper") -> Path:
    """Write README.md into a folder of results and return its path."""
    from frog_cli.claims import CLAIMS
    from frog_cli.figures import rows_of

    loaded = {name: targets.load(name) for name in targets.names()}
    text = _BEGIN
    for target in loaded.values():
        wanted, left = targets.jobs(target, scale), results.missing(target, scale)
        total, open_ = targets.count(wanted), targets.count(left)
        cells = [f"[{target.name}](#{target.name})", target.source, total - open_, open_, _reproduced(target, place)]
        text += f"| {' | '.join(map(str, cells))} |\n"
    text += "\n## What the papers claim\n\n| claim | source | verdict by our runs |\n|---|---|---|\n"
    rows = {name: rows_of(target, place) for name, target in loaded.items()}
    for claim in CLAIMS:
        text += f"| {claim.text} | {claim.source} | {claim.judge(rows)} |\n"
    for target in loaded.values():
        text += _section(target, place)
    place.mkdir(parents=True, exist_ok=True)
    write_atomically(place / "README.md", text)
    return place / "README.md"


def _tables(target: Target, place: Path) -> list[Path]:
    return [path for path in (place / f"{target.name}.csv", place / f"{target.name}_quality.csv") if path.exists()]


def _reproduced(target: Target, place: Path) -> str:
    """Return how many published numbers lie within our spread; for learning rates, within a factor of 3."""
    rows = [row for path in _tables(target, place) for row in read_csv(path)]
    if target.name == "learning_rates":
        ratios = [float(row["ratio"]) for row in rows if row.get("ratio")]
        return f"{sum(1 / 3 <= ratio <= 3 for ratio in ratios)} of {len(ratios)} searched (factor of 3)"
    name = f"{target.metrics[0]}_published"
    if not any(row.get(name) for row in rows):
        return "none is published"
    judged = [row[f"{name}_within_spread"] for row in rows if row.get(f"{name}_within_spread")]
    return f"{judged.count('yes')} of {len(judged)} run, {sum(bool(row.get(name)) for row in rows)} published"


def _section(target: Target, place: Path) -> str:
    """Return what is shown of a target."""
    lines = ["", f"## {target.name}", "", f"{target.title} ({target.source})."]
    if target.remarks:
        lines += ["", target.remarks.strip()]
    picture = place / f"{target.name}.png"
    lines += ["", f"![{target.title}]({picture.name})" if picture.exists() else "No runs yet, so no picture."]
    for path in _tables(target, place):
        rows = read_csv(path)
        lines += ["", f"Table: [{path.name}]({path.name}), {len(rows)} rows."]
        if len(rows) <= _ROWS_SHOWN:
            lines += ["", *_markdown(rows, target)]
    return "\n".join(lines) + "\n"


def _markdown(rows: Sequence[dict[str, str]], target: Target) -> list[str]:
    """Return the columns that a reader compares; the CSV has all."""
    names = list(rows[0]) if rows else []
    if "request" in names and target.name != "learning_rates":
        parts = [f"{metric}_{part}" for metric in target.metrics[:2] for part in ("mean", "std", "published")]
        shown = ["request", "seeds", "seeds_missing", "diverged", *[name for name in parts if name in names]]
    else:
        settings = ["request", "gradient", "tangents", "angle", "k", "searched", "published", "ratio"]
        shown = [name for name in [*settings, *target.metrics] if name in names]
    measured = {"searched", *target.metrics, *(f"{metric}_mean" for metric in target.metrics)}
    head = [f"| {' | '.join(name.replace('_', ' ') for name in shown)} |", "|" + "---|" * len(shown)]
    return head + [f"| {' | '.join(_short(row.get(name, ''), name in measured) for name in shown)} |" for row in rows]


def _short(cell: str, measured: bool) -> str:
    """Return a number with four digits; a measured one that is not there is missing, other cells may be empty."""
    try:
        return cell if cell.isdecimal() else f"{float(cell):.4g}"
    except ValueError:
        return cell or ("missing" if measured else "")
