"""The minimisation of a closed-form function from one start, for all seeds of a run side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from frog_cli.engine import point_gradients
from frog_cli.gradients.space import Estimate
from frog_cli.objectives import devices, estimators, optimiser_and_schedule
from frog_cli.objectives.functions import closed_form
from frog_cli.objectives.objective import Outcome, Row, Weights, never
from frog_cli.objectives.step_lengths import StepLengths, quartiles
from frog_cli.settings.schema import Backprop, Forward, FunctionRun, SecondOrder

_POINTS_TOLD = 16  # a summary has the first and the last point up to so many dimensions


class Minimisation:
    """The points of all seeds, and how each one's value develops.

    An epoch is the `record_every` steps between two rows of metrics. A replica that has ended moves on with the others
    until all have, but nothing of it counts any more.
    """

    def __init__(self, runs: Sequence[FunctionRun], device: torch.device):
        run = runs[0]
        self._run, self._runs = run, runs
        self._function, self._start = closed_form(run.objective)
        dtype = getattr(torch, run.objective.dtype)
        self._points = torch.nn.Parameter(torch.stack([self._start_of(run) for run in runs]).to(device, dtype))
        # plain SGD works entry by entry; other optimisers may mix the entries of a parameter, so each seed has its own
        self._shared = run.optimizer.name == "SGD"
        self._rows = [self._points] if self._shared else [torch.nn.Parameter(row) for row in self._points.detach()]
        self._optimizer = optimiser_and_schedule.optimizer(run, self._rows)
        self._seeds = [run.seed for run in runs]
        self._before = torch.empty(run.record_every, len(runs), dtype=dtype, device=device)
        self._failed = torch.zeros(run.record_every, len(runs), dtype=torch.bool, device=device)
        self._steps = 0  # before the epoch in progress
        self._steps_in_epoch = 0
        self._rows_recorded = 0
        self._lengths = torch.zeros(run.record_every, len(runs), dtype=dtype, device=device)
        self._step_lengths: StepLengths | None = None
        if run.curvature_length is not None:
            norms = point_gradients.norms(self._points.detach())
            self._step_lengths = StepLengths(run.curvature_length, norms, run.objective.n)
        # where it begins, whatever other seeds there are, and not where it goes on
        if isinstance(run.gradient, Forward):
            method = estimators.forward_gradient(run.gradient, run.tangents)
            estimators.check_spacing(method, [self._points.detach()[0]])
        self._gradient = self._estimator()
        self._replicas = [_Replica(run) for run in runs]

    @property
    def epochs(self) -> int:
        """The number of rows of metrics after the first."""
        return math.ceil(self._run.steps / self._run.record_every)

    @property
    def rows_recorded(self) -> int:
        """The number of rows of metrics so far."""
        return self._rows_recorded

    @property
    def steps(self) -> int:
        """The number of steps taken so far."""
        return self._steps + self._steps_in_epoch

    def _estimator(self) -> point_gradients.PointGradient:
        """Return the method that the settings describe, from the next step on."""
        run = self._run
        estimator: point_gradients.Estimator
        if isinstance(run.gradient, Backprop):
            estimator = partial(point_gradients.backprop, compiled=run.compile)
        elif isinstance(run.gradient, Forward):
            method = estimators.forward_gradient(run.gradient, run.tangents)
            estimator = partial(point_gradients.forward_gradient, method, compiled=run.compile)
        else:
            estimator = partial(point_gradients.second_order, estimators.second_order(run.gradient, run.tangents))
        direction = estimator(self._function, self._points.detach(), self._seeds, self.steps)
        return direction if self._step_lengths is None else self._with_lengths(direction, self._step_lengths)

    def _with_lengths(
        self, direction: point_gradients.PointGradient, lengths: StepLengths
    ) -> point_gradients.PointGradient:
        """Return steps along a method's directions, of lengths from the curvature along them."""
        measure = point_gradients.curvature(self._function, self._points.detach())

        def gradient(points: Tensor) -> Estimate:
            estimate = direction(points)
            (s,) = estimate.gradients
            measured = measure(points, s) if lengths.measures else None
            return lengths.lengthen(estimate, point_gradients.norms(s), measured)

        return gradient

    def epoch(self, stop: Callable[[], bool] = never) -> bool:
        """Take the steps up to the next row, keeping the value before each."""
        for step in range(self._steps_in_epoch, min(self._run.record_every, self._run.steps - self._steps)):
            if stop():
                return False
            self._before[step], (gradients,), failed, length = self._gradient(self._points.detach())
            for row, gradient in zip(self._rows, [gradients] if len(self._rows) == 1 else gradients, strict=True):
                row.grad = gradient.view_as(row)
            if failed is not None:
                self._failed[step] = failed
            if length is not None:
                self._lengths[step] = length
            self._optimizer.step()
            self._steps_in_epoch += 1
        devices.finish(self._points.device)
        return True

    def states(self) -> list[Row]:
        """Return for each replica all that its further steps depend on."""
        momenta = self._optimizer.state_dict()["state"]
        taken = self._steps_in_epoch
        return [
            {
                "rows_recorded": replica.rows,
                "measured": self._rows_recorded,
                "steps": self._steps,
                "point": self._points.detach()[index].clone(),
                "optimizer": _of_replica(momenta, index, self._shared),
                "before": self._before[:taken, index].clone(),
                "failed": self._failed[:taken, index].clone(),
                "lengths": self._lengths[:taken, index].clone(),
                "step_lengths": self._step_lengths.state(index) if self._step_lengths else {},
                "lane": replica.state(),
            }
            for index, replica in enumerate(self._replicas)
        ]

    def restore(self, states: Sequence[Row]) -> None:
        """Go on from states of the same replicas, all after the same number of steps."""
        self._rows_recorded, self._steps = states[0]["measured"], states[0]["steps"]
        self._steps_in_epoch = taken = len(states[0]["before"])
        with torch.no_grad():
            for index, (replica, state) in enumerate(zip(self._replicas, states, strict=True)):
                self._points[index] = state["point"]
                self._before[:taken, index] = state["before"]
                self._failed[:taken, index] = state["failed"]
                if self._step_lengths:
                    self._lengths[:taken, index] = state["lengths"]
                replica.restore(state["lane"])
        momenta = _of_all_replicas([state["optimizer"] for state in states], self._shared)
        optimiser_and_schedule.restore(self._optimizer, {**self._optimizer.state_dict(), "state": momenta})
        if self._step_lengths:
            self._step_lengths.restore([state["step_lengths"] for state in states])
        self._gradient = self._estimator()

    def measure(self) -> list[Row | None]:
        """Return each seed's step, value and best value so far."""
        with torch.no_grad():
            after = self._function(self._points).unsqueeze(0)
        # the value before the first step of an epoch is the one after the last step of the epoch before
        values = torch.cat([self._before[1 : self._steps_in_epoch], after]).T.tolist()
        failed = self._failed[: max(1, self._steps_in_epoch)].T.tolist()
        rows = [replica.follow(*way) for replica, *way in zip(self._replicas, values, failed, strict=True)]
        if self._step_lengths:
            for row, lengths in zip(rows, self._lengths.T, strict=True):
                if row is not None:  # of a replica that has ended, up to its last step
                    row |= quartiles(lengths[: row["step"] - self._steps])
        self._steps += self._steps_in_epoch
        self._steps_in_epoch = 0
        self._rows_recorded += 1
        return rows

    def outcomes(self) -> list[Outcome]:
        """Return for each seed whether and how it has ended."""
        return [replica.outcome for replica in self._replicas]

    def summaries(self) -> list[Row]:
        """Return each seed's best value, the step that reached it, and its last value and step."""
        summaries = [replica.summary() for replica in self._replicas]
        if self._run.objective.n <= _POINTS_TOLD:
            for run, replica, summary, point in zip(
                self._runs, self._replicas, summaries, self._points.tolist(), strict=True
            ):
                summary["first_point"] = self._start_of(run).to(self._points.dtype).tolist()
                if replica.outcome == "completed":  # the points of others have moved on
                    summary["last_point"] = point
        return summaries

    def _start_of(self, run: FunctionRun) -> Tensor:
        """Return where a run starts."""
        if run.objective.start == "published":
            return self._start(run.objective.n)
        seed = run.seed if run.objective.start_seed is None else run.objective.start_seed
        _, seed = np.random.SeedSequence(seed).generate_state(2)
        return torch.randn(run.objective.n, generator=torch.Generator().manual_seed(int(seed)))

    def weights(self) -> list[dict[str, Weights]]:
        """Return none: a function has its point in the summary."""
        return [{} for _ in self._seeds]

    def describe(self, rows: Sequence[Row | None]) -> str:
        """Return the mean over the seeds of the best value so far."""
        step = max((int(row["step"]) for row in rows if row), default=0)
        best = fmean(replica.best for replica in self._replicas)
        running = sum(replica.outcome == "running" for replica in self._replicas)
        together = f" (mean of {len(rows)} seeds, {running} running)" if len(rows) > 1 else ""
        return f"step {step}/{self._run.steps}  best value {best:.6g}{together}"


def _of_replica(momenta: dict[int, Row], index: int, shared: bool) -> Row:
    """Return one replica's share of an optimiser's state: of tensors with a row for each, or its own."""
    if not shared:
        return dict(momenta.get(index, {}))
    return {name: value[index].clone() for name, value in momenta.get(0, {}).items() if isinstance(value, Tensor)}


def _of_all_replicas(shares: Sequence[Row], shared: bool) -> dict[int, Row]:
    """Return the optimiser's state of which each replica has a share."""
    if not shared:
        return {index: share for index, share in enumerate(shares) if share}
    joined = {name: torch.stack([share[name] for share in shares]) for name in shares[0]}
    return {0: joined} if joined else {}


# what checkpoints hold of a replica, by names that those of earlier versions have as well
_IN_CHECKPOINTS = (
    "_without_improvement", "_failed_steps", "_step", "_best_step", "_value", "best", "rows", "outcome",
)  # fmt: skip


class _Replica:
    """One seed: it ends at its last step, when it diverges, or when it stops improving.

    It stops after `patience` consecutive steps of which none falls below the value before it
    (arXiv 2410.17764, Section IV-B, as its authors' code does it).
    """

    def __init__(self, run: FunctionRun):
        self._run = run
        self._without_improvement = 0
        may_fail = isinstance(run.gradient, SecondOrder) or run.curvature_length is not None
        self._failed_steps: int | None = 0 if may_fail else None
        self._step = -1
        self._best_step = 0
        self._value = math.inf
        self.best = math.inf
        self.rows = 0
        self.outcome: Outcome = "running"

    def state(self) -> Row:
        """Return all but the settings."""
        return {name: getattr(self, name) for name in _IN_CHECKPOINTS}

    def restore(self, state: Row) -> None:
        """Go on from a state."""
        for name in _IN_CHECKPOINTS:
            setattr(self, name, state[name])

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
            if value < self.best and math.isfinite(value):
                self.best, self._best_step = value, self._step
            self.outcome = self._judge(failure)
            if self.outcome != "running":
                break
        self.rows += 1
        return {"step": self._step, "value": self._value, "best_value": self.best}

    def _judge(self, failure: bool) -> Outcome:
        patience = self._run.early_stopping.patience
        if not math.isfinite(self._value) or self._value > (self._run.diverged_above or math.inf):
            return "diverged"
        if self._failed_steps is not None and failure:
            self._failed_steps += 1
            if isinstance(self._run.gradient, SecondOrder) and self._run.gradient.on_failure == "stop":
                return "step_failed"
        if patience is not None and self._without_improvement >= patience:
            return "stopped_early"
        return "completed" if self._step == self._run.steps else "running"
