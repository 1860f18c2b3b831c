"""Worker processes that carry out jobs side by side."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

from frog_cli.errors import Interrupted
from frog_cli.reproduction.jobs import Order, Outcome, carry_out
from frog_cli.runs.interruption import Interruption


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
    """
    spawn = multiprocessing.get_context("spawn")
    threads = max(1, len(os.sched_getaffinity(0)) // workers)
    left = list(reversed(orders))
    with (
        Interruption() as interruption,
        ProcessPoolExecutor(min(workers, len(orders)), spawn, initializer=_begin, initargs=(threads,)) as pool,
    ):
        working: dict[Future[Outcome], Order] = {}
        while working or (left and not interruption()):
            while left and len(working) < workers and not interruption():  # what waits in a queue cannot be stopped
                order = left.pop()
                working[pool.submit(carry_out, order, parent, extra)] = order
            ended, _ = wait(working, timeout=0.5, return_when=FIRST_COMPLETED)
            if interruption():
                for child in multiprocessing.active_children():
                    with suppress(ProcessLookupError):  # again and again: between two runs a worker does not listen
                        os.kill(child.pid or 0, signal.SIGTERM)
            for future in ended:
                yield working.pop(future), future.result()
        if interruption.number is not None:
            raise Interrupted(interruption.number)


def _begin(threads: int) -> None:
    """Prepare a worker: it shares the cores, ends with its parent, and between two runs ignores signals."""
    import torch

    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


def _end_with_parent() -> None:
    """End a worker whose parent was killed, which would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
