"""The processes that share a search or a reproduction, by MPI; one process alone needs none."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from frog_cli.errors import Interrupted, RequestError
from frog_cli.ranks.telling import FirstTells

_LAUNCHERS = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")
_GRACE = 30.0  # seconds in which all ranks save their state after a signal
_PASSED_ON = 1.0  # seconds for a launcher to pass a message on: what it has not, an abort discards


class MpiRanks(FirstTells):
    """Which process this is, of how many; made by `parallel`."""

    def __init__(self, communicator: Any | None = None, host: Any | None = None):
        self._communicator = communicator
        self.rank = communicator.Get_rank() if communicator else 0
        self.size = communicator.Get_size() if communicator else 1
        self.local_rank = host.Get_rank() if host else None
        self.local_size = host.Get_size() if host else 1

    def _told(self, by_first: tuple[Any, bool]) -> tuple[Any, bool]:
        if self._communicator is None:
            return by_first
        self.wait()  # asleep, which broadcasting is not
        value, refused = self._communicator.bcast(by_first)
        return value, refused

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for all ranks without keeping a core busy; return whether all have come in time."""
        if self._communicator is None:
            return True
        barrier = self._communicator.Ibarrier()
        deadline = None if seconds is None else time.monotonic() + seconds
        while not barrier.Test():
            if deadline is not None and time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


@contextmanager
def parallel() -> Iterator[MpiRanks]:
    """Yield the ranks, with MPI started if a launcher started this process; an exception on one ends them all at once.

    Raises:
        RequestError: if Slurm started several processes that MPI does not know of.
    """
    if not any(name in os.environ for name in _LAUNCHERS):
        _refuse_lonely_tasks()
        yield MpiRanks()
        return
    try:
        import mpi4py

        mpi4py.rc.initialize = mpi4py.rc.finalize = False
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise RequestError("mpiexec", f"needs mpi4py and an MPI library: {error}") from None
    MPI.Init()
    world = MPI.COMM_WORLD
    if world.Get_size() == 1:
        _refuse_lonely_tasks()
    ranks = MpiRanks(world, world.Split_type(MPI.COMM_TYPE_SHARED))
    try:
        yield ranks
    except BaseException as error:
        if not ranks.ended_together:
            saved = isinstance(error, Interrupted)
            if not (saved and ranks.wait(_GRACE)):
                if not saved:
                    sys.stderr.write(traceback.format_exc())  # in one piece, or that of another rank comes between
                sys.stdout.flush()
                sys.stderr.flush()
                time.sleep(_PASSED_ON)
                world.Abort(error.status if isinstance(error, Interrupted) else 1)
        MPI.Finalize()
        raise
    MPI.Finalize()


def _refuse_lonely_tasks() -> None:
    """Refuse to run as one of several tasks of Slurm that would each take themselves for the only one."""
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    if tasks != "1":
        raise RequestError(
            f"srun with {tasks} tasks", "MPI knows of one process only; choose another srun --mpi=.., or use mpiexec"
        )
