"""Processes that need not import torch again: each is forked from a server that has imported what frog needs.

They are processes like any other: signals end them, they hold locks, and what they are told and tell is their own.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing import process
from pathlib import Path

FROG = ["-m", "frog_cli"]
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        "torch._dynamo",
        "frog_cli.cli",
        "frog_cli.verbs.train",
        "frog_cli.settings.requests",
        "frog_cli.runs.curve",
        "frog_cli.runs.training",
        "frog_cli.objectives.classification",
        "frog_cli.objectives.minimisation",
        "frog_cli.ranks.start",
    ]
)


class Process:
    """A process that carries out what the words say as Python would: a module after -m, or a program after -c.

    Args:
        words: those after the name of the interpreter.
        environment: all its variables.
        folder: where it is started.
        out: the file for what it prints, or none.
        err: the file for its errors, or none.
    """

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        folder: Path | None = None,
        out: Path | None = None,
        err: Path | None = None,
    ):
        assert words[0] in ("-c", "-m")
        _start_server()
        for path in filter(None, (out, err)):
            path.touch()
        streams = {1: str(out or os.devnull), 2: str(err or os.devnull)}
        given = [str(word) for word in words], dict(environment), str(folder or Path.cwd()), streams
        self._process = _SERVER.Process(target=_carry_out, args=given, daemon=True)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """Return its status, that of a signal below 0, or None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return its status, or None while it runs."""
        return self.returncode

    def wait(self, seconds: float | None = None) -> int:
        """Return its status when it ends, within so many seconds."""
        self._process.join(seconds)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("a process", seconds or 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to it, while it runs."""
        if self.returncode is None and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


@cache
def _start_server() -> None:
    """Wait until the server has imported what it shall, so that no process waits for that."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # as frog has it for ranks, before torch is imported
    first = _SERVER.Process()
    first.start()
    first.join()


def _carry_out(words: list[str], environment: dict[str, str], folder: str, streams: dict[int, str]) -> None:
    for descriptor, path in streams.items():
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    process._parent_process = None  # as in a process that Python starts
    if "OMP_NUM_THREADS" in environment:  # which was read when torch was imported
        import torch

        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    flag, name, *given = words
    sys.argv = [flag, *given]
    if flag == "-c":
        exec(compile(name, "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
