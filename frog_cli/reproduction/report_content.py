"""What the results say: every target with its picture and tables, every claim with our verdict, from the rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from frog_cli.files.csv import read_csv
from frog_cli.reproduction import stored_rows, tables, targets
from frog_cli.reproduction.targets import Scale, Target

ABOUT = """
Written by `frog reproduce`, `frog table` and `frog plot`; every table, verdict and picture is made from the rows in the
folders beside this file, each of which says on what it was computed. `frog reproduce --list` shows what is missing,
`frog reproduce TARGET` makes it.

A published number is within our spread if it lies between the lowest and the highest of our seeds; two methods differ
within the spread if the ranges of their seeds overlap. $g_v$ and FGD are the papers' names for
`gradient=mean gradient.k=1`."""
"""What a reader should know first; like remarks and cells it has `words of the command line` and $formulas$."""

OVERVIEW_HEAD = ("target", "source", "runs done", "missing", "published numbers")
CLAIMS_HEAD = ("claim", "source", "verdict by our runs")
NO_PICTURE = "No runs yet, so no picture."
MISSING = "missing"  # what a cell says that waits for a run

_LONG = 60  # rows; more of them are not read one by one

_OF_A_STUDY = (
    "problem",
    "method",
    "gradient",
    "tangents",
    "angle",
    "k",
    "seeds",
)  # what tells a row without a request from others


class Table(NamedTuple):
    """A table of a target: the columns that a reader compares; the CSV has all."""

    file: str
    total: int  # rows in the file
    rows_left_out: bool  # because they are empty
    head: list[str]
    rows: list[list[str]]  # none if nothing in it is to be compared

    @property
    def long(self) -> bool:
        """Return whether it has too many rows to be read one by one."""
        return len(self.rows) > _LONG


class Section(NamedTuple):
    """What is said of a target."""

    target: Target
    done: int
    missing: int
    published: str
    picture: Path | None
    tables: list[Table]

    @property
    def summary(self) -> str:
        """Return what its runs are about, and where that is from."""
        return f"{self.target.title} ({self.target.source})."


class ClaimVerdict(NamedTuple):
    """A claim, and what our runs say of it."""

    claim: str
    source: str
    holds: bool | None  # None: there are no rows yet
    verdict: str


class Part(NamedTuple):
    """Claims, and the targets whose rows judge them."""

    title: str
    claims: list[ClaimVerdict]
    sections: list[Section]


class Report(NamedTuple):
    """Everything that the results say."""

    overview: list[Section]
    parts: list[Part]


def write_tables_and_read(results: Path, scale: Scale = "paper") -> Report:
    """Write all tables anew into a folder of results.

    Args:
        results: the folder, which has the rows and pictures.
        scale: whether the rows are those of the papers' settings.

    Returns:
        What they and the pictures there say.
    """
    from frog_cli.reproduction.claims import CLAIMS
    from frog_cli.reproduction.claims_beyond import BEYOND
    from frog_cli.reproduction.frames import read_frames

    loaded = [targets.load(name) for name in targets.names()]
    overview = [_section(target, results, tables.write_tables(target, results, scale), scale) for target in loaded]
    frames = {target.name: read_frames(target, results, scale) for target in loaded}
    parts = []
    for title, claims, of_papers in (("What the papers claim", CLAIMS, True), ("Beyond the papers", BEYOND, False)):
        judged = [(claim, claim.judge(frames)) for claim in claims]
        verdicts = [ClaimVerdict(claim.text, claim.source, found.holds, str(found)) for claim, found in judged]
        parts.append(Part(title, verdicts, [one for one in overview if one.target.of_papers == of_papers]))
    return Report(overview, parts)


def _section(target: Target, results: Path, paths: Sequence[Path], scale: Scale) -> Section:
    """Return what is said of a target, whose tables have been written."""
    rows = {path.name: read_csv(path) for path in paths}
    total = targets.count(targets.jobs(target, scale))
    missing = targets.count(stored_rows.missing(target, scale))
    picture = results / f"{target.name}.png"
    return Section(
        target,
        total - missing,
        missing,
        _reproduced(target, [row for of_one in rows.values() for row in of_one]),
        picture if picture.exists() else None,
        [_table(target, file, of_one) for file, of_one in rows.items()],
    )


def _reproduced(target: Target, rows: Sequence[dict[str, str]]) -> str:
    """Return how many published numbers lie within our spread; for learning rates, within a factor of 3."""
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


def _table(target: Target, file: str, rows: Sequence[dict[str, str]]) -> Table:
    """Return what is shown of a table: of a long one the rows that are not empty, of one without results nothing."""
    shown = list(rows)
    if len(rows) > _LONG:
        shown = [row for row in rows if any(row.get(name) for name in target.shown)]
    elif rows and target.shown and not rows[0].keys() & {*target.shown}:
        shown = []  # it has nothing to compare: another table of the target has
    names = list(shown[0]) if shown else []
    of_row = ["request", "runs", "missing", "diverged"] if "request" in names else _OF_A_STUDY
    published = [name for name in names if name.endswith("_published")]
    columns = [name for name in [*of_row, *target.shown, *published] if name in names]
    cells = [
        [_short(row[name], missing=row.get("runs") == "0" and name in target.shown) for name in columns]
        for row in shown
    ]
    return Table(file, len(rows), 0 < len(shown) < len(rows), [name.replace("_", " ") for name in columns], cells)


def _short(cell: str, missing: bool) -> str:
    """Return a number with four digits; an empty cell says so if it waits for a run."""
    try:
        return cell if cell.isdecimal() else f"{float(cell):.4g}"
    except ValueError:
        return cell or (MISSING if missing else "")
