"""What `pip install .` gives, used from another folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_wheel_carries_configuration_and_learning_rates(tmp_path):
    project = Path(__file__).parents[1]
    installed = tmp_path / "installed"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", installed, project], check=True
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def frog(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-P", "-m", "frog_cli", *arguments],
            cwd=elsewhere, env=environment, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    where = subprocess.run(
        [sys.executable, "-P", "-c", "import frog_cli; print(frog_cli.__file__)"],
        cwd=elsewhere, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert where.startswith(str(installed))
    assert "learning_rate: 0.0018423636305031" in frog("train", "--cfg", "objective=rosenbrock")
    assert "completed" in frog("train", "epochs=1")
