"""The phases of a step, announced to whoever measures where its time goes; nothing happens while nobody does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import ParamSpec, TypeVar

from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.fx.node import has_side_effect

from frog_cli.gradients.space import Space

Clock = Callable[[str], None]
"""Is told the name of each phase as it begins, which ends the one before."""

PHASES = ("tangents", "derivatives", "aggregation", "local gradients", "optimiser")

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_clock: Clock | None = None


def enter_phase(phase: str) -> None:
    """Announce that a phase of the step begins; in a recording, each replay will announce it."""
    if _clock is None:
        return
    recording = get_proxy_mode()
    if recording is None:
        _announce(phase)
    else:
        recording.tracer.create_proxy("call_function", _announce, (phase,), {})


@has_side_effect
def _announce(phase: str) -> None:
    if _clock is not None:
        _clock(phase)


def are_timed() -> bool:
    """Return whether a clock is told of phases now."""
    return _clock is not None


@contextmanager
def timed_by(clock: Clock) -> Iterator[None]:
    """Announce all phases that begin in here to a clock."""
    global _clock
    _clock = clock
    try:
        yield
    finally:
        _clock = None


def in_phase(phase: str, function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Return a function that announces its phase whenever it is called."""

    @wraps(function)
    def announced(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        enter_phase(phase)
        return function(*args, **kwargs)

    return announced


def in_phases(space: Space, of_step: str) -> Space:
    """Return a space that announces its measurements, and its steps as the phase `of_step`."""
    return replace(space, measure=in_phase("derivatives", space.measure), step=in_phase(of_step, space.step))
