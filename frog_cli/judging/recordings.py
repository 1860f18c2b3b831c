"""Whether a function does the same when it is recorded, also for values that it was not recorded with."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from frog_cli.engine.recording import SlowIdeaWarning, record
from frog_cli.judging.findings import Seen, difference, told

_ROUNDING = 1e-8
_OF_FAST_PRODUCTS = 1e-3  # which recordings take in single precision


def recorded_otherwise(
    function: Callable[..., tuple[Tensor, ...]],
    examples: tuple[Tensor, ...],
    others: Iterable[tuple[str, tuple[Tensor, ...]]],
) -> Seen:
    """Return whether a recording with examples does for other arguments, which come with what they are."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", SlowIdeaWarning)
            replay = record(function, *(one.clone() for one in examples))
    except SlowIdeaWarning as slow:
        why = str(slow).removeprefix("operations ").partition(", so that")[0]
        seen = "has a branch on values" if why == "branch on values" else f"its operations {why}"
        return None, f"no, {seen}: runs as it is, slower"
    except Exception as error:
        return None, f"no, runs as it is, slower: {told(error)}"
    for name, arguments in others:
        results = []
        for either in (function, replay):
            torch.manual_seed(0)
            results.append([one.clone() for one in either(*(one.clone() for one in arguments))])
        far = max(map(difference, results[1], results[0]))
        rounding = _ROUNDING if results[0][0].dtype == torch.float64 else _OF_FAST_PRODUCTS
        if far > rounding:
            return False, f"expected a recording to do for {name}, saw {far:.1g} of difference: a branch is frozen"
    return True, "the same numbers on other arguments than those that it is recorded with"
