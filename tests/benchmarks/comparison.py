"""How one way of doing something compares with another in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

import numpy as np

from frog_cli.files.csv import Row
from frog_cli.studies.step_costs import quartiles


def seconds(function: Callable[[], object]) -> float:
    """Return how long a function takes."""
    began = perf_counter()
    function()
    return perf_counter() - began


def compared(what: str, ours: Sequence[float], against: str, theirs: Sequence[float]) -> Row:
    """Return a row: how many times as long as ours the others' way takes, round by round; times in seconds."""
    own, other = (1e3 * float(np.median(times)) for times in (ours, theirs))
    milliseconds = {"milliseconds": own, "milliseconds_against": other}
    ratios = quartiles("times_as_long", [other / own for own, other in zip(ours, theirs, strict=True)])
    return {"what": what, "against": against, "rounds": len(ours), **milliseconds, **ratios}
