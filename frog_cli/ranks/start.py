"""How several processes become ranks of one command, and how they end: all together, for a reason that is told once."""

from __future__ import annotations

import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from frog_cli.errors import Interrupted, RankLostError, RequestError, first_line, in_one_line
from frog_cli.ranks.launchers import MEETING_PLACE, Place, meeting_place, share_cores
from frog_cli.ranks.ranks import NO_LIMIT, Ranks
from frog_cli.ranks.watch import Watch

_HEARD = 2.0  # seconds for all ranks to hear that one fails


@contextmanager
def started(here: Place) -> Iterator[Ranks]:
    """Yield the ranks, connected; whatever ends one of them ends them all.

    Those that cannot meet, or are not alike, are refused. They use as many threads each, so that they round alike.

    Raises:
        SystemExit: with what the command shall end with, when its reason has been told.
    """
    ranks, watch = _meet(here)
    try:
        _check_alike(ranks)
        share_cores(here.local_size)
        torch.set_num_threads(min(ranks.objects(torch.get_num_threads())))
        yield ranks
        ranks.wait()
    except Exception as error:
        _end(ranks, watch, error)
    except SystemExit:
        if ranks.ended_together:
            _end_by_itself()
            ranks.wait()  # until rank 0 has told why: a launcher may end all when the first one ends
        raise
    watch.end()
    dist.destroy_process_group()


def _end(ranks: Ranks, watch: Watch, error: Exception) -> NoReturn:
    """Tell why all ranks end, on one of them, and end this one.

    Raises:
        SystemExit: always.
    """
    status = error.status if isinstance(error, Interrupted) else 2 if isinstance(error, RequestError) else 1
    if isinstance(error, Interrupted) or (isinstance(error, RequestError) and ranks.ended_together):
        _end_by_itself()
        if ranks.rank == 0:
            _write(in_one_line(error))
        try:
            ranks.wait()  # also until rank 0 has saved the state
            watch.end()
            dist.destroy_process_group()
        except RankLostError as lost:
            watch.tell(str(lost))
    elif isinstance(error, RankLostError):
        watch.tell(str(error))
    elif watch.fail(first_line(error)):
        _write(in_one_line(error) if isinstance(error, RequestError) else traceback.format_exc())
        time.sleep(_HEARD)
    raise SystemExit(status)


def _end_by_itself() -> None:
    """Let no launcher that sees the first rank end stop this one on its way, whose status would be another."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _write(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(text.rstrip("\n") + "\n")  # in one piece, or that of another rank comes between
    sys.stderr.flush()


def _meet(here: Place) -> tuple[Ranks, Watch]:
    """Connect this process with the others."""
    os.environ |= dict(zip(MEETING_PLACE, meeting_place(here), strict=True))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    try:
        store, *_ = next(iter(rendezvous("env://", here.rank, here.size)))
        of_watch = PrefixStore("watch", store.clone())
        of_ranks = PrefixStore("ranks", store)
        dist.init_process_group(backend, timeout=NO_LIMIT, world_size=here.size, rank=here.rank, store=of_ranks)
    except (RuntimeError, ValueError) as error:
        where = ":".join(os.environ[name] for name in MEETING_PLACE)
        raise RequestError(here.launcher, f"rank {here.rank} cannot meet the others at {where}: {error}") from None
    watch = Watch(of_watch, here.rank, here.size)
    dist.barrier()
    watch.begin()
    return Ranks(here.rank, here.size, None, watch), watch


def _check_alike(ranks: Ranks) -> None:
    """Refuse ranks whose numbers would differ."""
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no NVIDIA card"
    have = ranks.objects(f"Python {platform.python_version()}, torch {torch.__version__}, {card}")

    def check() -> None:
        for rank, has in enumerate(have):
            if has != have[0]:
                raise RequestError(f"rank {rank} has {has}", f"rank 0 has {have[0]}; all must have the same")

    ranks.first(check)
