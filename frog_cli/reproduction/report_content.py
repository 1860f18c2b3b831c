"""What the results say: every target with its picture and tables, every claim with our verdict, from the rows alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from frog_cli.files.csv import read_csv
from frog_cli.reproduction import stored_rows, tables, targets
from frog_cli.reproduction.progress import Hours, hours
from frog_cli.reproduction.scales_side_by_side import scales_side_by_side
from frog_cli.reproduction.targets import Scale, Target

if TYPE_CHECKING:  # pandas is imported only where rows are read
    from frog_cli.reproduction.claims.verdicts import Claim
    from frog_cli.reproduction.frames import Frames

ABOUT = """
Written by `frog reproduce`, `frog table` and `frog plot`; every table, verdict and picture is made from the rows in the
folders beside this file, each of which says on what it was computed. `frog reproduce --list` shows what is missing,
`frog reproduce TARGET` makes it.

Targets whose runs are long have two scales: the papers' settings, and one that two cores finish overnight
(`scale=laptop`; its rows are in `laptop/`), of which each section says what is smaller. Hours are those of all runs and
searches one after the other, each counted once; what is missing is taken to cost as much as what is done, unless it is
said below what it would cost.

A published number is within our spread if it lies between the lowest and the highest of our seeds; two methods differ
within the spread if the ranges of their seeds overlap. Of many pairs some do not overlap by chance: that there is no
difference fails where so many or more would have a probability below 5 %. A claim "cannot be told" where rows judge it,
but what they compare lies within the spread, or has not come to its end. Claims are in our words. $g_v$ and FGD are
the papers' names for `gradient=mean gradient.k=1`."""
"""What a reader should know first; like remarks and cells it has `words of the command line` and $formulas$."""

VERDICTS_HEAD = ("claim", "source", "verdict", "scale", "basis", "shown")
OVERVIEW_HEAD = (
    "target", "source", "runs done", "missing", "published numbers", "hours", "hours left",
    "laptop: done", "laptop: missing", "laptop: hours",
)  # fmt: skip
COSTS_HEAD = ("target", "missing", "what it would cost")
CLAIMS_HEAD = ("claim", "source", "verdict by our runs", "scale")
SCALES = {"paper": "papers'", "laptop": "laptop", "smoke": "smoke test"}
"""What scales are called in a cell."""
SCALE_TITLES = {"paper": "the papers' scale", "laptop": "a laptop's scale", "smoke": "a smoke test"}
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


class AtScale(NamedTuple):
    """What is said of a target at one scale."""

    scale: Scale
    done: int
    missing: int
    hours: Hours
    picture: Path | None
    tables: list[Table]
    folder: str = ""  # in which its picture and tables are, from the report's, with a slash behind


class Section(NamedTuple):
    """What is said of a target."""

    target: Target
    published: str
    scales: list[AtScale]
    beside: Table | None = None  # published numbers, and ours at both scales

    @property
    def summary(self) -> str:
        """Return what its runs are about, and where that is from."""
        return f"{self.target.title} ({self.target.source})."

    @property
    def caption_beside(self) -> str:
        """Return what the table beside the scales shows."""
        metric = self.target.metrics[0].replace("_", " ")
        return f"Scales side by side, {metric}: mean over the seeds, in brackets from the lowest to the highest."

    @property
    def overview(self) -> list[str]:
        """Return its cells in the overview, behind its name."""
        first, *others = self.scales
        cells = [self.target.source, str(first.done), str(first.missing), self.published, *first.hours.texts()]
        if not others:
            return [*cells, "the same" if first.scale == "paper" else "", "", ""]
        return [*cells, str(others[0].done), str(others[0].missing), others[0].hours.texts()[0]]


class ClaimVerdict(NamedTuple):
    """A claim, and what our runs say of it at one scale."""

    claim: str
    source: str
    holds: bool | None  # None: there are no rows yet
    verdict: str
    scale: str = SCALES["paper"]
    basis: str = ""
    targets: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Return the verdict without its numbers."""
        return self.verdict.partition(":")[0]


class Part(NamedTuple):
    """Claims, and the targets whose rows judge them."""

    title: str
    claims: list[ClaimVerdict]
    sections: list[Section]


class Report(NamedTuple):
    """Everything that the results say."""

    overview: list[Section]
    parts: list[Part]

    @property
    def not_run(self) -> list[Section]:
        """Return what is missing at the papers' scale."""
        of_papers = [one for one in self.overview if one.scales[0].scale == "paper"]
        return [one for one in of_papers if one.scales[0].missing and one.target.cost]


def write_tables_and_read(results: Path, scale: Scale = "paper") -> Report:
    """Write all tables anew into a folder of results.

    Args:
        results: the folder, which has the rows and pictures; those of a laptop are in `laptop` there.
        scale: `smoke` if its rows are those of a smoke test.

    Returns:
        What they and the pictures there say.
    """
    from frog_cli.reproduction.claims import (
        beyond,
        multi_tangent,
        multi_tangent_cones,
        multi_tangent_networks,
        second_order,
        second_order_networks,
    )
    from frog_cli.reproduction.frames import read_frames

    scales: list[Scale] = ["smoke"] if scale == "smoke" else ["paper", "laptop"]
    folders: dict[Scale, Path] = {one: results / "laptop" if one == "laptop" else results for one in scales}
    loaded = [targets.load(name) for name in targets.names()]
    overview = [_section(target, folders) for target in loaded]
    read = {
        (target.name, one): read_frames(target, folders[one], one)
        for target in loaded
        for one in scales
        if targets.own_scale(target, one) == one
    }
    frames = {
        one: {target.name: read[target.name, targets.own_scale(target, one)] for target in loaded} for one in scales
    }
    parts = []
    of_first = (*multi_tangent.CLAIMS, *multi_tangent_cones.CLAIMS, *multi_tangent_networks.CLAIMS)
    of_second = (*second_order.CLAIMS, *second_order_networks.CLAIMS)
    for title, claims, is_of_papers in (
        ("What the papers claim", (*of_first, *of_second), True),
        ("Beyond the papers", beyond.CLAIMS, False),
    ):
        verdicts = [verdict for claim in claims for verdict in _verdicts(claim, frames)]
        parts.append(Part(title, verdicts, [one for one in overview if one.target.of_papers == is_of_papers]))
    return Report(overview, parts)


def _verdicts(claim: Claim, frames: Mapping[Scale, dict[str, Frames]]) -> list[ClaimVerdict]:
    """Return the verdicts on a claim at all scales at which there are rows for one; that there are none if so."""
    judging = [targets.load(name) for name in claim.targets]
    of_laptop = any(target.laptop is not None for target in judging)
    own = "paper" in frames and not any(target.of_papers for target in judging)
    found = []
    for scale in frames if of_laptop else [*frames][:1]:
        judge = claim.judge_laptop if scale == "laptop" and claim.judge_laptop is not None else claim.judge
        verdict = judge(frames[scale])
        shown = (verdict.holds, str(verdict), "own" if own else SCALES[scale], verdict.basis, claim.targets)
        found.append(ClaimVerdict(claim.text, claim.source, *shown))
    return [one for one in found if one.basis] or found[:1]


def _section(target: Target, folders: Mapping[Scale, Path]) -> Section:
    """Return what is said of a target, and write its tables."""
    own = [scale for scale in folders if targets.own_scale(target, scale) == scale]
    rows = {
        scale: {path.name: read_csv(path) for path in tables.write_tables(target, folders[scale], scale)}
        for scale in own
    }
    return Section(
        target,
        _reproduced(target, [row for of_one in rows[own[0]].values() for row in of_one]),
        [_at_scale(target, scale, folders[scale], rows[scale]) for scale in own],
        _beside(target, folders) if len(own) > 1 and target.metrics else None,
    )


def _beside(target: Target, folders: Mapping[Scale, Path]) -> Table:
    """Return published numbers, and ours at both scales, as a table that is no file."""
    rows = scales_side_by_side(target, folders)
    return Table("", len(rows), False, [name.replace("_", " ") for name in rows[0]], [[*row.values()] for row in rows])


def _at_scale(target: Target, scale: Scale, folder: Path, rows: Mapping[str, list[dict[str, str]]]) -> AtScale:
    """Return what is said of a target at one scale, whose tables have these rows."""
    total = targets.count(targets.jobs(target, scale))
    jobs_missing = stored_rows.missing(target, scale)
    missing = targets.count(jobs_missing)
    picture = folder / f"{target.name}.png"
    return AtScale(
        scale,
        total - missing,
        missing,
        hours(target, scale, jobs_missing),
        picture if picture.exists() else None,
        [_table(target, file, of_one) for file, of_one in rows.items()],
        "laptop/" if scale == "laptop" else "",
    )


def _reproduced(target: Target, rows: Sequence[dict[str, str]]) -> str:
    """Return how many published numbers lie within our spread; for learning rates, within a factor of 3."""
    if target.name == "learning_rates":
        ratios = [float(row["ratio"]) for row in rows if row.get("ratio")]
        near = sum(1 / 3 <= ratio <= 3 for ratio in ratios)
        at_end = sum(bool(row.get("at_end")) for row in rows)
        told = f"; {at_end} at an end of what was searched, so that a better one may lie beyond" if at_end else ""
        return f"{near} of {len(ratios)} that are searched are within a factor of 3{told}"
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
