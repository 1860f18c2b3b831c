"""What the training loop asks of an objective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

Row = dict[str, Any]
Outcome = Literal["running", "completed", "stopped_early", "diverged", "step_failed"]


class Objective(Protocol):
    """Something that is minimised, for one seed or several side by side, one lane each."""

    @property
    def epochs(self) -> int:
        """The number of epochs if nothing ends it before."""

    def epoch(self) -> None:
        """Take the steps of the next epoch."""

    def measure(self) -> Sequence[Row | None]:
        """Return a row of metrics per lane, None for a lane that had ended before."""

    def outcomes(self) -> list[Outcome]:
        """Return for each lane whether and how it has ended."""

    def summaries(self) -> list[Row]:
        """Return the results of each lane."""

    def describe(self, rows: Sequence[Row | None]) -> str:
        """Return one line about the rows just measured, for a person."""
