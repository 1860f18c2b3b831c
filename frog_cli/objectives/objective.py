"""What the training loop asks of an objective."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from torch import Tensor

Row = dict[str, Any]
Outcome = Literal["running", "completed", "stopped_early", "diverged", "step_failed"]


def never() -> bool:
    """Let an epoch run to its end."""
    return False


class Weights(NamedTuple):
    """Weights of a network that has been trained, and texts that say what they are of."""

    tensors: dict[str, Tensor]
    about: dict[str, str]


class Objective(Protocol):
    """Something that is minimised, for one seed or several side by side, one replica each."""

    @property
    def epochs(self) -> int:
        """The number of epochs if nothing ends it before."""

    @property
    def rows_recorded(self) -> int:
        """The number of rows of metrics so far, and so the next epoch; epoch 0 has no steps."""

    @property
    def steps(self) -> int:
        """The number of steps taken so far."""

    def epoch(self, stop: Callable[[], bool] = never) -> bool:
        """Take the steps of the next epoch, or what is left of them; return whether none was left out.

        Args:
            stop: is asked before each step whether to leave the rest for later.
        """

    def measure(self) -> Sequence[Row | None]:
        """Return a row of metrics per replica, None for one that had ended before."""

    def outcomes(self) -> list[Outcome]:
        """Return for each replica whether and how it has ended."""

    def summaries(self) -> list[Row]:
        """Return the results of each replica."""

    def weights(self) -> list[dict[str, Weights]]:
        """Return for each replica the weights that are worth keeping, by `best` and `last`; functions have none."""

    def describe(self, rows: Sequence[Row | None]) -> str:
        """Return one line about the rows just measured, for a person."""

    def states(self) -> list[Row]:
        """Return, for each replica, all that its further steps depend on: numbers, text, tensors, lists and dicts."""

    def restore(self, states: Sequence[Row]) -> None:
        """Go on from states of the same replicas, all after the same number of steps."""
