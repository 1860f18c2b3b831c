"""What rank 0 finds out alone and tells the others, however they are connected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from frog_cli.errors import RequestError

Value = TypeVar("Value")


class FirstTells:
    """Ranks of which the first one finds things out for all.

    Attributes:
        rank: of this process, from 0.
        ended_together: whether all ranks end for a reason that rank 0 tells.
    """

    rank: int
    ended_together: bool = False

    def first(self, function: Callable[[], Value]) -> Value:
        """Return what a function returns on rank 0, on all ranks.

        If it raises RequestError, rank 0 raises that, and the others end silently with the same exit status.
        """
        error, value = None, None
        if self.rank == 0:
            try:
                value = function()
            except RequestError as refused:
                error = refused
        value, self.ended_together = self._told((value, error is not None))
        if error:
            raise error
        if self.ended_together:  # for a reason that rank 0 tells
            raise SystemExit(2)
        return value

    def _told(self, by_first: tuple[Any, bool]) -> tuple[Any, bool]:
        """Return what rank 0 tells; what other ranks give does not count."""
        raise NotImplementedError
