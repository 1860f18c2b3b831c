"""The training of a network that classifies images."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from frog_cli.data import locations
from frog_cli.data.dataset import ImageData, Split
from frog_cli.errors import RequestError
from frog_cli.gradients.space import Estimate
from frog_cli.modules.calls import parameters_of
from frog_cli.modules.random_numbers import seed_python_and_numpy, set_or_seed, set_states, states
from frog_cli.modules.state import set_tensors, tensors_of
from frog_cli.objectives import devices, optimiser_and_schedule
from frog_cli.objectives.approximation import approximation
from frog_cli.objectives.evaluation import evaluator
from frog_cli.objectives.network_steps import (
    batch_gradient,
    check_curvature,
    half_new,
    sample_loss,
    step_lengths,
    take_step,
    with_lengths,
)
from frog_cli.objectives.networks import network
from frog_cli.objectives.objective import Outcome, Row, Weights, never
from frog_cli.objectives.sample_gradient import SampleGradient
from frog_cli.objectives.step_lengths import StepLengths, quartiles
from frog_cli.ranks.grid import grid
from frog_cli.ranks.ranks import ALONE, Ranks
from frog_cli.ranks.shape import shape
from frog_cli.settings.schema import ClassificationRun, PlaneStep, SecondOrder

SPLITS = ("training", "validation", "test")

COMPARED_EVERY = 100
"""Steps between two comparisons of the weights of all ranks."""


class Classification:
    """One network, its optimiser, and where it stands."""

    def __init__(self, run: ClassificationRun, data: ImageData, device: torch.device, ranks: Ranks = ALONE):
        self._run, self._ranks = run, ranks
        self._data = data
        self._class_names = locations.class_names(run.data)  # now, for the folder may be gone when the run ends
        initial, order, tangents = (int(seed) for seed in np.random.SeedSequence(run.seed).generate_state(3))
        torch.manual_seed(initial)  # of the initial weights and of dropout
        seed_python_and_numpy(initial)  # for models that draw from these
        self._order = Generator().manual_seed(order)
        self._tangents = Generator(device).manual_seed(tangents)
        image = tuple(data.training.images.shape[1:])
        self._model = network(run.model, image, data.classes, device)
        try:
            tensors_of(self._model)
        except TypeError as error:
            raise RequestError(f"model={run.model.name}", str(error)) from None
        self._parameters = parameters_of(self._model)
        self._optimizer = optimiser_and_schedule.optimizer(run, self._parameters)
        if isinstance(run.gradient, SecondOrder):
            curvature = run.gradient.curvature if isinstance(run.gradient, PlaneStep) else "hessian"
            batch = data.training.images[:2], data.training.labels[:2]
            check_curvature(f"gradient={run.gradient.name}", self._model.train(), *batch, curvature)
        direction = batch_gradient(
            run, self._model, data.training.images[:2], grid(ranks, shape(run.parallel, ranks.size))
        )
        self._heads = direction if isinstance(direction, SampleGradient) else None
        self._gradient: Callable[..., Estimate] = direction
        self._estimate = self._heads.estimate if self._heads else direction
        self._step_lengths: StepLengths | None = None
        if run.curvature_length is not None:
            some = slice(0, min(2, run.batch_size))
            batch = data.training.images[some], data.training.labels[some]
            check_curvature("learning_rate=curvature", self._model.train(), *batch)
            self._step_lengths = step_lengths(run.curvature_length, self._model)
            self._gradient = with_lengths(direction, self._step_lengths, self._model)
        self._evaluate = evaluator(self._model, run.evaluation_batch_size)
        self._schedule = optimiser_and_schedule.schedule(run, self._optimizer)
        self._losses: list[Tensor] = []
        self._failures: list[Tensor] = []
        self._lengths: list[Tensor] = []
        self._order_before = self._order.get_state()
        self._batches: Sequence[Tensor] | None = None  # of the epoch in progress
        self._measured_on: Sequence[Tensor] = []  # by each of them
        self._failed_steps = 0
        self._rows: list[Row] = []
        self._steps = 0
        self._outcome: Outcome = "running"
        self._best: dict[str, Any] | None = None  # weights of the lowest validation loss, and the epoch

    @property
    def epochs(self) -> int:
        """The number of passes through the training split."""
        return self._run.epochs

    @property
    def rows_recorded(self) -> int:
        """The number of rows of metrics so far."""
        return len(self._rows)

    @property
    def steps(self) -> int:
        """The number of steps taken so far."""
        return self._steps + (len(self._losses) if self._batches is not None else 0)

    def epoch(self, stop: Callable[[], bool] = never) -> bool:
        """Pass through the training split once, in random order; the last batch may be smaller."""
        images, labels = self._data.training
        self._model.train()
        if self._batches is None:
            self._losses, self._failures, self._lengths = [], [], []
            self._batches = self._draw_batches()

        def chosen(batch: Tensor) -> Split:
            return Split(images.index_select(0, batch), labels.index_select(0, batch))

        for number in range(len(self._losses), len(self._batches)):
            if stop():
                return False
            measures = self._step_lengths is not None and self._step_lengths.measures
            measured_on = [chosen(self._measured_on[number])] if measures else []
            batch = chosen(self._batches[number])
            learnt = take_step(self._gradient, self._parameters, self._optimizer, *batch, self._tangents, *measured_on)
            self._losses.append(learnt.loss)
            self._failures += [] if learnt.failed is None else [learnt.failed]
            self._lengths += [] if learnt.length is None else [learnt.length]
            if self._ranks.size > 1 and (self.steps % COMPARED_EVERY == 0 or number + 1 == len(self._batches)):
                self._compare()
        devices.finish(images.device)
        self._batches = None
        return True

    def _compare(self) -> None:
        """End the run if its ranks have drifted apart, as on processors that round otherwise."""
        sources = [*states(self._parameters[0].device)[:2], self._tangents.get_state()]
        everything = [*tensors_of(self._model).values(), *sources]
        self._ranks.check_equal(f"after step {self.steps} the weights, or the sources of randomness,", everything)

    def _draw_batches(self) -> Sequence[Tensor]:
        """Return the indices of the images of each batch of an epoch."""
        self._order_before = self._order.get_state()
        images, size = self._data.training.images, self._run.batch_size
        order = torch.randperm(len(images), generator=self._order).to(images.device)
        self._measured_on = half_new(order, size) if self._step_lengths else []
        return order.split(size)

    def states(self) -> list[Row]:
        """Return all that further steps depend on."""
        within_epoch = self._batches is not None
        return [
            {
                "rows_recorded": len(self._rows),
                "rows": self._rows,
                "steps": self._steps,
                "failed_steps": self._failed_steps,
                "model": tensors_of(self._model),
                "optimizer": self._optimizer.state_dict(),
                "schedule": self._schedule.state_dict() if self._schedule else {},
                "within_epoch": within_epoch,
                "losses": self._losses if within_epoch else [],
                "failures": self._failures if within_epoch else [],
                "lengths": self._lengths if within_epoch else [],
                "step_lengths": self._step_lengths.state() if self._step_lengths else {},
                "heads": self._heads.state() if self._heads else {},
                "best": self._best or {},
                "order": self._order_before if within_epoch else self._order.get_state(),
                "tangents": self._tangents.get_state(),
                "random_numbers": states(self._parameters[0].device),
            }
        ]

    def restore(self, states: Sequence[Row]) -> None:
        """Go on from a state."""
        (state,) = states
        self._rows, self._steps, self._failed_steps = state["rows"], state["steps"], state["failed_steps"]
        set_tensors(self._model, state["model"])
        optimiser_and_schedule.restore(self._optimizer, state["optimizer"])
        if self._schedule:
            self._schedule.load_state_dict(state["schedule"])
        self._order.set_state(state["order"])
        self._batches = self._draw_batches() if state["within_epoch"] else None
        device = self._parameters[0].device
        kept = (state["losses"], state["failures"], state.get("lengths", []))  # the last not in earlier versions
        self._losses, self._failures, self._lengths = ([one.to(device) for one in of_steps] for of_steps in kept)
        if self._step_lengths:
            self._step_lengths.restore([state["step_lengths"]])
        if self._heads:
            self._heads.restore(state["heads"])
        self._best = state.get("best") or None  # not in earlier versions
        set_or_seed(self._tangents, state["tangents"])
        set_states(device, state["random_numbers"])

    def measure(self) -> list[Row]:
        """Return loss and accuracy of all splits, with which the epoch ends."""
        row: Row = {"epoch": len(self._rows), "step": self._steps + len(self._losses)}
        for name, split in zip(SPLITS, self._data[:3], strict=True):
            row[f"{name}_loss"], row[f"{name}_accuracy_percent"] = self._evaluate(split)
        if self._run.quality.batches is not None:
            row |= self._approximation(self._run.quality.batches, row["epoch"])
        if self._step_lengths:
            lengths = torch.stack(self._lengths) if self._lengths else torch.zeros(0)
            row |= quartiles(lengths * self._optimizer.param_groups[0]["lr"])  # by which a schedule multiplies them
        row = self._ranks.first(lambda: row)  # all go on by the same numbers
        self._end_epoch(row)
        return [row]

    def _approximation(self, batches: int, epoch: int) -> Row:
        """Return how well the gradient of the first so many batches of the training split is estimated."""
        images, labels = (one[: batches * self._run.batch_size] for one in self._data.training)
        pairs = zip(images.split(self._run.batch_size), labels.split(self._run.batch_size), strict=True)
        seed = int(np.random.SeedSequence([self._run.seed, epoch]).generate_state(1)[0])
        generator = Generator(images.device).manual_seed(seed)
        chosen = [Split(*pair) for pair in pairs]
        return approximation(self._model.train(), self._estimate, sample_loss, chosen, generator)

    def _end_epoch(self, row: Row) -> None:
        """Take in the metrics after an epoch: judge whether the run goes on, and let the learning rate fall."""
        self._rows.append(row)
        losses = self._validation_losses()
        if self._run.keep_weights and losses[-1] < min(losses[:-1], default=math.inf):
            self._best = {"epoch": row["epoch"], "tensors": _copied(tensors_of(self._model))}
        self._failed_steps += sum(torch.stack(self._failures).tolist()) if self._failures else 0
        self._outcome = self._judge()
        self._steps = int(row["step"])
        if row["epoch"] > 0:
            optimiser_and_schedule.follow(self._schedule, row["validation_loss"])

    def _validation_losses(self) -> list[float]:
        """Return the validation loss of each row, infinite where the loss of any split is not finite."""
        return [
            row["validation_loss"] if all(math.isfinite(row[f"{name}_loss"]) for name in SPLITS) else math.inf
            for row in self._rows
        ]

    def weights(self) -> list[dict[str, Weights]]:
        """Return the weights of the lowest validation loss and those of now, if they are to be kept."""
        if not self._run.keep_weights:
            return [{}]
        losses = self._validation_losses()
        now: dict[str, Any] = {"epoch": len(self._rows) - 1, "tensors": tensors_of(self._model)}
        kept = {"last": now}
        if self._best and self._best["epoch"] == losses.index(min(losses)):  # not if they were not kept meanwhile
            kept["best"] = self._best
        mean, deviation = self._data.normalisation
        about = {
            "image": json.dumps(list(self._data.training.images.shape[1:])),
            "classes": str(self._data.classes),
            "class_names": json.dumps(self._class_names),
            "mean": json.dumps(mean.tolist()),
            "deviation": json.dumps(deviation.tolist()),
        }
        return [{which: Weights(one["tensors"], {**about, "epoch": str(one["epoch"])}) for which, one in kept.items()}]

    def outcomes(self) -> list[Outcome]:
        """Return whether and how the run has ended."""
        return [self._outcome]

    def summaries(self) -> list[Row]:
        """Return the best and the last test error, and the test error where the validation loss is lowest."""
        validation = self._validation_losses()
        errors = [100 - row["test_accuracy_percent"] for row in self._rows]
        candidates = [error if loss < math.inf else math.inf for error, loss in zip(errors, validation, strict=True)]
        best = validation.index(min(validation))
        summary: Row = {
            "best_test_error_percent": min(candidates),
            "best_test_error_epoch": candidates.index(min(candidates)),
            "last_test_error_percent": errors[-1],
            "best_validation_loss": validation[best],
            "best_validation_loss_epoch": best,
            "test_error_percent_at_best_validation_loss": errors[best],
            "epochs": len(self._rows) - 1,
            "steps": self._steps,
        }
        for name in SPLITS:
            for what in ("loss", "accuracy_percent"):
                summary[f"last_{name}_{what}"] = self._rows[-1][f"{name}_{what}"]
        if isinstance(self._run.gradient, SecondOrder) or self._step_lengths:
            summary["failed_steps"] = self._failed_steps
        diverged_at = self._diverged_at()
        if diverged_at is not None:
            summary["diverged_at_step"] = diverged_at
        summary["weights_sha256"] = _digest(tensors_of(self._model))
        return [summary]

    def describe(self, rows: Sequence[Row | None]) -> str:
        """Return the epoch with its losses and the test error."""
        row = rows[-1] or self._rows[-1]
        losses = "  ".join(f"{name} {row[f'{name}_loss']:.4f}" for name in SPLITS)
        error = 100 - row["test_accuracy_percent"]
        return f"epoch {row['epoch']}/{self._run.epochs}  loss: {losses}  test error {error:.2f} %"

    def _judge(self) -> Outcome:
        run, row = self._run, self._rows[-1]
        if self._diverged_at() is not None:
            return "diverged"
        if isinstance(run.gradient, SecondOrder) and run.gradient.on_failure == "stop" and self._failed_steps:
            return "step_failed"
        losses = [row["validation_loss"] for row in self._rows]
        patience = run.early_stopping.patience
        if patience is not None and len(losses) - 1 - losses.index(min(losses)) >= patience:
            return "stopped_early"
        return "completed" if row["epoch"] == run.epochs else "running"

    def _diverged_at(self) -> int | None:
        """Return the first step of this epoch with a loss beyond bounds, or the epoch's last by its evaluation."""
        highest = self._run.diverged_above or math.inf
        row = self._rows[-1]
        losses = torch.stack(self._losses).tolist() if self._losses else []
        first = int(row["step"]) - len(losses) + 1
        for step, loss in enumerate([*losses, *(row[f"{name}_loss"] for name in SPLITS)], start=first):
            if not math.isfinite(loss) or loss > highest:
                return min(step, int(row["step"]))
        return None


def _digest(weights: Mapping[str, Tensor]) -> str:
    """Return a hash of all bits of all parameters and buffers."""
    found = hashlib.sha256()
    for name, tensor in weights.items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def _copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies of tensors, on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()}
