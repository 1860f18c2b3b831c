"""Claims, and verdicts on them: what rows say of what is claimed, and on how many runs that stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from pandas import DataFrame, Series

from frog_cli.reproduction.frames import Frames

FIRST, SECOND = "arXiv 2410.17764", "arXiv 2408.10419"
FAMILIES = ("mean", "projection")
"""What the first paper compares with each other, by the number of tangents."""

CHANCE = 0.05  # what is less probable is more than chance


class Verdict(NamedTuple):
    """Whether a claim holds, and the numbers that say so."""

    holds: bool | None  # None: the rows do not tell, or there are none yet, and no basis
    numbers: str
    basis: str = ""  # how many runs of how many seeds it stands on

    def __str__(self) -> str:
        unknown = "cannot be told" if self.basis else "not run yet"
        words = {True: "holds", False: "does not hold as stated", None: unknown}
        return words[self.holds] + (f": {self.numbers}" if self.numbers else "")


class Claim(NamedTuple):
    """A claim of a paper, and how the rows of targets judge it."""

    text: str
    source: str
    judge: Callable[[dict[str, Frames]], Verdict]
    targets: tuple[str, ...]  # whose rows judge it
    judge_laptop: Callable[[dict[str, Frames]], Verdict] | None = None  # how a laptop's rows do, if otherwise


UNKNOWN = Verdict(None, "")


def count(*groups: DataFrame) -> str:
    """Return how many runs there are in some groups, of how many seeds."""
    seeds = {int(seed) for group in groups for seed in group["seed"]}
    return f"{sum(map(len, groups))} runs, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}"


def describe_seeds(rows: DataFrame) -> str:
    """Return which seeds a verdict stands on if they are few, else how many."""
    if "seeds" in rows:  # of a study of approximation quality
        return f"{rows['seeds'].min():g} seeds"
    seeds = sorted({int(seed) for seed in rows["seed"]})
    if len(seeds) == 1:
        return f"seed {seeds[0]} only"
    return f"seeds {', '.join(map(str, seeds))}" if len(seeds) < 4 else f"{len(seeds)} seeds"


def series(values: Series, form: str) -> str:
    """Return values one behind the other, each with its key, as a form such as `{} {:.4f}` has them."""
    return ", ".join(form.format(key, value) for key, value in values.items())


def of_shared_seeds(runs: DataFrame, by: str) -> DataFrame:
    """Return the runs of the seeds that all values of a column have, so that like is compared with like."""
    values = runs.groupby("seed")[by].nunique()
    return runs[runs["seed"].isin(values[values == runs[by].nunique()].index)]


def ranges_overlap(groups: Sequence[Series]) -> bool:
    """Return whether the ranges of some groups of values, from the lowest to the highest, have a value in common."""
    return bool(max(group.min() for group in groups) <= min(group.max() for group in groups))


def is_lower(one: Series, other: Series) -> bool | None:
    """Return whether one group of values lies below another, None if their ranges overlap."""
    return None if ranges_overlap((one, other)) else bool(one.max() < other.min())


def all_hold(found: Iterable[bool | None]) -> bool | None:
    """Return whether all of some statements hold; None if none fails and some cannot be told."""
    statements = {*found}
    return False if False in statements else (True if statements == {True} else None)


def chance_of_as_many(successes: int, trials: int) -> float:
    """Return how probable so many successes or more are if each is as probable as a failure (the sign test)."""
    return sum(math.comb(trials, found) for found in range(successes, trials + 1)) / 2**trials


def sign_test(successes: int, trials: int) -> bool | None:
    """Return whether so many successes are more than chance, False if so few are less, None if chance explains them."""
    if chance_of_as_many(successes, trials) < CHANCE:
        return True
    return False if chance_of_as_many(trials - successes, trials) < CHANCE else None


def are_apart_by_chance(apart: int, seeds: Sequence[int]) -> bool:
    """Return whether chance alone may explain that the ranges of so many pairs do not overlap."""
    return chance_of_as_many_apart(apart, seeds) > CHANCE


def chance_of_as_many_apart(apart: int, seeds: Sequence[int]) -> float:
    """Return how probable it is that the ranges of so many pairs or more do not overlap by chance alone.

    Of two samples of s values of one continuous distribution all of one lie below all of the other, or above, with
    probability 2 / binomial(2 s, s).

    Args:
        apart: pairs whose ranges do not overlap.
        seeds: how many values each of the two of a pair has, for each independent pair.
    """
    of_counts = [1.0]
    for s in seeds:
        one = 2 / math.comb(2 * s, s)
        of_counts = [
            stays * (1 - one) + joins * one for stays, joins in zip([*of_counts, 0.0], [0.0, *of_counts], strict=True)
        ]
    return sum(of_counts[apart:])
