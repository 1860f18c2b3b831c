"""Event files for TensorBoard beside metrics.csv, for those who watch curves while they grow."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from frog_cli.errors import RequestError


def check(wanted: bool) -> None:
    """Refuse event files where nothing can write them.

    Raises:
        RequestError: if they are wanted and tensorboard is not installed.
    """
    if wanted and find_spec("tensorboard") is None:
        raise RequestError("tensorboard=true", "needs tensorboard: pip install 'frog-cli[tensorboard]'")


class Events:
    """Writes the rows of a run's metrics as scalars, one for each number, at the step that they were measured at."""

    def __init__(self, folder: Path, after: int | None = None):
        """Begin a file in the run's folder.

        Args:
            folder: of the run.
            after: the last step whose row stays, of a run that goes on; what an interrupted attempt wrote beyond it is
                not shown. None for a run that begins, which removes earlier files.
        """
        from torch.utils.tensorboard import SummaryWriter

        if after is None:
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
        self._writer: Any = SummaryWriter(str(folder), purge_step=None if after is None else after + 1)

    def record(self, row: Mapping[str, Any]) -> None:
        """Write a row; `training_loss` is called `loss/training`, so that one picture has the losses of all splits."""
        for name, value in row.items():
            if name not in ("epoch", "step") and value is not None:
                split, _, what = name.partition("_")
                tag = f"{what}/{split}" if split in ("training", "validation", "test") else name
                self._writer.add_scalar(tag, value, row["step"])
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        self._writer.close()
