"""The one training loop: steps, measurement, record, until every lane has ended."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from frog_cli.objectives.objective import Objective
from frog_cli.progress import Progress
from frog_cli.runs import RunFolder


def train(objective: Objective, folders: Sequence[RunFolder], progress: Progress) -> None:
    """Minimise an objective and record each lane in its folder; epoch 0 is the state before the first step."""
    for epoch in range(objective.epochs + 1):
        start = perf_counter()
        if epoch > 0:
            objective.epoch()
        trained = perf_counter()
        rows = objective.measure()
        timings = {"row": epoch, "training_seconds": trained - start, "measuring_seconds": perf_counter() - trained}
        for folder, row in zip(folders, rows, strict=True):
            if row is not None:
                folder.record(row, timings)
        ended = "running" not in objective.outcomes()
        progress.show(epoch, objective.describe(rows), last=ended)
        if ended:
            return
