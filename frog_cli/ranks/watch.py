"""Ranks that look after each other: one that dies, or no longer answers, ends all with a message that names it."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from torch.distributed.distributed_c10d import Store

_EVERY = 0.5  # seconds between two signs of life
_SILENT = 15.0  # seconds without one, after which a rank counts as lost
_SILENT_AFTER_ERROR = 3.0  # when an exchange has failed already, as it does at once if a process is gone
_LATE = 5.0  # seconds after which this process has slept itself, as when the whole job was suspended
_GRACE = 8.0  # seconds that an orderly end may take once a verdict is there


class Watch:
    """Gives signs of life in a store that all ranks reach, and learns of ranks that do not.

    Rank 0 judges, and leaves its verdict in the store; the others watch rank 0. A rank that fails leaves its own.
    """

    def __init__(self, store: Store, rank: int, size: int):
        """Give the first sign of life.

        Args:
            store: with a connection of its own, which no other thread waits on.
            rank: of this process.
            size: the number of ranks.
        """
        self._store, self._rank, self._size = store, rank, size
        self._ended = threading.Event()
        self._verdict: str | None = None
        self._round_at = time.monotonic()  # when the last round through the store was complete
        self._before_exit: list[Callable[[], None]] = []
        self._hosts: list[str] = []
        store.set(f"beat/{rank}", "0")
        store.set(f"host/{rank}", f"{socket.gethostname()}, process {os.getpid()}")

    def begin(self) -> None:
        """Begin to watch, once all ranks are there."""
        keys = [f"host/{other}" for other in range(self._size)]
        self._hosts = [host.decode() for host in self._store.multi_get(keys)]
        if self._rank == 0:
            self._store.set("suspicion", "")
            self._store.set("verdict", "")
        self._store.wait(["suspicion", "verdict"])
        self._round_at = time.monotonic()
        for watching in (self._give_signs, self._judge):  # two, because a store may not answer for ever
            threading.Thread(target=watching, daemon=True).start()

    def end(self) -> None:
        """Stop to watch, before ranks end one after the other."""
        self._ended.set()

    def before_exit(self, function: Callable[[], None]) -> None:
        """Call a function before this process is ended because another rank is lost and it cannot end by itself."""
        self._before_exit.append(function)

    def fail(self, reason: str) -> bool:
        """Let all ranks know that this one fails, and why; return whether it is the first to fail."""
        mine = f"{self._name(self._rank)} failed: {reason}"
        try:
            return self._leave(mine) == mine
        except RuntimeError:  # the store is gone
            return True

    def verdict(self) -> str | None:
        """Return what has become of another rank, after an exchange has failed; None if all seem to be there."""
        with suppress(RuntimeError):
            self._store.set("suspicion", "yes")
        deadline = time.monotonic() + 2 * _SILENT_AFTER_ERROR
        while self._verdict is None and time.monotonic() < deadline:
            time.sleep(_EVERY / 10)
        return self._verdict

    def tell(self, verdict: str) -> None:
        """Tell a person which rank is lost: rank 0 does, or any if it is rank 0; those that fail do it themselves."""
        if " failed: " not in verdict and (self._rank == 0 or verdict.startswith("rank 0 ")):
            sys.stderr.write(f"frog: {verdict}; the same command goes on from the last state that was saved\n")
            sys.stderr.flush()

    def _name(self, rank: int) -> str:
        return f"rank {rank} ({self._hosts[rank]})"

    def _leave(self, verdict: str) -> str:
        """Leave a verdict unless there is one; return which there is."""
        return self._store.compare_set("verdict", "", verdict).decode()

    def _give_signs(self) -> None:
        """Go through the store again and again: leave a sign of life, and look for those of others."""
        heard = [("", time.monotonic())] * self._size
        watched = range(1, self._size) if self._rank == 0 else range(1)
        count = 0
        while not self._ended.wait(_EVERY) and self._verdict is None:
            now, count = time.monotonic(), count + 1
            if now - self._round_at > _LATE:
                heard = [(beat, now) for beat, _ in heard]
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
            self._round_at = time.monotonic()
            self._verdict = verdict or None

    def _judge(self) -> None:
        """Wait for a verdict, or a store that does not answer; end this process then unless it does so by itself."""
        awake = time.monotonic()
        silent_since: float | None = None
        while not self._ended.wait(_EVERY) and self._verdict is None:
            now = time.monotonic()
            late, awake = now - awake > _LATE, now
            silent = now - self._round_at > 2 * _EVERY and not late
            silent_since = (silent_since or now) if silent else None
            if silent_since is not None and now - silent_since > _SILENT:
                self._verdict = f"{self._name(0)} cannot be reached"
        if self._ended.wait(_GRACE):
            return
        assert self._verdict is not None
        self.tell(self._verdict)
        for function in self._before_exit:
            with suppress(Exception):
                function()
        os._exit(1)  # out of an exchange that nobody can interrupt
