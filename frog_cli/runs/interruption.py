"""Signals that ask a run to save its state and stop: Ctrl-C, SIGTERM and SIGUSR1, as batch systems send them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from frog_cli.errors import Interrupted

HANDLED = (signal.SIGINT, signal.SIGTERM, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else []))


class Interruption:
    """Notes the first signal while it is entered; a second Ctrl-C stops at once.

    Ranks agree on it, so that all stop after the same step; launchers may send them more than one.
    """

    def __init__(self, agree: Callable[[int], int] | None = None) -> None:
        """Begin without a signal.

        Args:
            agree: returns the largest number of a signal that any rank had noted when all were asked before, if there
                are several.
        """
        self.number: int | None = None
        self._agree = agree
        self._nothing_to_save = False

    def __enter__(self) -> Interruption:
        main = threading.current_thread() is threading.main_thread()
        self._before = {number: signal.signal(number, self._note) for number in HANDLED if main}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        """Return whether a signal has come; ask it on all ranks."""
        if self._agree is None:
            return self.number is not None
        agreed = self._agree(self.number or 0)
        self.number = agreed or self.number
        return agreed > 0

    @contextmanager
    def nothing_to_save(self) -> Iterator[None]:
        """Let a signal raise Interrupted where it comes, such as while data are read; of several ranks it is noted."""
        self._nothing_to_save = self._agree is None
        if self._nothing_to_save and self.number is not None:
            raise Interrupted(self.number)
        try:
            yield
        finally:
            self._nothing_to_save = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.number is not None and number == signal.SIGINT and self._agree is None:
            raise KeyboardInterrupt
        self.number = number
        if self._nothing_to_save:
            raise Interrupted(number)
