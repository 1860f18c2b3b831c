from __future__ import annotations

import statistics
from functools import cache

import pytest
import torch

from frog_cli.objectives import minimisation
from frog_cli.objectives.functions import rosenbrock
from frog_cli.objectives.minimisation import Minimisation
from frog_cli.settings.requests import train_request
from tests.cases import FUNCTIONS

CPU = torch.device("cpu")


def minimise(*overrides: str) -> Minimisation:
    torch.set_num_threads(1)
    objective = Minimisation(train_request(overrides).runs, CPU)
    objective.rows = [objective.measure()]
    for _ in range(objective.epochs):
        objective.epoch()
        objective.rows.append(objective.measure())
        if "running" not in objective.outcomes():
            break
    return objective


def descend(n: int, rate: float, steps: int) -> list[float]:
    """Return the values of plain gradient descent on Rosenbrock, by autograd in a loop."""
    x = torch.zeros(n, dtype=torch.float64)
    x[0] = -1
    values = []
    for _ in range(steps + 1):
        x.requires_grad_()
        value = rosenbrock(x)
        values.append(value.item())
        x = (x - rate * torch.autograd.grad(value, x)[0]).detach()
    return values


def test_backprop_is_gradient_descent():
    values = descend(6, 1e-3, 50)
    objective = minimise(
        "objective=rosenbrock",
        "objective.n=6",
        "gradient=backprop",
        "learning_rate=1e-3",
        "steps=50",
        "record_every=20",
    )
    assert [row["step"] for (row,) in objective.rows] == [0, 20, 40, 50]
    for (row,) in objective.rows:
        assert row["value"] == pytest.approx(values[row["step"]], rel=1e-12)
        assert row["best_value"] == pytest.approx(min(values[: row["step"] + 1]), rel=1e-12)
    assert objective.outcomes() == ["completed"]


def test_as_many_tangents_as_dimensions_are_gradient_descent():
    common = ("objective=rosenbrock", "objective.n=3", "learning_rate=1e-3", "steps=200")
    expected = minimise(*common, "gradient=backprop").summaries()[0]
    found = minimise(*common, "gradient=projection", "gradient.k=5").summaries()[0]
    assert found["last_value"] == pytest.approx(expected["last_value"], rel=1e-9)


def test_stops_after_patience_steps_without_improvement_on_the_previous_value():
    # with rate 1 the sphere jumps from x to -x: its value never changes again
    objective = minimise(
        "objective=sphere", "objective.n=2", "gradient=backprop", "learning_rate=1", "early_stopping.patience=7"
    )
    assert objective.outcomes() == ["stopped_early"]
    assert objective.summaries() == [
        {"best_value": 2.0, "best_step": 0, "last_value": 2.0, "steps": 7, "first_point": [-1.0, -1.0]}
    ]


def test_one_start_for_all_seeds():
    objective = minimise("experiment=fomoh_step", "gradient=newton", "seeds=3")
    points = [summary["last_point"] for summary in objective.summaries()]
    assert points[0] == points[1] == points[2]
    sampled = minimise("experiment=fomoh_step", "gradient=fomoh", "seeds=3")
    assert {rows["value"] for rows in sampled.rows[0]} == {objective.rows[0][0]["value"]}
    assert len({tuple(summary["last_point"]) for summary in sampled.summaries()}) == 3


def test_without_patience_runs_to_the_end():
    objective = minimise(
        "objective=sphere", "gradient=backprop", "learning_rate=1", "early_stopping.patience=null", "steps=130"
    )
    assert objective.outcomes() == ["completed"]
    assert objective.summaries()[0]["steps"] == 130


def test_divergence_is_recorded_at_its_step_and_keeps_the_best_value():
    # rate 1.5 doubles |x|: x_t = (-2)^t x_0, value 4^t n
    objective = minimise(
        "objective=sphere", "objective.n=2", "gradient=backprop", "learning_rate=1.5", "diverged_above=1000",
        "early_stopping.patience=null",
    )  # fmt: skip
    assert objective.outcomes() == ["diverged"]
    assert objective.summaries() == [
        {"best_value": 2.0, "best_step": 0, "last_value": 2048.0, "steps": 5, "first_point": [-1.0, -1.0]}
    ]
    overflow = minimise("objective=rosenbrock", "gradient=backprop", "learning_rate=1", "early_stopping.patience=null")
    assert overflow.outcomes() == ["diverged"]


def test_a_lane_that_ends_does_not_end_the_others_and_gives_no_more_rows():
    overrides = ("objective=rosenbrock", "gradient=mean", "gradient.k=2", "learning_rate=3e-4", "record_every=10")
    together = minimise(*overrides, "seeds=5")
    assert together.outcomes() == ["diverged"] * 5
    assert len({summary["steps"] for summary in together.summaries()}) > 3
    ends = [summary["steps"] for summary in together.summaries()]
    for lane, end in enumerate(ends):
        steps = [rows[lane]["step"] for rows in together.rows if rows[lane]]
        assert steps[-1] == end
        assert steps == sorted(set(steps))


@cache
def of_seeds(seeds: str, compiled: str) -> Minimisation:
    options = ("objective=styblinski-tang", "gradient.k=4", "steps=120", "record_every=50")
    return minimise(*options, f"compile={compiled}", f"seeds={seeds}")


@pytest.mark.parametrize("compiled", ["false", "true"])
@pytest.mark.parametrize("seeds", ["[3]", "[0,4]", "[4,2,0]"])
def test_a_seed_is_the_same_whichever_run_beside_it(seeds, compiled):
    chosen = [int(seed) for seed in seeds.strip("[]").split(",")]
    together, apart = of_seeds("5", compiled), of_seeds(seeds, compiled)
    for lane, seed in enumerate(chosen):
        assert [rows[lane] for rows in apart.rows] == [rows[seed] for rows in together.rows][: len(apart.rows)]


@pytest.mark.parametrize("gradient", ["backprop", "mean", "projection"])
def test_compiled_steps_go_the_same_way(gradient):
    overrides = ("objective=rosenbrock", "objective.n=9", f"gradient={gradient}", "learning_rate=1e-4", "steps=50")
    compiled, expected = (
        minimise(*overrides, "record_every=1", f"compile={value}").rows for value in ("true", "false")
    )
    for (ours,), (theirs,) in zip(compiled, expected, strict=True):
        assert ours["value"] == pytest.approx(theirs["value"], rel=1e-9)


@pytest.mark.parametrize("name", ["Adafactor", "Adam"])
def test_optimisers_do_not_mix_seeds(name):
    overrides = ("objective=rosenbrock", "objective.n=8", "gradient.k=4", "learning_rate=1e-3", "steps=30")
    together, alone = (minimise(*overrides, f"optimizer.name={name}", f"seeds={seeds}") for seeds in ("4", "[3]"))
    assert alone.summaries()[0] == together.summaries()[3]


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "SGD"])
def test_any_optimiser_lowers_the_value(name):
    objective = minimise(
        "objective=sphere", "gradient.k=64", "learning_rate=0.01", f"optimizer.name={name}", "steps=300",
        "early_stopping.patience=null",
    )  # fmt: skip
    assert objective.summaries()[0]["best_value"] < 10


def test_more_tangents_find_lower_values_of_the_sphere():
    common = ("objective=sphere", "objective.n=256", "gradient=mean", "seeds=5", "steps=300")
    best = [
        sum(summary["best_value"] for summary in minimise(*common, f"gradient.k={k}").summaries()) for k in (1, 4, 16)
    ]
    assert best == sorted(best, reverse=True)


def fomoh(*overrides: str) -> list[float]:
    """Return the best values of ten seeds, smallest first."""
    objective = minimise("experiment=fomoh_rosenbrock_10d", "seeds=10", *overrides)
    return sorted(summary["best_value"] for summary in objective.summaries())


def test_more_directions_search_better_up_to_newton():
    """Fig. 2 of arXiv 2408.10419: medians are ordered by K, and K = n is Newton."""
    medians = [statistics.median(fomoh("gradient=fomoh_kd", f"gradient.k={k}")) for k in (2, 4, 6, 8, 10)]
    assert medians == sorted(medians, reverse=True)
    assert fomoh("gradient=fomoh_kd", "gradient.k=10") == pytest.approx(fomoh("gradient=newton"), rel=1e-3, abs=1e-20)


def test_hyperplane_step_beats_fgd_with_its_best_rate_by_six_orders():
    two = ("experiment=fomoh_rosenbrock_2d", "seeds=10")
    searched = minimise(*two, "gradient=fomoh_kd", "gradient.k=2")
    rates = (1e-5, 1e-4, 3e-4, 1e-3, 3e-3)
    descents = [minimise(*two, "gradient=mean", "gradient.k=1", f"learning_rate={rate}") for rate in rates]
    found, *others = (
        statistics.median(summary["best_value"] for summary in objective.summaries())
        for objective in (searched, *descents)
    )
    assert found < 1e-6 * min(others)


@pytest.mark.parametrize(("policy", "outcome"), [("skip", "stopped_early"), ("stop", "step_failed")])
def test_a_step_without_solution_is_reported(policy, outcome, monkeypatch):
    def linear(x):
        return x.sum(-1) + 0 * x.square().sum(-1)

    monkeypatch.setattr(minimisation, "closed_form", lambda _: FUNCTIONS["sphere"]._replace(function=linear))
    objective = minimise(
        "objective=sphere", "gradient=fomoh_kd", "learning_rate=1", f"gradient.on_failure={policy}",
        "early_stopping.patience=5",
    )  # fmt: skip
    assert objective.outcomes() == [outcome]
    (summary,) = objective.summaries()
    assert summary["failed_steps"] == summary["steps"] == (5 if policy == "skip" else 1)
    assert summary["best_value"] == -64
