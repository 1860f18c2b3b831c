"""The parts of a step, told to whoever measures where its time goes; nothing happens while nobody does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.fx.node import has_side_effect

Clock = Callable[[str], None]
"""Is told the name of each part as it begins, which ends the one before."""

PARTS = ("tangents", "derivatives", "aggregation", "local gradients", "optimiser")

_clock: Clock | None = None


def begins(part: str) -> None:
    """Say that a part of the step begins; in a recording, each replay will say so."""
    if _clock is None:
        return
    recording = get_proxy_mode()
    if recording is None:
        _tell(part)
    else:
        recording.tracer.create_proxy("call_function", _tell, (part,), {})


@has_side_effect
def _tell(part: str) -> None:
    if _clock is not None:
        _clock(part)


@contextmanager
def told_to(clock: Clock) -> Iterator[None]:
    """Tell a clock of all parts that begin in here."""
    global _clock
    _clock = clock
    try:
        yield
    finally:
        _clock = None
