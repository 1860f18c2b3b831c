"""Minimise a closed-form function from one start, for all seeds of a run side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from frog_cli.gradients import points
from frog_cli.gradients.second_order import search_at_points
from frog_cli.objectives import named
from frog_cli.objectives.functions import FUNCTIONS
from frog_cli.objectives.objective import Outcome, Row
from frog_cli.schema import Backprop, Forward, FunctionRun, SecondOrder

_POINTS_TOLD = 16  # a summary has the last point itself up to so many dimensions


class Minimisation:
    """The points of all seeds, and the way of each one's value.

    An epoch is the `record_every` steps between two rows of metrics. A lane that has ended moves on with the others
    until all have, but nothing of it counts any more.
    """

    def __init__(self, runs: Sequence[FunctionRun], device: torch.device):
        run = runs[0]
        self._run = run
        self._function = FUNCTIONS[run.objective.name].function
        dtype = getattr(torch, run.objective.dtype)
        self._points = torch.nn.Parameter(torch.stack([_start(run) for run in runs]).to(device, dtype))
        # plain SGD works entry by entry; other optimisers may mix the entries of a parameter, so each seed has its own
        self._rows = (
            [self._points]
            if run.optimizer.name == "SGD"
            else [torch.nn.Parameter(row) for row in self._points.detach()]
        )
        self._optimizer = named.optimizer(run, self._rows)
        self._gradient = _estimator(run)(self._function, self._points.detach(), [run.seed for run in runs])
        self._before = torch.empty(run.record_every, len(runs), dtype=dtype, device=device)
        self._failed = torch.zeros(run.record_every, len(runs), dtype=torch.bool, device=device)
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
            self._before[step], gradients, failed = self._gradient(self._points.detach())
            for row, gradient in zip(self._rows, [gradients] if len(self._rows) == 1 else gradients, strict=True):
                row.grad = gradient.view_as(row)
            if failed is not None:
                self._failed[step] = failed
            self._optimizer.step()

    def measure(self) -> list[Row | None]:
        """Return each seed's step, value and best value so far."""
        with torch.no_grad():
            after = self._function(self._points).unsqueeze(0)
        # the value before the first step of an epoch is the one after the last step of the epoch before
        values = torch.cat([self._before[1 : self._steps_in_epoch], after]).T.tolist()
        failed = self._failed[: max(1, self._steps_in_epoch)].T.tolist()
        return [lane.follow(*way) for lane, *way in zip(self._lanes, values, failed, strict=True)]

    def outcomes(self) -> list[Outcome]:
        """Return for each seed whether and how it has ended."""
        return [lane.outcome for lane in self._lanes]

    def summaries(self) -> list[Row]:
        """Return each seed's best value, the step that reached it, and its last value and step."""
        summaries = [lane.summary() for lane in self._lanes]
        if self._run.objective.n <= _POINTS_TOLD:
            for lane, summary, point in zip(self._lanes, summaries, self._points.tolist(), strict=True):
                if lane.outcome == "completed":  # the points of others have moved on
                    summary["last_point"] = point
        return summaries

    def describe(self, rows: Sequence[Row | None]) -> str:
        """Return the mean over the seeds of the best value so far."""
        step = max((int(row["step"]) for row in rows if row), default=0)
        best = fmean(lane.best for lane in self._lanes)
        running = sum(lane.outcome == "running" for lane in self._lanes)
        together = f" (mean of {len(rows)} seeds, {running} running)" if len(rows) > 1 else ""
        return f"step {step}/{self._run.steps}  best value {best:.6g}{together}"


def _start(run: FunctionRun) -> Tensor:
    """Return where a run starts."""
    if run.objective.start == "published":
        return FUNCTIONS[run.objective.name].start(run.objective.n)
    seed = run.seed if run.objective.start_seed is None else run.objective.start_seed
    _, seed = np.random.SeedSequence(seed).generate_state(2)
    return torch.randn(run.objective.n, generator=torch.Generator().manual_seed(int(seed)))


def _estimator(run: FunctionRun) -> points.Estimator:
    """Return the method that the settings describe."""
    if isinstance(run.gradient, Backprop):
        return points.backprop
    if isinstance(run.gradient, Forward):
        return partial(points.forward_gradient, named.forward_gradient(run.gradient, run.tangents))
    return partial(search_at_points, named.second_order(run.gradient, run.tangents))


class _Lane:
    """The way of one seed: a lane ends at its last step, when it diverges, or when it stops improving.

    It stops after `patience` consecutive steps of which none falls below the value before it
    (arXiv 2410.17764, Section IV-B, as its authors' code does it).
    """

    def __init__(self, run: FunctionRun):
        self._run = run
        self._without_improvement = 0
        self._failed_steps: int | None = 0 if isinstance(run.gradient, SecondOrder) else None
        self._step = -1
        self._best_step = 0
        self._value = math.inf
        self.best = math.inf
        self.outcome: Outcome = "running"

    def summary(self) -> Row:
        """Return the best value, the step that reached it, the last value and step, and how many steps failed."""
        summary: Row = {
            "best_value": self.best,
            "best_step": self._best_step,
            "last_value": self._value,
            "steps": self._step,
        }
        return summary if self._failed_steps is None else {**summary, "failed_steps": self._failed_steps}

    def follow(self, values: Sequence[float], failed: Sequence[bool]) -> Row | None:
        """Take in the values after the next steps and which of these failed; return the row of the last one."""
        if self.outcome != "running":
            return None
        for value, failure in zip(values, failed, strict=True):
            self._without_improvement = 0 if value < self._value else self._without_improvement + 1
            self._step += 1
            self._value = value
            if value < self.best:
                self.best, self._best_step = value, self._step
            self.outcome = self._judge(failure)
            if self.outcome != "running":
                break
        return {"step": self._step, "value": self._value, "best_value": self.best}

    def _judge(self, failure: bool) -> Outcome:
        patience = self._run.early_stopping.patience
        if not math.isfinite(self._value) or self._value > (self._run.diverged_above or math.inf):
            return "diverged"
        if isinstance(self._run.gradient, SecondOrder) and failure:
            self._failed_steps = (self._failed_steps or 0) + 1
            if self._run.gradient.on_failure == "stop":
                return "step_failed"
        if patience is not None and self._without_improvement >= patience:
            return "stopped_early"
        return "completed" if self._step == self._run.steps else "running"
