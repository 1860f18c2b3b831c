"""What a judge finds: checks of one idea, none of which an exception of the idea gets past."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from frog_cli.modules.attributes import random_numbers_kept
from frog_cli.modules.random_numbers import seed_python_and_numpy

Seen = tuple[bool | None, str]
"""Whether a check is passed, None if it does not apply or cannot be told, and what was seen, in one sentence."""


class Finding(NamedTuple):
    """What one check of an idea found.

    Attributes:
        check: its name.
        ok: whether the idea passes; None if the check does not apply, cannot be told, or only informs.
        seen: what was seen; for a failed check also what was expected.
    """

    check: str
    ok: bool | None
    seen: str


class Check(NamedTuple):
    """One thing to look at.

    Attributes:
        name: of the check.
        look: looks at it.
        needs: names of earlier checks, without whose success this one would only fail for the same reason.
    """

    name: str
    look: Callable[[], Seen]
    needs: tuple[str, ...] = ()


def judged(checks: Sequence[Check]) -> list[Finding]:
    """Return what the checks find, in their order; global random numbers are in the end as they were before."""
    findings: list[Finding] = []
    with random_sources_kept(), _one_thread():
        for name, look, needs in checks:
            failed = [finding.check for finding in findings if finding.check in needs and finding.ok is not True]
            if failed:
                findings.append(Finding(name, None, f"not looked at, because of: {', '.join(failed)}"))
                continue
            seed_all_sources(0)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # such as that a model couples samples, which is found here
                    findings.append(Finding(name, *look()))
            except (Exception, SystemExit) as error:
                findings.append(Finding(name, False, told(error)))
    return findings


def told(error: BaseException) -> str:
    """Return the type and the first line of an exception."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def seed_all_sources(seed: int) -> None:
    """Seed the global sources of random numbers of torch, Python and numpy."""
    torch.default_generator.manual_seed(seed)  # torch.manual_seed notes the stack for each kind of device not yet used
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    seed_python_and_numpy(seed)


def states_of_sources() -> dict[str, Any]:
    """Return the states of the global sources of random numbers, in a form that can be compared."""
    kind, keys, *rest = np.random.get_state()
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "Python": random.getstate(),
        "numpy": (kind, np.asarray(keys).tobytes(), *rest),
    }


@contextmanager
def random_sources_kept() -> Iterator[None]:
    """Give the global sources of random numbers, at the end, the states that they had."""
    kept = random_numbers_kept()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            for one in kept:
                one.restore()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch compute on one core, which is faster for what is small, above all beside other processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def same(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors have equal entries, NaN counted as equal to NaN."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return bool(((one == other) | ((one != one) & (other != other))).all())


def difference(one: Tensor, other: Tensor) -> float:
    """Return the largest difference relative to the largest entry of the second; infinite where only one is finite."""
    if one.shape != other.shape or not torch.equal(one.isfinite(), other.isfinite()):
        return float("inf")
    finite = other.isfinite()
    if not finite.any():
        return 0.0
    largest = other[finite].abs().max().clamp(min=torch.finfo(other.dtype).tiny)
    return ((one[finite] - other[finite]).abs().max() / largest).item()


def as_tensor(result: Any) -> Tensor:
    """Return a result that is a tensor.

    Raises:
        TypeError: if it is something else.
    """
    if not isinstance(result, Tensor):
        raise TypeError(f"expected a tensor, saw a {type(result).__name__}")
    return result


def leaves_arguments(function: Callable[..., Tensor], **arguments: Tensor) -> Seen:
    """Return whether a function leaves its arguments, called by their names here, as they are."""
    given = {name: one.clone() for name, one in arguments.items()}
    function(*given.values())
    changed = [name for name, one in arguments.items() if not same(one, given[name])]
    if changed:
        return False, f"expected arguments that stay as they are, saw it write to the {' and '.join(changed)}"
    return True, " and ".join(arguments)


def repeats_coefficients(function: Callable[..., Tensor], *arguments: Tensor) -> Seen:
    """Return whether a function returns the same coefficients when it is called again."""
    first = function(*arguments)
    torch.rand(1)  # so that numbers drawn from torch's global generator would be others
    if not same(first, function(*arguments)):
        return False, "expected the same coefficients from the same arguments, saw others"
    return True, "to the last bit"


def sizes(shape: Sequence[int]) -> str:
    """Return a shape as text."""
    return str(list(shape))
