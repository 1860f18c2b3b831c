"""learning_rate=curvature in runs: functions, networks, resuming, and where it is refused."""

from __future__ import annotations

import csv
import io
import json
import random
import warnings

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from frog_cli.cli import main
from frog_cli.data.dataset import load
from frog_cli.engine.batch_gradients import fast_backprop
from frog_cli.engine.recording import SlowIdeaWarning
from frog_cli.errors import RequestError
from frog_cli.objectives import network_steps
from frog_cli.objectives.classification import Classification
from frog_cli.objectives.minimisation import Minimisation
from frog_cli.objectives.step_lengths import StepLengths
from frog_cli.runs.identity import identity
from frog_cli.settings.requests import train_request
from tests.objectives.courses import check_that_it_goes_on_bitwise

CPU = torch.device("cpu")
SPHERE = ["objective=sphere", "objective.n=9", "gradient=mean", "steps=30", "record_every=10"]
DIGITS = ["data.limit=96", "batch_size=32", "epochs=2"]
NETWORKS = {
    "activities": [*DIGITS, "model.width=16", "gradient.k=4"],
    "weights": [*DIGITS, "model.width=16", "gradient.k=4", "gradient.perturb=weights", "gradient=mean"],
    "backprop": [*DIGITS, "model.width=16", "gradient=backprop"],
    "batch norm": [*DIGITS, "model=resnet18", "model.width=8", "gradient.perturb=weights", "epochs=1", "gradient=mean"],
    "dropout": [*DIGITS, "model=vit", "model.depth=1", "model.hidden=8", "model.mlp=8", "model.dropout=0.5"],
}
NETWORKS["local tangents"] = [*DIGITS, "model.width=16", "tangents=local", "tangents.depth=1", "tangents.random=2"]
CURVATURE = ["learning_rate=curvature"]


def network(*words: str) -> Classification:
    run = train_request([*words, *CURVATURE]).runs[0]
    return Classification(run, load(run.data, CPU), CPU)


def minimisation(*words: str, seeds: int | str = 1) -> Minimisation:
    return Minimisation(train_request([*SPHERE, *CURVATURE, *words, f"seeds={seeds}"]).runs, CPU)


def rows(objective) -> list:
    found = [objective.measure()]
    for _ in range(objective.epochs):
        objective.epoch()
        found.append(objective.measure())
    return found


def test_lengths_of_a_function_are_those_of_a_loop_written_out():
    """Backprop on Rosenbrock, factor 0.7 and smoothing 0.5, in float64 with autograd alone."""
    words = ["objective=rosenbrock", "gradient=backprop", "step.factor=0.7", "step.smoothing=0.5", "steps=20"]
    values = [row[0]["value"] for row in rows(minimisation(*words, "record_every=1"))]
    x, slope, curvature, signed, last = torch.zeros(9).double(), 0.0, 0.0, 0.0, 0.0
    x[0] = -1

    def function(x):
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    for value in values:
        assert value == pytest.approx(function(x).item(), rel=1e-9)
        g, H = torch.func.grad(function)(x), torch.func.hessian(function)(x)
        slope, curvature = 0.5 * slope + 0.5 * g @ g, 0.5 * curvature + 0.5 * (g @ H @ g).abs()
        signed = 0.5 * signed + 0.5 * g @ H @ g
        most = last * (1 if signed < 0 else 2) if last else 0.01 * x.norm() / g.norm()
        last = min(0.7 * slope / curvature, most)
        x = x - last * g


@pytest.mark.parametrize("n", [5, 9, 64])
def test_seeds_side_by_side_are_each_as_alone(n):
    words = [f"objective.n={n}", "objective=styblinski-tang"]
    together = rows(minimisation(*words, seeds=3))
    alone = rows(minimisation(*words, seeds="[1]"))
    assert [row[1] for row in together] == [row[0] for row in alone]


def test_a_measurement_every_few_steps_is_shared_by_those_between(monkeypatch):
    counted = []
    lengthen = StepLengths.lengthen

    def counting(self, *arguments):
        counted.append(arguments[-1] is not None)
        return lengthen(self, *arguments)

    monkeypatch.setattr(StepLengths, "lengthen", counting)
    objective = minimisation("step.every=4")
    rows(objective)
    assert counted == [step % 4 == 0 for step in range(30)]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.filterwarnings("ignore:.*couples the samples")
def test_a_network_goes_on_bitwise_from_any_step(name):
    """Buffers and random numbers of dropout among what must be the same."""
    found = check_that_it_goes_on_bitwise(lambda: network(*NETWORKS[name]))
    assert found[-1][0]["step_length_upper_quartile"] > 0


def test_a_function_goes_on_bitwise_from_any_step():
    whole = minimisation(seeds=2)
    expected = rows(whole)
    first = minimisation(seeds=2)
    first.measure()
    left = iter([False] * 7 + [True])
    assert not first.epoch(lambda: next(left))
    second = minimisation(seeds=2)
    second.restore(first.states())
    found = []
    for _ in range(3):
        second.epoch()
        found.append(second.measure())
    assert found == expected[1:]


@pytest.mark.parametrize(("samples", "size"), [(96, 32), (97, 32), (40, 7), (5, 1), (10, 64), (33, 32)])
def test_lengths_are_measured_on_half_of_the_batch_and_as_many_samples_that_come_next(samples, size):
    order = torch.randperm(samples)
    batches, measured_on = order.split(size), network_steps.half_new(order, size)
    assert [len(one) for one in measured_on] == [len(batch) for batch in batches]
    following = (*batches[1:], batches[0])
    for batch, next_one, found in zip(batches, following, measured_on, strict=True):
        half = len(batch) // 2
        later = torch.cat([next_one, *batches])[:half]  # of a short last batch the first ones follow
        assert found[: len(batch) - half].equal(batch[half:])
        assert found[len(batch) - half :].equal(later)
        assert len(set(found.tolist())) == len(found)
    if samples <= size:  # all of them, once each
        assert set(measured_on[0].tolist()) == set(range(samples))


def test_a_step_of_a_network_is_as_long_as_double_backward_says_over_these_samples():
    """The first step of backprop, with autograd alone; nothing of frog's own but the weights and the order."""
    objective = network(*DIGITS, "model.width=16", "gradient=backprop", "early_stopping.patience=null")
    model, (images, labels) = objective._model, objective._data.training
    seen = []
    lengthen = StepLengths.lengthen
    objective._step_lengths.lengthen = lambda *given: seen.append(given) or lengthen(objective._step_lengths, *given)
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    objective.epoch(lambda: bool(seen))
    with torch.no_grad():
        for parameter, before in zip(model.parameters(), weights, strict=True):
            parameter.copy_(before)
    order = torch.randperm(96, generator=torch.Generator().set_state(objective._order_before))

    def loss(chosen):
        return torch.nn.functional.cross_entropy(model(images[chosen]), labels[chosen])

    s = torch.autograd.grad(loss(order[:32]), list(model.parameters()))
    g = torch.autograd.grad(loss(order[16:48]), list(model.parameters()), create_graph=True)
    slope = sum((a * b).sum() for a, b in zip(g, s, strict=True))
    Hs = torch.autograd.grad(slope, list(model.parameters()))
    curvature = sum((a * b).sum() for a, b in zip(Hs, s, strict=True))
    ((_, _, measured),) = seen
    torch.testing.assert_close(measured.slopes.squeeze(), slope.detach(), rtol=1e-4, atol=0)
    torch.testing.assert_close(measured.curvature.squeeze(), curvature, rtol=1e-4, atol=0)


def test_a_schedule_multiplies_lengths():
    """After the first epoch a step is a tenth as long as without it: a rate of a tenth times the same length."""
    words = [*DIGITS, "model.width=16", "gradient=backprop"]
    moved = []
    for schedule in ("none", "every"):
        objective = network(*words, f"schedule.name={schedule}", "schedule.factor=0.1")
        objective.measure()
        objective.epoch()
        objective.measure()
        before = torch.cat([parameter.detach().flatten().clone() for parameter in objective._parameters])
        left = iter([False, True])
        objective.epoch(lambda left=left: next(left))
        moved.append(torch.cat([parameter.detach().flatten() for parameter in objective._parameters]) - before)
    torch.testing.assert_close(moved[1], 0.1 * moved[0], rtol=1e-3, atol=1e-7)


def test_buffers_change_once_for_each_step():
    words = [*NETWORKS["batch norm"], "data.limit=32"]
    objective = network(*words)
    objective.measure()
    objective.epoch()
    tracked = [buffer for name, buffer in objective._model.named_buffers() if name.endswith("num_batches_tracked")]
    assert {int(count) for count in tracked} == {1}


class Counts(nn.Module):
    """Multiplies by how often it was called."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * (1 + 0.1 * self.calls)


class DrawsInPython(nn.Module):
    def forward(self, x):
        return x * (1 + random.random())


class DropsOutByItself(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5, self.training)


@pytest.mark.parametrize("layer", [Counts, DrawsInPython, DropsOutByItself])
def test_direction_and_length_are_of_one_function(layer):
    """What tells: along the gradient itself the slope of the same function is its squared length."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), layer(), nn.Tanh(), nn.Linear(8, 3)).double()
    x, labels, told = torch.randn(5, 6).double(), torch.arange(5) % 3, []

    class Lengths:
        measures = True

        def lengthen(self, estimate, norm, measured):
            told.append((norm**2, measured.slopes.squeeze(), estimate.loss, measured.loss))
            return estimate

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlowIdeaWarning)
        step = network_steps.with_lengths(fast_backprop(model, network_steps.sample_loss), Lengths(), model)
        for _ in range(4):
            step(x, labels, torch.Generator())
    for squared, slope, loss, measured in told:
        torch.testing.assert_close((slope, measured), (squared, loss))
    if layer is Counts:
        assert model[1].calls == 4


@pytest.mark.parametrize("layer", [Counts, DrawsInPython, DropsOutByItself])
def test_samples_of_such_a_network_are_not_shared(layer):
    model = nn.Sequential(nn.Linear(6, 8), layer(), nn.Linear(8, 3)).eval()
    with pytest.raises(RequestError, match="parallel=batch: the model keeps statistics or drops out"):
        network_steps.check_samples_are_independent(model, torch.randn(2, 6))
    network_steps.check_samples_are_independent(nn.Sequential(nn.Linear(6, 3)), torch.randn(2, 6))


def test_steps_without_a_length_are_counted_and_zero(monkeypatch):
    """A function that is concave along its gradient has one by the absolute curvature; a plane has none."""
    monkeypatch.setattr(
        "frog_cli.objectives.minimisation.closed_form", lambda _: (lambda x: x.sum(-1), lambda n: torch.ones(n))
    )
    objective = minimisation("early_stopping.patience=null")
    rows(objective)
    (summary,) = objective.summaries()
    assert summary["failed_steps"] == summary["steps"] == 30
    assert summary["best_value"] == summary["last_value"] == 9


def test_runs_have_lengths_in_metrics_rows_and_pictures(runs, capsys):
    assert main(["train", *SPHERE, *CURVATURE]) == 0
    (folder,) = runs.iterdir()
    first, *others = csv.DictReader(io.StringIO((folder / "metrics.csv").read_text()))
    assert first["step_length_median"] == ""
    assert all(float(row["step_length_lower_quartile"]) <= float(row["step_length_median"]) for row in others)
    assert json.loads((folder / "summary.json").read_text())["failed_steps"] == 0
    capsys.readouterr()
    assert main(["table", "runs"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["learning_rate"], row["step.factor"], row["step.smoothing"]) == ("curvature", "1.0", "0.9")


def test_options_of_the_length_count_only_where_there_is_one():
    def name(*words: str) -> str:
        return identity(train_request([*SPHERE, *words]).runs[0])

    assert name("learning_rate=1") == name("learning_rate=1", "step.factor=0.1")
    assert name(*CURVATURE) != name(*CURVATURE, "step.factor=0.1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gradient=fomoh"], "learning_rate=curvature: gradient=fomoh finds lengths itself"),
        (["optimizer.name=Adam"], "learning_rate=curvature: gives each step its length"),
        (["optimizer.options.momentum=0.9"], "learning_rate=curvature: gives each step its length"),
        (["step.smoothing=1"], "step.smoothing=1: must be a number, at least 0 and below 1"),
        (["step.every=0"], "step.every=0: must be a whole number, at least 1"),
        (
            ["learning_rate=curved"],
            "learning_rate=curved: must be a finite number above 0, published, searched or",
        ),
    ],
)
def test_refusals(words, message, capsys, runs):
    assert main(["train", *CURVATURE, *words]) == 2
    assert capsys.readouterr().err.startswith(f"frog: {message}")
    assert not runs.exists()


def test_a_network_whose_curvature_cannot_be_measured_is_refused_by_the_operation(runs, capsys, tmp_path):
    (tmp_path / "my_ideas.py").write_text(
        """
import torch
from torch import nn
from frog_cli import ideas
from tests.objectives.courses import check_that_it_goes_on_bitwise

class Wavy(nn.Module):
    def forward(self, x):
        return torch.sinc(x.square() + 1)

@ideas.model
def strange(image, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes), Wavy())
"""
    )
    words = ["train", f"ideas=[{tmp_path}/my_ideas.py]", "model=strange", "gradient=backprop", *CURVATURE]
    assert main(words) == 2
    assert "learning_rate=curvature: the curvature cannot be measured: " in capsys.readouterr().err


def test_a_norm_is_that_of_all_numbers():
    tensors = [torch.randn(3, 4, requires_grad=True), torch.randn(5)]
    expected = torch.cat([tensor.flatten() for tensor in tensors]).norm()
    torch.testing.assert_close(network_steps._norm(tensors), expected.detach())


def test_lengths_are_those_that_a_schedule_leaves():
    """One batch an epoch: until the second step both runs are the same, whose length the schedule multiplies by 0.1."""
    words = ["data.limit=32", "batch_size=32", "epochs=2", "model.width=16", "gradient=backprop"]
    plain = rows(network(*words))
    falling = rows(network(*words, "schedule.name=every", "schedule.epochs=1", "schedule.factor=0.1"))
    (first, second), (same, shorter) = (
        [row[0]["step_length_median"] for row in found[1:]] for found in (plain, falling)
    )
    assert same == first
    assert shorter == pytest.approx(0.1 * second, rel=1e-6)
