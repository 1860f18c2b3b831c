"""A loss that is not finite, at any step of any run, is recorded there and nowhere else."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest
import torch

from frog_cli.cli import main
from frog_cli.objectives import classification
from frog_cli.objectives.minimisation import Minimisation

DIGITS = ["epochs=3", "data.limit=96", "batch_size=32", "model.width=8"]  # three steps in each epoch
FUNCTION = ["objective=sphere", "objective.n=4", "gradient.k=2", "steps=9", "record_every=3", "learning_rate=0.01"]


def summaries(runs: Path) -> dict[int, dict]:
    """Return the summaries of all runs by their seeds."""
    found = {}
    for path in runs.glob("*/summary.json"):
        found[int(path.parent.name.partition("seed")[2].partition("-")[0])] = json.loads(path.read_text())
    return found


def table(capsys) -> dict[str, dict[str, str]]:
    capsys.readouterr()
    assert main(["table", "runs"]) == 0
    return {row["seed"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}


@pytest.mark.parametrize(("step", "value"), [(1, math.nan), (3, math.inf), (4, math.nan), (8, -math.inf)])
def test_a_network_diverges_at_the_step_of_the_first_loss_that_is_not_finite(step, value, runs, monkeypatch, capsys):
    make = classification.batch_gradient

    def breaking(run, model, inputs, grid):
        gradient, calls = make(run, model, inputs, grid), []

        def broken(*arguments):
            estimate = gradient(*arguments)
            calls.append(estimate.loss)
            broken_now = run.seed == 1 and len(calls) == step
            return estimate._replace(loss=torch.full_like(estimate.loss, value)) if broken_now else estimate

        return broken

    monkeypatch.setattr(classification, "batch_gradient", breaking)
    assert main(["train", "-m", *DIGITS, "seed=0,1,2"]) == 1
    found = summaries(runs)
    assert [found[seed]["outcome"] for seed in (0, 1, 2)] == ["completed", "diverged", "completed"]
    assert found[1]["diverged_at_step"] == step
    assert found[1]["epochs"] == math.ceil(step / 3)
    shown = table(capsys)
    assert shown["1"]["outcome"] == "diverged"
    assert shown["1"]["diverged_at_step"] == str(step)
    assert shown["0"]["diverged_at_step"] == ""


@pytest.mark.parametrize(("step", "value"), [(1, math.nan), (2, math.inf), (4, -math.inf), (8, math.nan)])
def test_one_of_several_seeds_of_a_function_diverges_and_the_others_go_on(step, value, runs, monkeypatch, capsys):
    make = Minimisation._estimator

    def breaking(self):
        gradient, calls = make(self), []

        def broken(points):
            values, *others = gradient(points)
            calls.append(values)
            if len(calls) == step + 1:  # the value before a step is the one after the step before
                values = values.clone()
                values[1] = value
            return values, *others

        return broken

    assert main(["train", *FUNCTION, "seeds=3"]) == 0
    undisturbed = summaries(runs)
    monkeypatch.setattr(Minimisation, "_estimator", breaking)
    assert main(["train", *FUNCTION, "seeds=3", "overwrite=true"]) == 1
    found = summaries(runs)
    assert found[0] == undisturbed[0]
    assert found[2] == undisturbed[2]
    assert found[1]["outcome"] == "diverged"
    assert found[1]["steps"] == step
    assert found[1]["best_step"] < step
    assert found[1]["best_value"] > 0
    assert found[1]["last_value"] is None
    assert table(capsys)["1"]["outcome"] == "diverged"
