"""How several processes become ranks of one command, and how they end: all together."""

from __future__ import annotations

import os
import platform
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from frog_cli.errors import Interrupted, RankLostError, RequestError
from frog_cli.ranks.launchers import MEETING_PLACE, Place, meeting_place
from frog_cli.ranks.ranks import Ranks
from frog_cli.ranks.watch import Watch

_COME_WITHIN = timedelta(minutes=5)  # all processes of a launcher
_NO_LIMIT = timedelta(days=365)  # of an exchange; the watch ends those that hang


@contextmanager
def started(here: Place) -> Iterator[Ranks]:
    """Yield the ranks, connected; an exception on one of them ends them all, and is told once.

    Those that cannot meet, or are not alike, are refused.

    Raises:
        SystemExit: where another rank tells what has happened.
    """
    ranks, watch = _meet(here)
    try:
        _check_alike(ranks)
        yield ranks
        ranks.wait()
    except Interrupted:
        ranks.wait()  # until rank 0 has saved the state: a launcher may end all when the first one ends
        raise
    except RankLostError as lost:
        if not watch.speaks_about(str(lost)):
            raise SystemExit(1) from None
        raise
    except Exception as error:
        if not watch.fail(traceback.format_exception_only(error)[-1].strip().partition("\n")[0]):
            raise SystemExit(2 if isinstance(error, RequestError) else 1) from None
        raise
    finally:
        watch.end()
        dist.destroy_process_group()


def _meet(here: Place) -> tuple[Ranks, Watch]:
    """Connect this process with the others."""
    os.environ |= dict(zip(MEETING_PLACE, meeting_place(here), strict=True))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    try:
        store, *_ = next(iter(rendezvous("env://", here.rank, here.size, timeout=_COME_WITHIN)))
        dist.init_process_group(
            backend,
            store=PrefixStore("ranks", store),
            rank=here.rank,
            world_size=here.size,
            timeout=_NO_LIMIT,
        )
    except (RuntimeError, ValueError) as error:
        where = ":".join(os.environ[name] for name in MEETING_PLACE)
        raise RequestError(here.launcher, f"rank {here.rank} cannot meet the others at {where}: {error}") from None
    watch = Watch(PrefixStore("watch", store), here.rank, here.size)
    dist.barrier()
    watch.begin()
    return Ranks(here.rank, here.size, None, watch), watch


def _check_alike(ranks: Ranks) -> None:
    """Refuse ranks whose numbers would differ."""
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no NVIDIA card"
    mine = f"Python {platform.python_version()}, torch {torch.__version__}, {card}"
    of_first = ranks.first(lambda: mine)
    found = ranks.gathered(torch.tensor([int(mine == of_first)]), [1] * ranks.size).tolist()
    if mine != of_first:
        raise RequestError(f"rank {ranks.rank} has {mine}", f"rank 0 has {of_first}; all must have the same")
    if not all(found):
        ranks.wait()  # for the rank that tells
