from __future__ import annotations

import math

import pytest

from frog_cli.files.csv import as_csv
from frog_cli.reproduction import progress, stored_rows, targets
from tests.reproduction.made_up_rows import row

FIG6 = targets.load("fig6")


def hours(target: targets.Target, scale: targets.Scale) -> progress.Hours:
    return progress.hours(target, scale, stored_rows.missing(target, scale))


def test_what_is_missing_is_taken_to_cost_as_much_as_what_is_done_of_its_kind(place, searches):
    assert hours(FIG6, "laptop").texts() == ["-", "-"]
    wanted, runs = ([job for job in targets.jobs(FIG6, "laptop") if job.kind == kind] for kind in ("search", "train"))
    stored_rows.add(FIG6, "laptop", "runs", [row(runs[0].words, seed, "seconds", 1800 + seed) for seed in (0, 1)])
    known = hours(FIG6, "laptop")
    assert known.spent == pytest.approx(3601 / 3600)
    assert known.left is None  # nobody knows what a search costs
    searches.mkdir(parents=True)
    (searches / "learning_rates_one.csv").write_text(
        as_csv([{"search_request": wanted[3].words, "learning_rate": 0.1}])
    )
    (searches / "evaluations_one.csv").write_text(as_csv([{"seconds": 300}, {"seconds": 420.0}]))
    known = hours(FIG6, "laptop")
    assert known.spent == pytest.approx((3601 + 720) / 3600)
    assert known.left == pytest.approx((70 * 3601 / 2 + 23 * 720) / 3600)
    assert hours(FIG6, "paper").texts() == ["-", "-"]
    rates = targets.load("learning_rates")
    assert wanted[3].words in {job.words for job in targets.jobs(rates, "laptop")}
    assert hours(rates, "laptop").texts() == ["-", "-"]  # that search counts for fig6


def test_what_a_target_says_its_rest_would_cost_is_not_guessed(place):
    job = targets.jobs(FIG6, "paper")[0]
    stored_rows.add(FIG6, "paper", "runs", [row(job.words, 0, "seconds", 360)])
    assert hours(FIG6, "paper").texts() == ["0.10", "-"]
    assert "a run" in FIG6.cost


def test_nobody_knows_what_a_study_costs(place):
    assert hours(targets.load("fig3"), "paper").texts() == ["-", "-"]


def test_a_target_that_is_small_enough_has_the_papers_rows_on_a_laptop(place):
    fig4 = targets.load("fig4")
    job = targets.jobs(fig4, "laptop")[0]
    stored_rows.add(fig4, "laptop", "runs", [row(job.words, 0, "best_value", 1.0, seconds=36)])
    assert (place / "fig4" / "runs.csv").exists()
    assert not (place / "laptop").exists()
    for scale in ("paper", "laptop"):
        assert progress.describe(fig4, scale) == "1 of 1320 done"
        assert math.isclose(hours(fig4, scale).spent, 0.01)
