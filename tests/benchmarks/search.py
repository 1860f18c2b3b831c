"""Evaluations per minute of a search with two ranks against one rank, one thread each."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from frog_cli.files.csv import Row
from tests.benchmarks.comparison import compared, seconds

ROUNDS = 2
EVALUATIONS = 48
WORDS = ["experiment=mlp_mnist", "model.width=256", "gradient=mean", "gradient.k=4", "epochs=10", "data.limit=10000"]
WORDS += [f"search.evaluations={EVALUATIONS}", "search.patience=null"]


def search(ranks: int, seed: int) -> float:
    """Return the seconds of a whole search, as a user starts it, per evaluation."""
    with tempfile.TemporaryDirectory() as place:
        folders = {"FROG_RUNS": f"{place}/runs", "FROG_SWEEPS": f"{place}/sweeps"}
        environment = {**os.environ, **folders, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "frog_cli", "search", *WORDS, f"search.seed={seed}"]
        if ranks > 1:
            command = [str(Path(sys.executable).parent / "mpiexec"), "-n", str(ranks), *command]
        run = seconds(lambda: subprocess.run(command, env=environment, capture_output=True, check=True))
    return run / EVALUATIONS


def rows() -> list[Row]:
    """Return how two ranks compare with one."""
    two, one = [], []
    for seed in range(ROUNDS):
        two.append(search(2, seed))
        one.append(search(1, seed))
    return [compared("an evaluation of a search, MLP-256, two ranks", two, "one rank", one)]
