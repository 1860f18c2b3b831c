"""The one training loop: steps, measurement, record, until every replica has ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

from frog_cli.errors import GivenUpError, Interrupted
from frog_cli.objectives.objective import Objective, Row
from frog_cli.runs.folder import RunFolder
from frog_cli.runs.interruption import Interruption
from frog_cli.runs.progress import Progress


def train(
    objective: Objective,
    folders: Sequence[RunFolder],
    progress: Progress,
    interruption: Interruption,
    give_up: Callable[[Sequence[RunFolder], Sequence[Row | None]], bool] | None = None,
) -> None:
    """Minimise an objective and record each replica in its folder; epoch 0 is the state before the first step.

    When a signal has come, the state after the last step is saved and `Interrupted` raised.

    Raises:
        GivenUpError: when `give_up`, asked after each row, says so.
    """
    often = folders[0].run.checkpoint
    saved_at, saved_rows = perf_counter(), objective.rows_recorded
    while True:
        start = perf_counter()
        if objective.rows_recorded > 0 and not objective.epoch(interruption):
            _stop(objective, folders, interruption)
        trained = perf_counter()
        epoch = objective.rows_recorded
        rows = objective.measure()
        timings = {"row": epoch, "training_seconds": trained - start, "measuring_seconds": perf_counter() - trained}
        for folder, row in zip(folders, rows, strict=True):
            if row is not None:
                folder.record(row, timings)
        ended = "running" not in objective.outcomes()
        progress.show(epoch, objective.describe(rows), last=ended)
        if ended:
            return
        if give_up is not None and give_up(folders, rows):
            raise GivenUpError(f"given up after step {objective.steps}")
        if interruption():
            _stop(objective, folders, interruption)
        enough_rows = often.rows is not None and objective.rows_recorded - saved_rows >= often.rows
        if enough_rows or (often.minutes is not None and perf_counter() - saved_at >= 60 * often.minutes):
            _save(objective, folders)
            saved_at, saved_rows = perf_counter(), objective.rows_recorded


def _save(objective: Objective, folders: Sequence[RunFolder]) -> None:
    for folder, state in zip(folders, objective.states(), strict=True):
        folder.save(state, state["rows_recorded"], objective.steps)


def _stop(objective: Objective, folders: Sequence[RunFolder], interruption: Interruption) -> None:
    _save(objective, folders)
    assert interruption.number is not None
    raise Interrupted(interruption.number)
