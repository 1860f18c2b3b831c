"""What frog itself claims beyond the papers, and what the rows of its targets say of it."""

from __future__ import annotations

from functools import partial

import numpy as np

from frog_cli.reproduction.claims import UNKNOWN, Claim, Verdict
from frog_cli.reproduction.frames import Frames
from frog_cli.reproduction.lengths_beside_rates import compare
from frog_cli.settings import methods

_REACHED = 1e-12  # so little above a minimum counts as there


def lengths_are_near_the_best_rate(frames: dict[str, Frames], networks: bool, at_most: float) -> Verdict:
    """Compare the results of lengths from the curvature with those of the best rate, for each problem and method."""
    compared = compare(frames["step_lengths"])
    if compared.empty:
        return UNKNOWN
    of_functions = compared["problem"].str.contains(", n = ")
    found = compared[of_functions != networks].dropna(subset=["result", "best_result"])
    if found.empty:
        return UNKNOWN
    near = found["result"] <= np.maximum(at_most * found["best_result"], 0 if networks else _REACHED)
    others = [
        f"{row['problem']}, {methods.of_row(row).name_in_papers()}: {row['result']:.3g} for {row['best_result']:.3g}"
        for _, row in found[~near].iterrows()
    ]
    text = f"{near.sum()} of {len(near)} cases" + (f"; not {'; '.join(others)}" if others else "")
    return Verdict(bool(near.all()), text)


BEYOND = (
    Claim(
        "With one setting, lengths from the curvature end at no more than 1.25 times the best rate's test error.",
        "frog",
        partial(lengths_are_near_the_best_rate, networks=True, at_most=1.25),
    ),
    Claim(
        "With one setting, they end no more than ten times as far above the minimum of a function.",
        "frog",
        partial(lengths_are_near_the_best_rate, networks=False, at_most=10),
    ),
)
