"""Worker processes that carry out jobs side by side."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from frog_cli.errors import Interrupted, WorkerLostError
from frog_cli.reproduction.jobs import Order, Outcome, carry_out
from frog_cli.runs.interruption import Interruption

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

_NEEDED_BY_RUNS = (
    "frog_cli.reproduction.jobs",
    "frog_cli.objectives.classification",
    "frog_cli.objectives.minimisation",
    "frog_cli.runs.curve",
    "matplotlib.figure",
    "torch.fx.experimental.proxy_tensor",
)
"""Modules that are imported once for all workers; none of them starts threads, MPI or CUDA."""


def default_number() -> int:
    """Return one for each core, or one if there is a GPU."""
    import torch

    return 1 if torch.cuda.is_available() else len(os.sched_getaffinity(0))


def outcomes(
    orders: Sequence[Order], workers: int, parent: Path, extra: Sequence[str]
) -> Iterator[tuple[Order, Outcome]]:
    """Yield jobs as they end; after a signal, only those in progress.

    Raises:
        Interrupted: after a signal, when all that was in progress has been yielded.
        WorkerLostError: if a worker was killed; the others have saved their state.
    """
    threads = max(1, len(os.sched_getaffinity(0)) // workers)
    left = list(reversed(orders))
    ends, lasts = multiprocessing.Pipe(duplex=False)
    forks = _forks()
    given = threads, dict(os.environ), ends, forks.Value("i", -1)
    with (
        Interruption() as interruption,
        ends,
        lasts,
        ProcessPoolExecutor(min(workers, len(orders)), forks, initializer=_begin, initargs=given) as pool,
    ):
        working: dict[Future[Outcome], Order] = {}
        while working or (left and not interruption()):
            while left and len(working) < workers and not interruption():  # what waits in a queue cannot be stopped
                order = left.pop()
                working[pool.submit(_carry_out, order, parent, extra)] = order
            ended, _ = wait(working, timeout=0.5, return_when=FIRST_COMPLETED)
            if interruption():
                for child in multiprocessing.active_children():
                    with suppress(ProcessLookupError):  # again and again: between two runs a worker does not listen
                        os.kill(child.pid or 0, signal.SIGTERM)
            for future in ended:
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    lasts.close()
                    raise WorkerLostError from None
                yield working.pop(future), outcome
        if interruption.number is not None:
            raise Interrupted(interruption.number)


def _forks() -> BaseContext:
    """Return where workers come from: a server that has imported all that they need, once for all of them.

    It starts with signals blocked, so that one to the whole group does not end it before its workers have saved. Where
    the folder for temporary files cannot have its socket, each worker imports what it needs.
    """
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(list(_NEEDED_BY_RUNS))
    resource_tracker.ensure_running()  # which unblocks signals when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        forkserver.ensure_running()
    except OSError:
        return multiprocessing.get_context("spawn")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return forks


_busy = threading.Lock()
"""Held by a worker while it carries out a job."""

_number = 0
"""Which of the workers this one is, as long as it is one: they take GPUs in turn."""


def _carry_out(order: Order, parent: Path, extra: Sequence[str]) -> Outcome:
    with _busy:
        return carry_out(order, parent, extra, _number)


def _begin(threads: int, environment: Mapping[str, str], ends: Connection, begun: Synchronized[int]) -> None:
    """Prepare a worker: it shares the cores, ends when the command does, and between two runs ignores signals.

    Args:
        threads: of the worker.
        environment: that of the parent, for that of the server is as old as the server.
        ends: readable when its other end, which the parent has, is closed.
        begun: the number of the last worker that has begun.
    """
    import torch

    global _number  # of this process
    with begun.get_lock():
        begun.value += 1
        _number = begun.value
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with, args=[ends], daemon=True).start()
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _end_with(ends: Connection) -> None:
    """End a worker whose parent has ended or has lost another one, when the job in progress has saved its state.

    It may wait for work for ever otherwise: a worker that was killed may have held the lock of what they wait for.
    """
    ends.poll(None)
    while not _busy.acquire(timeout=0.5):
        os.kill(os.getpid(), signal.SIGTERM)
    os._exit(1)
