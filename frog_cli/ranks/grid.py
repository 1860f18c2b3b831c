"""Ranks as a grid: along one side they share the samples of a batch, along the other the tangents."""

from __future__ import annotations

from typing import NamedTuple

from frog_cli.ranks.ranks import ALONE, Ranks


class Grid(NamedTuple):
    """The ranks with which this one shares a batch's samples, and those with which it shares the tangents.

    Attributes:
        batch: each has samples of its own, and the same tangents as this one.
        tangents: each has tangents of its own, and the same samples as this one.
    """

    batch: Ranks = ALONE
    tangents: Ranks = ALONE

    @property
    def exchanged(self) -> int:
        """Bytes of the results of all exchanges so far."""
        return sum({id(side): side.exchanged for side in self}.values())


ONE_RANK = Grid()


def grid(everyone: Ranks, shape: tuple[int, int]) -> Grid:
    """Return the grid of all ranks, those that share a batch's samples times those that share the tangents."""
    of_batch, of_tangents = shape
    if of_batch == 1:
        return Grid(tangents=everyone)
    if of_tangents == 1:
        return Grid(batch=everyone)
    row, column = divmod(everyone.rank, of_tangents)
    columns = [everyone.part(range(first, everyone.size, of_tangents)) for first in range(of_tangents)]
    rows = [everyone.part(range(of_tangents * number, of_tangents * (number + 1))) for number in range(of_batch)]
    return Grid(columns[column], rows[row])
