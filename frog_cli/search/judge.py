"""Which runs are given up before their end: those that are clearly worse than the best one so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from time import monotonic

from frog_cli.files.csv import Row
from frog_cli.runs.folder import RunFolder
from frog_cli.search.curves import loss_in, lowest_so_far, mean_curve
from frog_cli.search.record import Evaluation, Record, best_of
from frog_cli.settings.verb_options import Search

_LOOK_AGAIN = 1.0  # seconds after which the record may hold a better evaluation, by another process


class Judge:
    """Follows the runs of one evaluation row by row, so that their files are read only once."""

    def __init__(self, search: Search, record: Record):
        self._search, self._record = search, record
        self._best: Evaluation | None = None
        self._looked = -math.inf
        self._lowest: dict[Path, float] = {}  # of each run, so far
        self._curves: dict[Path, list[float]] = {}  # the mean of those that go side by side, by the first one's folder

    def __call__(self, folders: Sequence[RunFolder], rows: Sequence[Row | None]) -> bool:
        """Return whether runs that go side by side are given up after these rows of metrics."""
        if self._search.patience is None:
            return False
        if monotonic() - self._looked > _LOOK_AGAIN:
            self._best, self._looked = best_of(self._record.evaluations()), monotonic()
        curve = self._follow(folders, rows)
        return self._best is not None and clearly_worse(
            curve, self._best.curve, self._search.margin, self._search.patience
        )

    def _follow(self, folders: Sequence[RunFolder], rows: Sequence[Row | None]) -> list[float]:
        """Add rows of metrics to the curve of some runs and return it."""
        first = folders[0].path
        if first not in self._curves:  # a run that goes on has rows already
            self._lowest |= {folder.path: (mean_curve([folder]) or [math.inf])[-1] for folder in folders}
            self._curves[first] = mean_curve(folders)
        else:
            for folder, row in zip(folders, rows, strict=True):
                loss = math.inf if row is None else loss_in(row)
                self._lowest[folder.path] = lowest_so_far([self._lowest[folder.path], loss])[-1]
            self._curves[first].append(fmean(self._lowest[folder.path] for folder in folders))
        return self._curves[first]


def clearly_worse(curve: Sequence[float], best: Sequence[float], margin: float, patience: int) -> bool:
    """Return whether a run is not worth going on with beside the best one.

    It is clearly worse in a row if it lacks more than the share `margin` of what the best run had gained since its
    start, and not worth going on with if it is so in each of its last `patience` rows. Only differences of losses
    count, so their sign and their size do not.

    Args:
        curve: its lowest loss so far, in each row of metrics that there is yet.
        best: the same of the best run; after its end it stays where it was.
        margin: a share above 0.
        patience: a number of rows, at least 1.
    """
    rows = range(max(1, len(curve) - patience), len(curve))
    reached = [best[min(row, len(best) - 1)] for row in rows]
    lacking = [curve[row] - there > margin * (best[0] - there) for row, there in zip(rows, reached, strict=True)]
    return len(lacking) == patience and all(lacking)
