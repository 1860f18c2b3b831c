"""Verdicts on made-up rows, in which a claim of the second paper about networks holds, fails, or cannot be judged."""

from __future__ import annotations

import math

import pytest
from pandas import DataFrame

from frog_cli.reproduction import stored_rows
from frog_cli.reproduction.claims import second_order_networks as claims
from frog_cli.reproduction.frames import read_frames
from frog_cli.reproduction.targets import jobs, load, names
from tests.reproduction.made_up_rows import frames

REGRESSION = "fomoh_logistic_regression"
METHODS = {"FGD": ("mean", 1), "FoMoH": ("fomoh", None), "FoMoH-2D": ("fomoh_kd", 2), "FoMoH-3D": ("fomoh_kd", 3)}


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda claim: claim.text)
def test_without_rows_nothing_is_judged(claim):
    assert str(claim.judge(frames())) == "not run yet"


def regressions(three: float) -> list[dict]:
    """Return runs of two seeds, but for FoMoH-3D without a schedule, which has only the first."""
    methods = {("mean", 1): 0.6, ("fomoh", None): 0.5, ("fomoh_kd", 2): 0.4, ("fomoh_kd", 3): three}
    return [
        {"gradient": gradient, "k": k, "schedule": schedule, "seed": seed, "best_validation_loss": loss + seed,
         "last_validation_loss": loss + seed + (0.1 if schedule is None else 0.0), "epochs": 100,
         "best_validation_loss_epoch": 50}
        for (gradient, k), loss in methods.items() for schedule in (None, "when_rising") for seed in (0, 1)
        if (gradient, k, schedule, seed) != ("fomoh_kd", 3, None, 1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "competitive", "beaten"), [(0.9, False, True), (0.55, True, True), (0.42, True, None), (0.1, True, False)]
)
def test_lowest_losses_of_the_seeds_that_all_methods_have(one, competitive, beaten):
    """FoMoH reaches from 0.5 to 0.6, FoMoH-2D from 0.4, FoMoH-3D from 0.3; a third seed has no FoMoH-3D."""
    lowest = {"FGD": one, "FoMoH": 0.5, "FoMoH-2D": 0.4, "FoMoH-3D": 0.3}
    runs = DataFrame(
        {"gradient": METHODS[name][0], "k": METHODS[name][1], "schedule": None, "seed": seed,
         "best_validation_loss": loss + 0.1 * seed if seed < 2 else 99}
        for name, loss in lowest.items() for seed in range(3) if (name, seed) != ("FoMoH-3D", 2)
    )  # fmt: skip
    for judge, holds in (
        (claims.one_tangent_is_competitive, competitive),
        (claims.hyperplanes_beat_one_tangent, beaten),
    ):
        verdict = judge(frames(**{REGRESSION: {"runs": runs}}), target=REGRESSION)
        assert verdict.holds is holds
        assert f"FGD {one + 0.05:.4f} ({one:.4f} to {one + 0.1:.4f}), FoMoH 0.5500 (0.5000 to 0.6" in verdict.numbers
        assert verdict.basis == "8 runs, 2 seeds"


def descents(halved: dict[str, float], lowest: dict[str, float]) -> dict[str, DataFrame]:
    """Return runs and curves of losses that start at 2 and fall by a half each so many epochs, down to the lowest."""
    runs = [
        {"request": name, "gradient": gradient, "k": k, "schedule": None, "seed": seed}
        for name, (gradient, k) in METHODS.items() for seed in (0, 1)
    ]  # fmt: skip
    curves = [
        {"request": run["request"], "seed": run["seed"], "epoch": epoch,
         "validation_loss": max(lowest[run["request"]], 2 * 0.5 ** (epoch / halved[run["request"]]))}
        for run in runs for epoch in range(101)
    ]  # fmt: skip
    return {"runs": DataFrame(runs), "curves": DataFrame(curves)}


@pytest.mark.parametrize(
    ("halved", "ordered", "slower"),
    [
        ((16, 12, 8, 4), True, True),
        ((10, 12, 8, 4), True, False),
        ((16, 12, 4, 8), False, True),
    ],
)
def test_epochs_to_losses_that_all_methods_reach(halved, ordered, slower):
    """The highest of the lowest is 0.25, three halvings from 2."""
    lowest = {"FGD": 0.25, "FoMoH": 0.125, "FoMoH-2D": 0.0, "FoMoH-3D": 0.25}
    tables = frames(fomoh_cnn=descents(dict(zip(METHODS, halved, strict=True)), lowest))
    verdict = claims.dimensions_speed_the_search(tables, target="fomoh_cnn")
    assert verdict.holds is ordered
    shown = "of 0.2500, " + ", ".join(
        f"{name} {3 * epochs}" for name, epochs in zip(METHODS, halved, strict=True) if name != "FGD"
    )
    assert shown in verdict.numbers
    assert claims.one_tangent_is_slower(tables, target="fomoh_cnn").holds is slower
    assert claims.one_tangent_is_slower(tables, target=REGRESSION).holds is None


@pytest.mark.parametrize(("one", "holds"), [(20, True), (12, None), (5, False)])
def test_one_tangent_converges_later(one, holds):
    """Each run comes within 1 % of its own lowest loss, seed 1 four epochs later; every second epoch is kept."""
    near = {"FGD": one, "FoMoH": 12, "FoMoH-2D": 10, "FoMoH-3D": 10}
    runs = [
        {"request": name, "gradient": gradient, "k": k, "schedule": None, "seed": seed}
        for name, (gradient, k) in METHODS.items() for seed in (0, 1)
    ]  # fmt: skip
    curves = DataFrame(
        {"request": run["request"], "seed": run["seed"], "epoch": epoch,
         "validation_loss": (1 + number) * (1.005 if epoch >= near[run["request"]] + 4 * run["seed"] else 1.5)
         if epoch < 38 else 1 + number}
        for number, run in enumerate(runs) for epoch in range(0, 40, 2)
    )  # fmt: skip
    verdict = claims.one_tangent_converges_later(frames(**{REGRESSION: {"runs": DataFrame(runs), "curves": curves}}))
    assert verdict.holds is holds
    assert (
        "FoMoH 12 to 16, FoMoH-2D 10 to 14, FoMoH-3D 10 to 14 (seeds 0, 1); later epochs are kept 2" in verdict.numbers
    )


@pytest.mark.parametrize(
    ("last", "lowest_at", "holds"), [(0.31, 94, True), (0.302, 94, False), (0.302, 96, True), (0.302, 100, True)]
)
def test_fixed_rates(last, lowest_at, holds):
    """A loss gets worse by a hundredth or more in each of six runs; schedules are not judged.

    A run with its lowest loss in the last twentieth of its 100 epochs has not had it.
    """
    runs = DataFrame(
        {"gradient": gradient, "k": k, "schedule": schedule, "seed": seed, "best_validation_loss": 0.3,
         "last_validation_loss": last if (gradient, seed, schedule) == ("fomoh", 1, None) else 0.3 if schedule else 0.4,
         "best_validation_loss_epoch": lowest_at if (gradient, seed) == ("fomoh", 1) else 50, "epochs": 100}
        for gradient, k in METHODS.values() for schedule in (None, "every") for seed in (0, 1)
    )  # fmt: skip
    verdict = claims.fixed_rates_get_worse(frames(**{REGRESSION: {"runs": runs}}))
    assert verdict.holds is holds
    passed = 6 if lowest_at < 95 else 5
    more = "" if passed == 6 else " (1 more has the lowest loss at the end)"
    assert f"in {5 + (last == 0.31)} of {passed} runs{more};" in verdict.numbers
    diverged = runs.assign(last_validation_loss=math.nan)  # as rows have what is infinite
    assert claims.fixed_rates_get_worse(frames(**{REGRESSION: {"runs": diverged}})).holds is True
    falling = runs.assign(best_validation_loss_epoch=99)
    assert str(claims.fixed_rates_get_worse(frames(**{REGRESSION: {"runs": falling}}))).startswith("cannot be told")


@pytest.mark.parametrize(("two", "holds"), [(0.35, True), (0.25, False)])
def test_the_best_that_goes_only_forward(two, holds):
    """FoMoH-3D ends at 0.4 without a schedule and at 0.3 with one."""
    losses = {(name, scheduled): 0.9 for name in METHODS for scheduled in (False, True)}
    losses |= {("FoMoH-3D", False): 0.4, ("FoMoH-3D", True): 0.3, ("FoMoH-2D", True): two}
    runs = DataFrame(
        {"gradient": METHODS[name][0], "k": METHODS[name][1], "schedule": "every" if scheduled else None, "seed": 0,
         "best_validation_loss": loss} for (name, scheduled), loss in losses.items()
    )  # fmt: skip
    verdict = claims.most_dimensions_are_best(frames(fomoh_cnn={"runs": runs}))
    assert verdict.holds is holds
    assert f"FoMoH-2D {two:.4f}, FoMoH-3D 0.3000 (seed 0 only)" in verdict.numbers


@pytest.mark.parametrize(
    ("last", "lowest_at", "holds", "told"),
    [
        ((0.5, 0.6), 50, True, "lower in 2 of 2 seeds, "),
        ((0.9, 0.9), 50, False, "lower in 0 of 2 seeds, "),
        ((0.5, 0.9), 50, None, "lower in 1 of 2 seeds, "),
        ((0.9, 0.9), 98, None, "without one the loss still falls at the end in all seeds, "),
    ],
)
def test_schedules_are_judged_by_the_seeds_with_and_without_one(last, lowest_at, holds, told):
    """FoMoH ends at 0.7 without a schedule; what its loss would do after the last epoch nobody knows."""
    runs = DataFrame(regressions(0.3))
    of_line = (runs["gradient"] == "fomoh").to_numpy()
    runs.loc[of_line, "last_validation_loss"] = [0.7, 0.7, *last]
    runs.loc[of_line, "best_validation_loss_epoch"] = lowest_at
    verdict = claims.schedules_help(frames(**{REGRESSION: {"runs": runs}}), target=REGRESSION)
    assert verdict.holds is holds
    assert f"FoMoH: {told}0.7000 without and {sum(last) / 2:.4f} with (seeds 0, 1)" in verdict.numbers
    assert "FoMoH-3D: lower in 1 of 1 seed, 0.4000 without and 0.3000 with (seed 0 only)" in verdict.numbers


def test_runs_with_and_without_a_schedule_are_told_apart(place):
    target = load("fomoh_logistic_regression")
    methods = {("mean", 1): 9.0, ("fomoh", None): 8.0, ("fomoh_kd", 2): 7.0, ("fomoh_kd", 3): 6.0}
    rows = []
    for job in jobs(target, "paper"):
        options = job.options
        gradient, k = options["gradient"], int(options["gradient.k"]) if "gradient.k" in options else None
        schedule = None if options.get("schedule.name") == "none" else options.get("schedule.name")
        loss = methods.get((gradient, k), 1.0)
        rows.append(
            {"request": job.words, "run": "r", "outcome": "completed", "gradient": gradient, "k": k,
             "schedule": schedule, "seed": 0, "best_validation_loss": loss,
             "last_validation_loss": loss - bool(schedule), "best_validation_loss_epoch": 5, "epochs": 10}
        )  # fmt: skip
    stored_rows.add(target, "paper", "runs", rows)
    read = {name: read_frames(load(name), place) for name in names()}
    assert read[target.name]["runs"]["schedule"].isna().sum() == 6  # two of them of methods that go backward
    told = "lowest validation loss, FGD 9.0000, FoMoH 8.0000, FoMoH-2D 7.0000, FoMoH-3D 6.0000 (seed 0 only)"
    assert claims.hyperplanes_beat_one_tangent(read, target=target.name).numbers == told
    assert claims.schedules_help(read, target=target.name).holds is True


@pytest.mark.parametrize(("backprop", "holds"), [(0.2, True), (0.45, False), (None, None)])
def test_what_goes_backward_is_compared_with_the_best_of_what_does_not(backprop, holds):
    """The lowest forward-only loss is 0.3, of FoMoH-3D with a schedule, whose other seed is higher."""
    losses = {("mean", 1, None): 0.9, ("fomoh_bp", None, None): 0.1, ("backprop", None, None): backprop}
    losses |= {("fomoh", None, schedule): 0.6 for schedule in (None, "every")}
    losses |= {("fomoh_kd", k, schedule): 0.5 for k in (2, 3) for schedule in (None, "every")}
    losses[("fomoh_kd", 3, "every")] = 0.3
    runs = DataFrame(
        {"gradient": gradient, "k": k, "schedule": schedule, "seed": seed, "last_validation_loss": loss + 0.02 * seed}
        for (gradient, k, schedule), loss in losses.items() if loss is not None for seed in (0, 1)
    )  # fmt: skip
    verdict = claims.backward_beats_forward(frames(fomoh_cnn={"runs": runs}))
    assert verdict.holds is holds
    if holds is not None:
        assert f"backpropagation {backprop + 0.01:.4f}, FoMoH-BP 0.1100; the lowest forward-only" in verdict.numbers
        assert "FoMoH-3D with a schedule, 0.3100" in verdict.numbers
        assert verdict.basis == "18 runs, 2 seeds"


def test_the_convolutional_network_is_judged_by_its_own_runs():
    of_cnn = frames(fomoh_cnn={"runs": DataFrame(regressions(0.3))})
    assert claims.hyperplanes_beat_one_tangent(of_cnn).holds is True
    assert claims.hyperplanes_beat_one_tangent(of_cnn, target=REGRESSION).holds is None
    assert claims.schedules_help(of_cnn, target="fomoh_cnn").holds is True
