"""A verb of the command, carried out by this process alone or by all ranks that a launcher started."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from frog_cli.ranks import launchers

if TYPE_CHECKING:
    from frog_cli.ranks.ranks import Ranks

Verb = Callable[[Sequence[str], "Ranks | None", int | None], int]
"""Takes the words behind a verb, the ranks, and which of this host's this one is; returns an exit status."""


def on_all_ranks(verb: Verb, arguments: Sequence[str]) -> int:
    """Carry out a verb and return its exit status; one process alone has no ranks, and imports no torch for them."""
    here = launchers.place()
    if here is None:
        return verb(arguments, None, None)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # of ranks that are gone frog tells itself, in one line
    from frog_cli.ranks.start import started  # imports torch

    with started(here) as ranks:
        return verb(arguments, ranks, here.local_rank)
