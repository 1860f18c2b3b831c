"""Ranks that look after each other: one that dies, or no longer answers, ends all with a message that names it."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from contextlib import suppress

from torch.distributed.distributed_c10d import Store

_EVERY = 0.5  # seconds between two signs of life
_SILENT = 20.0  # seconds without one, after which a rank counts as lost
_SILENT_AFTER_ERROR = 3.0  # when an exchange has failed already, as it does at once if a process is gone
_LATE = 5.0  # seconds after which a watch has slept itself, as when the whole job was suspended
_GRACE = 12.0  # seconds that an orderly end may take once a verdict is there


class Watch:
    """Gives signs of life in a store that all ranks reach, and learns of ranks that do not.

    Rank 0 judges, and leaves its verdict in the store; the others watch rank 0. A rank that fails leaves its own.
    """

    def __init__(self, store: Store, rank: int, size: int):
        self._store, self._rank, self._size = store, rank, size
        self._ending = threading.Event()
        self._failed = False
        self._verdict: str | None = None
        self._hosts = [f"host of rank {other}" for other in range(size)]
        store.set(f"beat/{rank}", "0")
        store.set(f"host/{rank}", f"{socket.gethostname()}, process {os.getpid()}")
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def begin(self) -> None:
        """Begin to watch, once all ranks are there."""
        keys = [f"host/{other}" for other in range(self._size)]
        self._hosts = [host.decode() for host in self._store.multi_get(keys)]
        if self._rank == 0:
            self._store.set("suspicion", "")
            self._store.set("verdict", "")
        self._store.wait(["suspicion", "verdict"])
        self._thread.start()

    def end(self) -> None:
        """Stop to watch, before ranks end one after the other."""
        self._ending.set()

    def fail(self, reason: str) -> bool:
        """Let all ranks know that this one fails, and why; return whether it is the first to fail.

        Returns when the others have had time to hear it.
        """
        self.end()
        mine = f"{self._name(self._rank)} failed: {reason}"
        try:
            first = self._leave(mine) == mine
            time.sleep(4 * _EVERY)
        except RuntimeError:  # the store is gone
            return True
        return first

    def speaks_about(self, verdict: str) -> bool:
        """Return whether this rank tells a verdict: one does."""
        return self._rank == (1 if verdict.startswith("rank 0 ") else 0)

    def verdict(self) -> str:
        """Return what has become of the other ranks, after an exchange with them has failed."""
        with suppress(RuntimeError):
            self._store.set("suspicion", "yes")
        deadline = time.monotonic() + _SILENT
        while self._verdict is None and time.monotonic() < deadline:
            time.sleep(_EVERY / 10)
        return self._verdict or "the connection to the other ranks is lost"

    def _name(self, rank: int) -> str:
        return f"rank {rank} ({self._hosts[rank]})"

    def _leave(self, verdict: str) -> str:
        """Leave a verdict unless there is one; return which there is."""
        return self._store.compare_set("verdict", "", verdict).decode()

    def _watch(self) -> None:
        heard = [("", time.monotonic())] * self._size
        watched = range(1, self._size) if self._rank == 0 else range(1)
        count, awake = 0, time.monotonic()
        while not self._ending.wait(_EVERY):
            now = time.monotonic()
            if now - awake > _LATE:
                heard = [(beat, now) for beat, _ in heard]
            awake, count = now, count + 1
            try:
                self._store.set(f"beat/{self._rank}", str(count))
                found = self._store.multi_get(["verdict", "suspicion", *(f"beat/{other}" for other in watched)])
                verdict, suspicion, *beats = (value.decode() for value in found)
                for other, beat in zip(watched, beats, strict=True):
                    if beat != heard[other][0]:
                        heard[other] = beat, now
                    elif now - heard[other][1] > (_SILENT_AFTER_ERROR if suspicion else _SILENT) and not verdict:
                        verdict = self._leave(f"{self._name(other)} has ended, or has not answered for a while")
            except RuntimeError:  # the store is gone, and so is the process that holds it
                verdict = f"{self._name(0)} has ended, or cannot be reached"
            if verdict and not self._ending.is_set():
                self._verdict = verdict
                self._ending.wait(_GRACE)
                if not self._ending.is_set():  # an exchange that nobody can interrupt
                    if self.speaks_about(verdict):
                        sys.stderr.write(f"frog: {verdict}\n")
                        sys.stderr.flush()
                    os._exit(1)
                return
