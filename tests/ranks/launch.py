"""Processes that are ranks of one command, started as torchrun starts them, with a limit on their time."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.processes import Process

ROOT = Path(__file__).parents[2]
LIMIT = 120.0  # seconds; what takes longer hangs


class Ended(NamedTuple):
    status: int
    stdout: str
    stderr: str


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(count: int, words: Sequence[str], folder: Path, **variables: str) -> list[Process]:
    """Start ranks of one thread each; variables that are given to them stand beside those of this process."""
    common = {
        **os.environ,
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": "1",
        **variables,
    }
    folder.mkdir(parents=True, exist_ok=True)
    started = []
    for rank in range(count):
        mine = common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        started.append(Process(words, mine, ROOT, folder / f"{rank}.out", folder / f"{rank}.err"))
    return started


def ended(ranks: Sequence[Process], folder: Path, limit: float = LIMIT) -> list[Ended]:
    """Wait for all ranks to end by themselves; a rank that does not is killed, and the test fails."""
    deadline = time.monotonic() + limit
    try:
        for process in ranks:
            process.wait(max(0.1, deadline - time.monotonic()))
    finally:
        for process in ranks:
            process.kill()
            process.wait()
    texts = [[(folder / f"{rank}.{stream}").read_text() for stream in ("out", "err")] for rank in range(len(ranks))]
    return [Ended(process.wait(), *text) for process, text in zip(ranks, texts, strict=True)]


def run(count: int, words: Sequence[str], folder: Path, limit: float = LIMIT, **variables: str) -> list[Ended]:
    """Run ranks to their end."""
    return ended(start(count, words, folder, **variables), folder, limit)


def wait_until(condition: Callable[[], bool], limit: float = LIMIT) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
