"""What a person sees while something runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, TextIO

from tqdm import tqdm

_PLAIN_LINES = 20


class Progress:
    """Shows how far a loop of `total` rounds is; use as a context manager."""

    def __init__(self, total: int, unit: str, stream: TextIO | None = None, silent: bool = False):
        self._stream = stream or sys.stderr
        self._total = total
        self._every = max(1, total // _PLAIN_LINES)
        self._shown = -1  # how many times `every` rounds were done when a plain line was last written
        self._silent = silent
        self._bar: tqdm[Any] | None = None
        if self._stream.isatty() and not silent:
            self._bar = tqdm(total=total, unit=unit, file=self._stream, dynamic_ncols=True, leave=False)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, done: int, text: str, last: bool = False) -> None:
        """Show the state after `done` rounds; plain lines are thinned out, the last one is always written."""
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
            self._bar.set_postfix_str(text)
        elif not self._silent and (last or done // self._every > self._shown):
            self._shown = done // self._every
            print(text, file=self._stream, flush=True)
