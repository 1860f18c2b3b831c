"""How one way of doing something compares with another in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

import numpy as np

from frog_cli.csv_files import Row


def seconds(function: Callable[[], object]) -> float:
    """Return how long a function takes."""
    began = perf_counter()
    function()
    return perf_counter() - began


def compared(what: str, ours: Sequence[float], against: str, theirs: Sequence[float]) -> Row:
    """Return a row: how many times as long as ours the others' way takes, round by round; times in seconds."""
    low, middle, high = (
        float(value)
        for value in np.quantile([other / own for own, other in zip(ours, theirs, strict=True)], (0.25, 0.5, 0.75))
    )
    milliseconds = {
        "milliseconds": 1e3 * float(np.median(ours)),
        "milliseconds_against": 1e3 * float(np.median(theirs)),
    }
    ratios = {"times_as_long": middle, "times_as_long_low": low, "times_as_long_high": high}
    return {"what": what, "against": against, "rounds": len(ours), **milliseconds, **ratios}
