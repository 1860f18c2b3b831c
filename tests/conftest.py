"""What tests share: runs go to a temporary folder, real data sets come from FROG_DATA."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of this test's runs."""
    folder = tmp_path / "runs"
    monkeypatch.setenv("FROG_RUNS", str(folder))
    return folder


@pytest.fixture(autouse=True)
def threads():
    """Undo what a minimisation sets for its process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def mnist_root() -> str:
    """Return a data root that has MNIST."""
    root = os.environ.get("FROG_DATA", "data")
    if not Path(root, "MNIST", "raw", "train-images-idx3-ubyte").is_file():
        pytest.skip("needs MNIST below FROG_DATA")
    return root


@pytest.fixture
def generator() -> torch.Generator:
    """Return a seeded source of randomness."""
    return torch.Generator().manual_seed(0)
