from __future__ import annotations

import math

import pytest

from frog_cli.search.proposals import end_of_interval, propose
from frog_cli.search.record import Evaluation
from frog_cli.settings.verb_options import Interval, Search


def search(**changes) -> Search:
    settings = {
        "method": "evolution", "evaluations": 100, "low": -6.0, "high": 0.0, "also": {}, "seed": 0, "population": 8,
        "margin": 0.5, "patience": 5,
    }  # fmt: skip
    return Search.model_validate(settings | changes)


def follow(settings: Search, loss, count: int) -> list[Evaluation]:
    """Search as one process does."""
    evaluations: list[Evaluation] = []
    for number in range(count):
        values = propose(settings, "learning_rate", evaluations, number)
        evaluations.append(Evaluation(number, values, loss(values), "completed", [loss(values)], 0.0, 0))
    return evaluations


def test_proposals_stay_within_bounds():
    for evaluation in follow(search(low=-3.0, high=-1.0), lambda values: 0.0, 60):
        assert 1e-3 * (1 - 1e-12) <= evaluation.values["learning_rate"] <= 1e-1 * (1 + 1e-12)


@pytest.mark.parametrize("best", [-5.0, -2.3, -0.2])
def test_the_search_finds_the_lowest_point_of_a_bowl(best):
    evaluations = follow(search(), lambda values: (math.log10(values["learning_rate"]) - best) ** 2, 100)
    assert min(evaluation.loss for evaluation in evaluations) < 0.05**2


def test_breeding_beats_random_proposals():
    bowl = lambda values: (math.log10(values["learning_rate"]) + 2.0) ** 2  # noqa: E731
    losses = [evaluation.loss for evaluation in follow(search(), bowl, 100)]
    assert sorted(losses[50:])[25] < sorted(losses[:8])[4] / 4


@pytest.mark.parametrize(
    ("low", "high", "count", "logarithms"),
    [(-3.0, -1.0, 5, [-3, -2.5, -2, -1.5, -1]), (-1.5, 0.0, 4, [-1.5, -1, -0.5, 0]), (-2.0, 0.0, 1, [-2])],
)
def test_a_grid_is_evenly_spaced_from_low_to_high_whatever_comes_out(low, high, count, logarithms):
    grid = search(method="grid", low=low, high=high, evaluations=count)
    for loss in (lambda values: values["learning_rate"], lambda values: math.inf):
        found = [math.log10(evaluation.values["learning_rate"]) for evaluation in follow(grid, loss, count)]
        assert found == pytest.approx(logarithms, abs=1e-12)


@pytest.mark.parametrize("method", ["grid", "evolution"])
@pytest.mark.parametrize(("best", "end"), [(-6.0, "lower"), (-1.0, "upper"), (-3.0, ""), (-3.9, ""), (-2.1, "")])
def test_a_best_value_at_an_end_of_the_interval_is_told(method, best, end):
    settings = search(method=method, low=-4.0, high=-2.0, evaluations=9 if method == "grid" else 100)
    evaluations = follow(
        settings, lambda values: (math.log10(values["learning_rate"]) - best) ** 2, settings.evaluations
    )
    found = min(evaluations, key=lambda one: one.loss).values["learning_rate"]
    if method == "grid" and abs(best + 3) > 0.8:  # the nearest of its points is the end
        end = "lower" if best < -3 else "upper"
    assert end_of_interval(found, settings.low, settings.high) == end


def test_infinite_losses_are_bred_from_only_while_there_is_nothing_else():
    cliff = lambda values: math.inf if values["learning_rate"] > 1e-3 else -values["learning_rate"]  # noqa: E731
    evaluations = follow(search(), cliff, 100)
    assert min(evaluation.loss for evaluation in evaluations) < -0.5e-3


def test_a_proposal_depends_on_the_seed_its_number_and_the_record_alone():
    evaluations = follow(search(), lambda values: values["learning_rate"], 20)
    again = propose(search(), "learning_rate", evaluations, 20)
    assert again == propose(search(), "learning_rate", evaluations, 20)
    assert again != propose(search(seed=1), "learning_rate", evaluations, 20)
    assert again != propose(search(), "learning_rate", evaluations, 21)


def test_categories_keep_their_types_and_intervals_their_bounds():
    space = {
        "batch_size": [32, 64, 128],
        "schedule.name": ["none", "every"],
        "schedule.factor": Interval(low=0.1, high=0.9, log=False),
    }
    evaluations = follow(search(also=space), lambda values: abs(values["batch_size"] - 64), 80)
    for evaluation in evaluations:
        assert evaluation.values["batch_size"] in (32, 64, 128)
        assert isinstance(evaluation.values["batch_size"], int)
        assert evaluation.values["schedule.name"] in ("none", "every")
        assert 0.1 <= evaluation.values["schedule.factor"] <= 0.9
    late = [evaluation.values["batch_size"] for evaluation in evaluations[40:]]
    assert late.count(64) > len(late) / 2
