"""The curve of a run, or the mean of several seeds: the lowest loss so far after each row of metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from frog_cli.files.csv import read_csv
from frog_cli.runs.folder import RunFolder


def loss_in(row: Mapping[str, Any]) -> float:
    """Return what a search minimises, from a row of metrics."""
    return float(row["best_value" if "best_value" in row else "validation_loss"])


def lowest_so_far(losses: Sequence[float]) -> list[float]:
    """Return the lowest finite loss up to each row, infinity before the first."""
    lowest, curve = math.inf, []
    for loss in losses:
        lowest = min(lowest, loss) if math.isfinite(loss) else lowest
        curve.append(lowest)
    return curve


def mean_curve(folders: Sequence[RunFolder]) -> list[float]:
    """Return the mean curve of the runs that have rows of metrics; one that has ended stays at its last value."""
    curves = []
    for folder in folders:
        rows = read_csv(folder.path / "metrics.csv")
        if rows:
            curves.append(lowest_so_far([loss_in(row) for row in rows]))
    longest = max(map(len, curves), default=0)
    means = [fmean(curve[min(row, len(curve) - 1)] for curve in curves) for row in range(longest)]
    return [value for value in means if math.isfinite(value)]
