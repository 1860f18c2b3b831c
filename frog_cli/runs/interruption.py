"""Signals that ask a run to save its state and stop: Ctrl-C, SIGTERM and SIGUSR1, as batch systems send them."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

HANDLED = (signal.SIGINT, signal.SIGTERM, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else []))


class Interruption:
    """Notes the first signal while it is entered; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.number: int | None = None

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
        """Return whether a signal has come."""
        return self.number is not None

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number
