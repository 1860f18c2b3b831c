"""The record of a search: one file per proposal and one per evaluation, none ever changed.

Any number of processes, now or later, may read and add. A proposal belongs to the process that made its file; one
without an evaluation was in progress when its search ended.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from frog_cli.files.atomic import create_atomically

Values = dict[str, Any]
"""Names and values of hyperparameters."""

_PROPOSAL = re.compile(r"(\d{5})-proposal\.json")


class Evaluation(NamedTuple):
    """What came out for some values of hyperparameters."""

    number: int
    values: Values
    loss: float  # infinite if the run diverged
    outcome: str
    curve: list[float]  # the lowest loss so far after each row of metrics
    seconds: float
    rank: int


class Record:
    """The evaluations of one search, in a folder."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._known: dict[int, Evaluation] = {}

    def evaluations(self) -> list[Evaluation]:
        """Return all evaluations, in the order of their numbers."""
        for proposal in self._proposals():
            path = self._folder / f"{proposal:05d}.json"
            if proposal not in self._known and path.exists():
                content = json.loads(path.read_text(encoding="utf-8"))
                content["loss"] = math.inf if content["loss"] is None else content["loss"]
                self._known[proposal] = Evaluation(**content)
        return [self._known[number] for number in sorted(self._known)]

    def unfinished(self) -> dict[int, Values]:
        """Return the proposals that have no evaluation, by their numbers."""
        done = {evaluation.number for evaluation in self.evaluations()}
        return {
            number: json.loads((self._folder / f"{number:05d}-proposal.json").read_text(encoding="utf-8"))
            for number in self._proposals()
            if number not in done
        }

    def propose(self, number: int, values: Values) -> bool:
        """Add a proposal; return False if there is one of this number already."""
        return create_atomically(self._folder / f"{number:05d}-proposal.json", json.dumps(values) + "\n")

    def proposed(self, number: int) -> bool:
        """Return whether there is a proposal of this number."""
        return (self._folder / f"{number:05d}-proposal.json").exists()

    def add(self, evaluation: Evaluation) -> None:
        """Add an evaluation."""
        content = evaluation._asdict()
        content["loss"] = evaluation.loss if math.isfinite(evaluation.loss) else None
        text = json.dumps(content, allow_nan=False) + "\n"
        if not create_atomically(self._folder / f"{evaluation.number:05d}.json", text):
            raise FileExistsError(f"evaluation {evaluation.number} is in {self._folder} already")

    def _proposals(self) -> list[int]:
        names = (_PROPOSAL.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted(int(match[1]) for match in names if match)


def best_of(evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """Return the evaluation of lowest loss among the runs that ended by themselves, None if there is none."""
    candidates = [one for one in evaluations if one.outcome in ("completed", "stopped_early") and one.curve]
    return min(candidates, key=lambda one: one.loss, default=None)
