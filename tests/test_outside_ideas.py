"""Ideas from a file outside frog, in every verb that trains."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from frog_cli.cli import main
from frog_cli.engine import point_gradients
from frog_cli.engine.batch_gradients import fast_forward_gradient
from frog_cli.engine.recording import SlowIdeaWarning
from frog_cli.gradients import AGGREGATIONS, TANGENTS, ForwardGradient
from frog_cli.gradients.activities import activities
from frog_cli.gradients.estimate import estimate
from frog_cli.gradients.weights import weights
from frog_cli.objectives.classification import Classification
from frog_cli.objectives.minimisation import Minimisation
from frog_cli.runs.identity import identity
from frog_cli.settings.requests import train_request
from tests.cases import case, sample_loss
from tests.processes import FROG, Process

IDEAS = '''
"""Ideas of a test."""

import math

import torch
from torch import nn

from frog_cli import ideas


@ideas.tangents
def laplace(shape, generator, dtype, *, scale: float = 1.0):
    """Sample entries of the Laplace distribution."""
    uniform = torch.rand(shape, generator=generator, device=generator.device, dtype=dtype) - 0.5
    return -scale * uniform.sign() * (1 - 2 * uniform.abs()).log()


@ideas.aggregation
def clipped_mean(tangents, slopes, *, largest: float = 10.0):
    """Average slopes that are clipped."""
    return slopes.clamp(-largest, largest) / tangents.shape[-2]


@ideas.aggregation
def careful_mean(tangents, slopes):
    """Average, and halve what is steep."""
    if slopes.norm() > 1:
        slopes = slopes / 2
    return slopes / tangents.shape[-2]


@ideas.function(start=-1.0)
def ackley(x, *, depth: float = 20.0):
    """Many local minima around the global one at 0."""
    root = (x.square().mean(-1) + 1e-12).sqrt()
    return -depth * (-0.2 * root).exp() - (2 * math.pi * x).cos().mean(-1).exp() + depth + math.e


@ideas.model
def lenet(image, classes, *, width: int = 6):
    """One convolution and one linear layer."""
    channels, height, _ = image
    size = (height - 2) ** 2
    first = nn.Sequential(nn.Conv2d(channels, width, 3), nn.Tanh(), nn.Flatten())
    return nn.Sequential(first, nn.Linear(width * size, classes))
'''

DIGITS = ["data=digits", "data.limit=64", "batch_size=32", "epochs=2", "learning_rate=0.01"]
CHOICES = {
    "tangents": ["tangents=laplace", "tangents.scale=0.5", *DIGITS],
    "aggregation": ["gradient=clipped_mean", "gradient.largest=3", "gradient.k=4", *DIGITS],
    "branch": ["gradient=careful_mean", "gradient.k=4", *DIGITS],
    "model": ["model=lenet", "model.width=2", *DIGITS],
    "function": ["objective=ackley", "objective.n=8", "objective.depth=10", "steps=200", "learning_rate=0.01"],
    "all": ["gradient=clipped_mean", "tangents=laplace", "objective=ackley", "steps=200", "learning_rate=0.01"],
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_ideas.py"
    path.write_text(IDEAS)
    return path


def summaries(runs) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(runs.glob("*/summary.json"))]


@pytest.mark.filterwarnings("ignore::frog_cli.engine.recording.SlowIdeaWarning")
@pytest.mark.parametrize("name", CHOICES)
def test_runs_train_with_ideas_and_become_rows(name, file, runs, capsys):
    assert main(["train", f"ideas=[{file}]", *CHOICES[name]]) == 0
    (summary,) = summaries(runs)
    assert summary["outcome"] in ("completed", "stopped_early")
    capsys.readouterr()
    assert main(["train", f"ideas=[{file}]", *CHOICES[name]]) == 0
    assert "was done already" in capsys.readouterr().out
    file.unlink()  # rows are read without the idea
    assert main(["table", "runs"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    hashes = {column: value for column, value in row.items() if column.endswith(".sha256")}
    assert len(hashes) == (3 if name == "all" else 1)
    assert all(len(value) == 10 for value in hashes.values())


def test_options_are_columns_with_the_kind_in_front(file, runs, capsys):
    main(["train", f"ideas=[{file}]", *CHOICES["function"], "tangents=laplace", "gradient=mean"])
    capsys.readouterr()
    main(["table", "runs"])
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["tangents"], row["tangents.scale"], row["function"], row["objective.depth"]) == (
        "laplace", "1.0", "ackley", "10.0",
    )  # fmt: skip


def test_the_content_of_the_file_is_a_part_of_the_identity(file, tmp_path):
    def name(*words: str) -> str:
        return identity(train_request([*words, *CHOICES["tangents"]]).runs[0])

    before = name(f"ideas=[{file}]")
    elsewhere = tmp_path / "elsewhere.py"
    elsewhere.write_text(IDEAS)
    assert name(f"ideas=[{elsewhere}]") == before
    file.write_text(IDEAS + "\n")
    assert name(f"ideas=[{file}]") != before


def test_a_run_is_the_one_that_its_numbers_say(file, runs):
    """An idea that does what a built-in one does gives the same numbers."""
    text = """
import torch
from frog_cli import ideas

@ideas.tangents
def gauss(shape, generator, dtype):
    return torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float32).to(dtype)

@ideas.aggregation
def average(tangents, slopes):
    return slopes / tangents.shape[-2]
"""
    file.write_text(text)
    words = ["gradient.k=4", *DIGITS]
    assert main(["train", f"ideas=[{file}]", "tangents=gauss", "gradient=average", *words]) == 0
    assert main(["train", "tangents=normal", "gradient=mean", *words]) == 0
    own, built_in = (path.read_bytes() for path in sorted(runs.glob("*/metrics.csv")))
    assert own == built_in


def by_torch(slopes):
    return slopes.abs().sum() > 1


def by_a_number(slopes):
    return slopes.abs().max().item() > 1


def by_numpy(slopes):
    return np.abs(slopes.numpy()).sum() > 1


def by_an_array(slopes):
    return np.abs(np.asarray(slopes)).sum() > 1


def by_a_list(slopes):
    return max(abs(slope) for slope in slopes.flatten().tolist()) > 1


BRANCHES = [by_torch, by_a_number, by_numpy, by_an_array, by_a_list]


def halved_if(steep):
    """Return an aggregation that branches on values."""

    def aggregation(tangents, slopes):
        return (slopes / 2 if steep(slopes) else slopes) / tangents.shape[-2]

    return aggregation


@pytest.mark.parametrize("steep", BRANCHES)
def test_a_branch_on_values_is_taken_anew_at_every_step_of_a_function(steep):
    halved_if_steep = halved_if(steep)

    method = ForwardGradient(k=2, tangents=TANGENTS["standard_basis"], measure="forward", aggregation=halved_if_steep)
    small, large = (torch.full((2, 2), size).double() for size in (1e-3, 1e3))
    with pytest.warns(SlowIdeaWarning, match="branch on values"):
        gradient = point_gradients.forward_gradient(method, lambda x: x.square().sum(-1), small, [0, 1])
    for points, factor in ((small, 1.0), (large, 0.5), (small, 1.0)):
        torch.testing.assert_close(gradient(points).gradients[0], factor * points)  # 2 x / k


@pytest.mark.parametrize("space", [weights, activities])
@pytest.mark.parametrize("steep", BRANCHES)
def test_a_branch_on_values_is_taken_anew_at_every_step_of_a_network(steep, space):
    model, images, labels = case("mlp")
    method = ForwardGradient(
        k=4, tangents=TANGENTS["normal"], measure="forward", aggregation=halved_if(lambda slopes: steep(slopes / 50))
    )
    where = space(model, sample_loss)
    fast = fast_forward_gradient(method, where, model)
    with pytest.warns(SlowIdeaWarning, match="branch on values"):
        fast(images, labels, torch.Generator())
    halved = set()
    for factor in (1.0, 1e4, 1e-4, 1e4):  # slopes that are steep, and not
        with torch.no_grad():
            model[-1][-1].weight.mul_(factor)
        found = fast(images, labels, torch.Generator().manual_seed(1))
        expected = estimate(method, where, images, labels, torch.Generator().manual_seed(1))
        mean = estimate(
            replace(method, aggregation=AGGREGATIONS["mean"]), where, images, labels, torch.Generator().manual_seed(1)
        )
        for ours, theirs in zip(found.gradients, expected.gradients, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=0)
        halved.add(not torch.allclose(found.gradients[0], mean.gradients[0], rtol=1e-6, atol=0))
    assert halved == {True, False}


@pytest.mark.filterwarnings("default::frog_cli.engine.recording.SlowIdeaWarning")
def test_a_model_that_branches_on_values_is_trained_and_told_of_once(file, runs, capsys):
    branching = """
class Branching(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x

@ideas.model
def branching(image, classes):
    return nn.Sequential(nn.Flatten(), Branching(), nn.Linear(64, classes))
"""
    file.write_text(IDEAS + branching)
    assert main(["train", f"ideas=[{file}]", "model=branching", "gradient=backprop", *DIGITS]) == 0
    assert summaries(runs)[0]["outcome"] == "completed"
    assert capsys.readouterr().err.count("frog: operations branch on values, so that they run as they are") == 1


def test_a_convolution_of_what_are_no_images_is_evaluated(file, runs):
    model = """
@ideas.model
def flat(image, classes):
    first = nn.Sequential(nn.Unflatten(1, (1, 1, 5)), nn.Conv2d(1, 2, 1), nn.Flatten())
    return nn.Sequential(first, nn.Linear(10, classes))

@ideas.data
def points():
    x = torch.linspace(-1, 1, 200).reshape(40, 5)
    return (x, (x[:, 0] > 0).long()), (x, (x[:, 0] > 0).long()), 2
"""
    file.write_text(IDEAS + model)
    assert main(["train", f"ideas=[{file}]", "model=flat", "data=points", "gradient=backprop", "epochs=1"]) == 0
    assert summaries(runs)[0]["outcome"] == "completed"


def test_a_model_without_layers_is_refused_in_activity_space(file, runs, capsys):
    whole = (
        "class Net(nn.Sequential):\n    def forward(self, x):\n        return super().forward(x)\n\n\n@ideas.model\n"
    )
    text = IDEAS.replace("@ideas.model\n", whole).replace("return nn.Sequential(first", "return Net(first")
    file.write_text(text)
    assert main(["train", f"ideas=[{file}]", *CHOICES["model"]]) == 2
    assert "gradient.perturb=activities: activity perturbation needs a plain Sequential" in capsys.readouterr().err


def test_a_sweep_over_built_in_and_outside_tangents(file, runs):
    assert main(["train", "-m", f"ideas=[{file}]", "tangents=laplace,normal", *DIGITS]) == 0
    assert len(summaries(runs)) == 2


def test_a_sweep_over_files_with_ideas_of_one_name(file, runs, tmp_path):
    """Each run takes the idea of its own file."""
    other = tmp_path / "others.py"
    other.write_text(IDEAS.replace("return -scale", "return -3 * scale"))
    words = [*CHOICES["function"], "tangents=laplace", "gradient=mean", "gradient.k=2"]
    assert main(["train", "-m", f"ideas=[{file}],[{other}]", *words]) == 0
    together = {summary["last_value"] for summary in summaries(runs)}
    assert main(["train", "overwrite=true", f"ideas=[{file}]", *words]) == 0
    assert main(["train", "overwrite=true", f"ideas=[{other}]", *words]) == 0
    assert {summary["last_value"] for summary in summaries(runs)} == together
    assert len(together) == 2


def test_a_killed_run_goes_on_bitwise(file, runs, tmp_path):
    words = ["train", f"ideas=[{file}]", *CHOICES["all"], "steps=4000", "early_stopping.patience=null", "seeds=2"]
    command = [*FROG, *words, "checkpoint.rows=1"]
    assert Process(command, {**os.environ, "FROG_RUNS": str(tmp_path / "whole")}).wait() == 0
    process = Process(command, os.environ)
    while not list(runs.glob("*/checkpoint-*.pt")):
        assert process.poll() is None
    process.kill()
    process.wait()
    assert Process(command, os.environ).wait() == 0
    for path in (tmp_path / "whole").glob("*/metrics.csv"):
        assert path.read_bytes() == (runs / path.parent.name / "metrics.csv").read_bytes()


def test_a_search_with_an_idea(file, runs, monkeypatch, tmp_path):
    monkeypatch.setenv("FROG_SWEEPS", str(tmp_path / "sweeps"))
    words = ["search", f"ideas=[{file}]", "objective=ackley", "objective.n=4", "steps=50", "search.evaluations=4"]
    assert main([*words, "search.population=2"]) == 0
    (found,) = (tmp_path / "sweeps" / "searched").glob("learning_rates_*.csv")
    assert "objective.sha256" in found.read_text().splitlines()[0]


def test_a_search_with_an_idea_of_many_options(file, runs, monkeypatch, tmp_path):
    """The names of its files have an end."""
    monkeypatch.setenv("FROG_SWEEPS", str(tmp_path / "sweeps"))
    file.write_text(IDEAS.replace("depth: float = 20.0", f"depth: float = 20.0, many: list[int] = {[*range(99)]}"))
    words = ["search", f"ideas=[{file}]", "objective=ackley", "objective.n=4", "steps=50", "search.evaluations=2"]
    assert main([*words, "search.population=2", "objective.depth=1"]) == 0
    assert main([*words, "search.population=2", "objective.depth=2"]) == 0
    assert len([*(tmp_path / "sweeps" / "searched").glob("learning_rates_*.csv")]) == 2


def test_a_file_that_changes_meanwhile_does_not_lose_the_run(file, runs, monkeypatch):
    epoch = Minimisation.epoch

    def changing(self, *arguments):
        file.write_text(IDEAS + "\n# changed\n")
        return epoch(self, *arguments)

    monkeypatch.setattr(Minimisation, "epoch", changing)
    assert main(["train", f"ideas=[{file}]", *CHOICES["function"]]) == 0
    assert len(summaries(runs)) == 1


@pytest.mark.parametrize("change", ["edited", "deleted"])
def test_a_file_that_changes_meanwhile_does_not_end_the_sweep(change, file, runs, monkeypatch):
    """All runs of a sweep have the idea as it was when the sweep began."""
    words = ["train", "-m", f"ideas=[{file}]", *CHOICES["tangents"], *CHOICES["model"], "seed=1,2"]
    assert main(words) == 0
    before = summaries(runs)
    epoch = Classification.epoch

    def changing(self, *arguments):
        file.unlink() if change == "deleted" else file.write_text(IDEAS.replace("scale * uniform", "0 * uniform"))
        monkeypatch.setattr(Classification, "epoch", epoch)
        return epoch(self, *arguments)

    monkeypatch.setattr(Classification, "epoch", changing)
    assert main([*words, "overwrite=true"]) == 0
    assert summaries(runs) == before
