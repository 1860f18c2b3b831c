"""What steps cost: measured in turns, as ratios to a plain forward pass and to backpropagation of the same network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import Sequential
from torch.utils.checkpoint import checkpoint_sequential
from torch.utils.flop_counter import FlopCounterMode

from frog_cli.engine.batch_gradients import recordable
from frog_cli.engine.memory import keep_freed_memory, peak_memory
from frog_cli.engine.phases import timed_by
from frog_cli.engine.recording import recorded_by_shape
from frog_cli.files.csv import Row
from frog_cli.ideas import sources
from frog_cli.modules.calls import parameters_of
from frog_cli.objectives import devices, network_steps, optimiser_and_schedule
from frog_cli.objectives.network_steps import sample_loss
from frog_cli.ranks.grid import ONE_RANK, Grid, grid
from frog_cli.ranks.ranks import ALONE, Ranks
from frog_cli.ranks.shape import shape
from frog_cli.runs.environment import environment
from frog_cli.runs.progress import Progress
from frog_cli.settings.methods import step_columns
from frog_cli.settings.requests import BenchRequest
from frog_cli.settings.schema import Backprop, ClassificationRun
from frog_cli.settings.verb_options import Bench
from frog_cli.studies.step_cost_rows import REFERENCES, image_of

LEARNING_RATE = 1e-12  # of all steps: with a larger one the weights might grow until they are infinite

SHORTEST = 0.02  # seconds that are timed; faster steps are taken several times in a row and their mean is kept


class Step(NamedTuple):
    """A step, and the ranks that take it together."""

    take: Callable[[], object]
    grid: Grid = ONE_RANK


class Measured(NamedTuple):
    """What a step costs this rank.

    Attributes:
        seconds: of one step in each round.
        parts: the seconds of each of its parts.
        peak: of its memory, in bytes.
        multiplications: how many numbers it multiplies.
        exchanged: bytes of the results of all exchanges among ranks.
    """

    seconds: list[float]
    parts: dict[str, float]
    peak: int | None
    multiplications: int
    exchanged: int


def measure(request: BenchRequest, ranks: Ranks = ALONE, local_rank: int | None = None) -> list[Row]:
    """Return a row for each run, and before the runs of each network the references, which no ranks share."""
    keep_freed_memory()
    device = devices.chosen(request.runs[0].device, local_rank, own=ranks.size > 1)
    networks: dict[str, list[ClassificationRun]] = {}
    for run in request.runs:
        key = f"{run.model} {image_of(run, request.bench)} {run.batch_size} {run.tf32}"
        small = {} if run.curvature_length else {"learning_rate": LEARNING_RATE}
        networks.setdefault(key, []).append(run.model_copy(update=small))
    rows = []
    with Progress(len(networks), "network", silent=ranks.rank > 0) as progress:
        for number, of_one_network in enumerate(networks.values(), start=1):
            rows += _rows(of_one_network, request.bench, device, ranks)
            progress.show(number, f"{number} of {len(networks)} networks measured", number == len(networks))
    about: dict[str, Any] = environment(str(device))
    on = {"device": device.type, "processor": about["processor"], "threads": about["threads"]}
    return [{**row, **on, "torch": about["versions"]["torch"], "commit": about["commit"]} for row in rows]


def _rows(same_network: Sequence[ClassificationRun], bench: Bench, device: torch.device, ranks: Ranks) -> list[Row]:
    """Measure steps of the same network on the same batch, in turns."""
    first = same_network[0]
    devices.set_precision(first.tf32)
    image = image_of(first, bench)
    torch.manual_seed(0)
    images = torch.randn(first.batch_size, *image, device=device)
    labels = torch.randint(bench.classes, (first.batch_size,), device=device)
    backprop = first.model_copy(update={"gradient": Backprop(name="backprop"), "learning_rate": LEARNING_RATE})
    methods: list[Row] = [{"gradient": name} for name in REFERENCES]
    methods += [step_columns(run, ranks.size) for run in same_network]
    steps = [_reference(name, backprop, bench, images, labels) for name in REFERENCES]
    steps += [_step(run, bench, images, labels, grid(ranks, shape(run.parallel, ranks.size))) for run in same_network]
    found = _in_turns(steps, bench.rounds, bench.memory, device, ranks)
    plain, reverse = found[0], found[1]

    network = {"model": first.model.name, "image": "x".join(map(str, image)), "batch_size": first.batch_size}
    network |= {name: value for name, value in first.model.model_dump().items() if name != "name"}
    model = _network(first, bench, images)
    network["parameters"] = sum(map(torch.numel, parameters_of(model)))
    held = sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers(), images, labels])
    return [
        {**network, **method, **_costs(measured, plain, reverse, held)}
        for method, measured in zip(methods, found, strict=True)
    ]


def _costs(measured: Measured, plain: Measured, reverse: Measured, held: int) -> Row:
    """Return medians with their quartiles, as they are and as ratios to those of the same round."""
    row: Row = {"rounds": len(measured.seconds)}
    row |= quartiles("milliseconds", [1e3 * seconds for seconds in measured.seconds])
    for name, reference in (("plain_passes", plain), ("backprop_steps", reverse)):
        ratios = [one / other for one, other in zip(measured.seconds, reference.seconds, strict=True)]
        row |= quartiles(name, ratios)
    unit = sorted(plain.seconds)[len(plain.seconds) // 2]
    row |= {"exchanged_bytes": measured.exchanged} if measured.exchanged else {}
    row |= {"multiplications": measured.multiplications}
    row |= {"plain_multiplications": measured.multiplications / plain.multiplications}
    row |= {f"{part.replace(' ', '_')}_plain_passes": seconds / unit for part, seconds in measured.parts.items()}
    if measured.peak is not None and plain.peak is not None and reverse.peak is not None:
        peak = measured.peak + held
        row |= {"peak_bytes": peak, "inference_peaks": peak / (plain.peak + held)}
        row["backprop_peaks"] = peak / (reverse.peak + held)
    return row


def quartiles(name: str, values: Sequence[float]) -> Row:
    """Return the median and the quartiles of some values as three columns."""
    low, middle, high = (float(value) for value in np.quantile(values, (0.25, 0.5, 0.75)))
    return {name: middle, f"{name}_low": low, f"{name}_high": high}


def _network(run: ClassificationRun, bench: Bench, images: Tensor) -> Sequential:
    """Return a network for a batch, always with the same weights."""
    torch.manual_seed(0)
    return sources.imported(run.model)(tuple(images.shape[1:]), bench.classes).to(images.device).train()


def _step(run: ClassificationRun, bench: Bench, images: Tensor, labels: Tensor, grid: Grid = ONE_RANK) -> Step:
    """Return a step as frog train takes it, of a network of its own."""
    model = _network(run, bench, images)
    parameters = parameters_of(model)
    optimizer = optimiser_and_schedule.optimizer(run, parameters)
    gradient = network_steps.batch_gradient(run, model, images, grid)
    if run.curvature_length is not None:
        gradient = network_steps.with_lengths(gradient, network_steps.step_lengths(run.curvature_length, model), model)
    generator = Generator(images.device).manual_seed(0)
    return Step(lambda: network_steps.take_step(gradient, parameters, optimizer, images, labels, generator), grid)


def _reference(name: str, run: ClassificationRun, bench: Bench, images: Tensor, labels: Tensor) -> Step:
    """Return a plain forward pass with the loss, or a step of backpropagation, with checkpoints or without."""
    if name == "backprop":
        return _step(run, bench, images, labels)

    model = _network(run, bench, images)

    def loss(images: Tensor, labels: Tensor) -> tuple[Tensor]:
        return (sample_loss(model(images), labels).mean(),)

    if name == "plain pass":
        fastest = recorded_by_shape(loss) if recordable(model) else torch.no_grad()(loss)
        return Step(lambda: fastest(images, labels))

    optimizer = optimiser_and_schedule.optimizer(run, parameters_of(model))
    segments = max(1, round(len(model) ** 0.5))

    def step() -> None:
        outputs = checkpoint_sequential(model, segments, images, use_reentrant=False)
        sample_loss(outputs, labels).mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return Step(step)


def _in_turns(steps: Sequence[Step], rounds: int, memory: bool, device: torch.device, ranks: Ranks) -> list[Measured]:
    """Time each step once per round, so that whatever slows the machine down slows all of them."""
    clock = _Clock(device)
    repetitions = []
    for step in steps:
        with timed_by(clock):
            step.take()  # records its operations, if it can, with its parts
        seconds_of_one = clock.seconds(step.take)
        repetitions.append(ranks.first(partial(_repetitions, seconds_of_one)))
    seconds: list[list[float]] = [[] for _ in steps]
    for _ in range(rounds):
        for step, number, found in zip(steps, repetitions, seconds, strict=True):
            found.append(clock.seconds(step.take, number))
    measured = []
    for step, found in zip(steps, seconds, strict=True):
        clock.stop()
        clock.parts.clear()  # also of what began before
        with timed_by(clock):
            for _ in range(rounds):
                step.take()
                clock.stop()
        per_step = {part: total / rounds for part, total in clock.parts.items()}
        peak = peak_memory(step.take, device) if memory else None
        before = step.grid.exchanged
        number = multiplications(step.take)
        measured.append(Measured(found, per_step, peak, number, step.grid.exchanged - before))
    return measured


def _repetitions(seconds: float) -> int:
    """Return how often a step is taken in a row, so that it can be timed."""
    return max(1, round(SHORTEST / seconds))


def multiplications(step: Callable[[], object]) -> int:
    """Return how many numbers a step multiplies in matrix products and convolutions, by their shapes."""
    # oneDNN's product, which torch's counter does not know
    with FlopCounterMode(display=False, custom_mapping={torch.ops.mkldnn._linear_pointwise: _of_linear}) as counter:
        step()
    return counter.get_total_flops() // 2  # it counts additions as well


def _of_linear(inputs: torch.Size, weight: torch.Size, *others: object, **kwargs: object) -> int:
    del others, kwargs
    return 2 * inputs.numel() * weight[0]


class _Clock:
    """Adds up the seconds of each part; waits for the device, which is why steps are timed without it as well."""

    def __init__(self, device: torch.device):
        self._device = device
        self._part: str | None = None
        self._began = 0.0
        self.parts: dict[str, float] = {}

    def __call__(self, part: str | None) -> None:
        now = self._now()
        if self._part is not None:
            self.parts[self._part] = self.parts.get(self._part, 0) + now - self._began
        self._part, self._began = part, now

    def stop(self) -> None:
        """End the part that has begun."""
        self(None)

    def seconds(self, step: Callable[[], object], number: int = 1) -> float:
        """Return the seconds of a step, the mean of a number of them in a row."""
        began = self._now()
        for _ in range(number):
            step()
        return (self._now() - began) / number

    def _now(self) -> float:
        devices.finish(self._device)
        return perf_counter()
