"""What tests of reproduction share: results go to a temporary folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of results of this test."""
    monkeypatch.setenv("FROG_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"
