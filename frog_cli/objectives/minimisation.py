"""Minimise a closed-form function from one start, for all seeds of a run side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from statistics import fmean

import torch

from frog_cli.gradients import points
from frog_cli.objectives import named
from frog_cli.objectives.functions import FUNCTIONS
from frog_cli.objectives.objective import Outcome, Row
from frog_cli.schema import Backprop, FunctionRun


class Minimisation:
    """The points of all seeds, and the way of each one's value.

    An epoch is the `record_every` steps between two rows of metrics. A lane that has ended moves on with the others
    until all have, but nothing of it counts any more.
    """

    def __init__(self, runs: Sequence[FunctionRun], device: torch.device):
        run = runs[0]
        self._run = run
        self._function, start = FUNCTIONS[run.objective.name]
        dtype = getattr(torch, run.objective.dtype)
        self._points = torch.nn.Parameter(start(run.objective.n).to(device, dtype).repeat(len(runs), 1))
        self._optimizer = named.optimizer(run, [self._points])
        estimator: points.Estimator = points.backprop
        if not isinstance(run.gradient, Backprop):
            estimator = partial(points.forward_gradient, named.forward_gradient(run.gradient, run.tangents))
        self._gradient = estimator(self._function, self._points.detach(), [run.seed for run in runs])
        self._before = torch.empty(run.record_every, len(runs), dtype=dtype, device=device)
        self._steps = self._steps_in_epoch = 0
        self._lanes = [_Lane(run) for run in runs]

    @property
    def epochs(self) -> int:
        """The number of rows of metrics after the first."""
        return math.ceil(self._run.steps / self._run.record_every)

    def epoch(self) -> None:
        """Take the steps up to the next row, keeping the value before each."""
        self._steps_in_epoch = min(self._run.record_every, self._run.steps - self._steps)
        self._steps += self._steps_in_epoch
        for step in range(self._steps_in_epoch):
            self._before[step], self._points.grad = self._gradient(self._points.detach())
            self._optimizer.step()

    def measure(self) -> list[Row | None]:
        """Return each seed's step, value and best value so far."""
        with torch.no_grad():
            after = self._function(self._points).unsqueeze(0)
        # the value before the first step of an epoch is the one after the last step of the epoch before
        values = torch.cat([self._before[1 : self._steps_in_epoch], after]).T.tolist()
        return [lane.follow(way) for lane, way in zip(self._lanes, values, strict=True)]

    def outcomes(self) -> list[Outcome]:
        """Return for each seed whether and how it has ended."""
        return [lane.outcome for lane in self._lanes]

    def summaries(self) -> list[Row]:
        """Return each seed's best value, the step that reached it, and its last value and step."""
        return [
            {"best_value": lane.best, "best_step": lane.best_step, "last_value": lane.value, "steps": lane.step}
            for lane in self._lanes
        ]

    def describe(self, rows: Sequence[Row | None]) -> str:
        """Return the mean over the seeds of the best value so far."""
        step = max((int(row["step"]) for row in rows if row), default=0)
        best = fmean(lane.best for lane in self._lanes)
        running = sum(lane.outcome == "running" for lane in self._lanes)
        return f"step {step}/{self._run.steps}  best value {best:.6g} (mean of {len(rows)})  running {running}"


class _Lane:
    """The way of one seed: a lane ends at its last step, when it diverges, or when it stops improving.

    It stops after `patience` consecutive steps of which none falls below the value before it
    (arXiv 2410.17764, Section IV-B, as its authors' code does it).
    """

    def __init__(self, run: FunctionRun):
        self._run = run
        self._without_improvement = 0
        self.outcome: Outcome = "running"
        self.step = -1
        self.best_step = 0
        self.value = self.best = math.inf

    def follow(self, values: Sequence[float]) -> Row | None:
        """Take in the values after the next steps and return the row of the last one that counts."""
        if self.outcome != "running":
            return None
        for value in values:
            self._without_improvement = 0 if value < self.value else self._without_improvement + 1
            self.step += 1
            self.value = value
            if value < self.best:
                self.best, self.best_step = value, self.step
            self.outcome = self._judge()
            if self.outcome != "running":
                break
        return {"step": self.step, "value": self.value, "best_value": self.best}

    def _judge(self) -> Outcome:
        patience = self._run.early_stopping.patience
        if not math.isfinite(self.value) or self.value > (self._run.diverged_above or math.inf):
            return "diverged"
        if patience is not None and self._without_improvement >= patience:
            return "stopped_early"
        return "completed" if self.step == self._run.steps else "running"
