"""Runs that a signal interrupts after some steps."""

from __future__ import annotations

import pytest

from frog_cli.cli import main
from frog_cli.runs import training

SIGTERM = 15


def interrupt(words: list[str], asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train, and let a signal come when the training loop has asked for one so many times."""
    original, times = training.train, []

    def interrupted(objective, folders, progress, interruption, give_up=None):
        def stop():
            times.append(None)
            return len(times) == asked or interruption()

        stop.number = SIGTERM
        return original(objective, folders, progress, stop, give_up)

    with monkeypatch.context() as patch:
        patch.setattr(training, "train", interrupted)
        assert main(["train", *words]) == 128 + SIGTERM
