"""How many ranks share the samples of a batch, and how many the tangents."""

from __future__ import annotations

from collections.abc import Sequence

from frog_cli.errors import RequestError


def shape(parallel: str | Sequence[int] | None, ranks: int) -> tuple[int, int]:
    """Return how many ranks share a batch's samples, and how many the tangents.

    Args:
        parallel: `batch`, `tangents`, or these two numbers; None for one rank.
        ranks: how many there are.

    Raises:
        RequestError: if they are more or fewer than that.
    """
    if parallel is None and ranks > 1:
        raise RequestError(
            f"{ranks} processes", "share the training of a network with parallel=tangents or parallel=batch"
        )
    if not isinstance(parallel, Sequence) or isinstance(parallel, str):
        return (ranks, 1) if parallel == "batch" else (1, ranks)
    of_batch, of_tangents = parallel
    if of_batch * of_tangents != ranks:
        raise RequestError(f"parallel=[{of_batch},{of_tangents}]", f"are {of_batch * of_tangents} ranks, not {ranks}")
    return of_batch, of_tangents
