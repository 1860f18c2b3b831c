"""What tests of reproduction share: results go to a temporary folder."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from frog_cli.settings import learning_rates


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of results of this test."""
    monkeypatch.setenv("FROG_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


@pytest.fixture
def never_closed() -> Iterator[Connection]:
    """Let a worker's command go on.

    Yields:
        The end of a pipe by which the worker would know that it does not.
    """
    ends, lasts = multiprocessing.Pipe(duplex=False)
    with ends, lasts:
        yield ends


@pytest.fixture
def searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of searched rates of this test, which are all that there are: frog comes with none."""
    monkeypatch.setenv("FROG_SWEEPS", str(tmp_path / "sweeps"))
    monkeypatch.setattr(learning_rates, "folder", lambda name: tmp_path / "shipped" / name)
    return tmp_path / "sweeps" / "searched"
