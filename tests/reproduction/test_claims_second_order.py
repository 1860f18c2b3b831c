"""Verdicts on made-up rows, in which a claim of the second paper plainly holds, plainly fails, or cannot be judged."""

from __future__ import annotations

import pytest
from pandas import DataFrame

from frog_cli.reproduction import claims_second_order as claims
from frog_cli.reproduction import stored_rows
from frog_cli.reproduction.frames import read_frames
from frog_cli.reproduction.targets import jobs, load, names
from tests.reproduction.made_up_rows import frames


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda claim: claim.text)
def test_without_rows_nothing_is_judged(claim):
    assert str(claim.judge(frames())) == "not run yet"


def descents(values: dict[int, float], newton: float) -> dict[str, DataFrame]:
    """Return curves from three starts, with two seeds of tangents each, that end at some value for each K."""
    ends = {**{f"K={k}": ("fomoh_kd", k, value) for k, value in values.items()}, "newton": ("newton", None, newton)}
    runs = DataFrame(
        {"request": f"{name} {start}", "gradient": method, "k": k, "start_seed": start, "seed": seed, "end": value}
        for name, (method, k, value) in ends.items() for start in range(3) for seed in (0, 1)
    )  # fmt: skip
    curves = DataFrame(
        {"request": run["request"], "seed": run["seed"], "step": step, "best_value": run["end"] if step else 9.0}
        for _, run in runs.iterrows() for step in range(3)
    )  # fmt: skip
    lost = (curves["seed"] == 1) & (curves["request"].str[-1] != "0") & (curves["step"] > 0)
    curves.loc[lost, "best_value"] = 8.0  # two of six runs, which a median over runs bears and one over seeds does not
    return {"runs": runs, "curves": curves}


@pytest.mark.parametrize(
    ("values", "holds"),
    [({2: 3.0, 5: 2.0, 10: 0.1}, True), ({2: 2.0, 5: 3.0, 10: 0.1}, False), ({2: 3.0, 5: 0.0, 10: 0.0}, True)],
)
def test_dimensions_order_the_search(values, holds):
    tables = frames(fomoh_rosenbrock_10d=descents(values, 0.1))
    verdict = claims.dimension_orders_the_search(tables)
    assert verdict.holds is holds
    assert f"K = 5: {values[5]:g}" in verdict.numbers
    assert ("last out of order after 2 steps: K = 5 (3) above the one before (2)" in verdict.numbers) is not holds
    assert verdict.numbers.endswith("(3 starts with 2 seeds of tangents each)")


@pytest.mark.parametrize(("newton", "holds"), [(0.1, True), (0.2, False)])
def test_the_whole_space_is_newton(newton, holds):
    tables = frames(fomoh_rosenbrock_10d=descents({2: 3.0, 10: 0.1}, newton))
    assert claims.whole_space_is_newton(tables).holds is holds


def regressions(three: float) -> list[dict]:
    """Return runs of two seeds, but for FoMoH-3D without a schedule, which has only the first."""
    methods = {("mean", 1): 0.6, ("fomoh", None): 0.5, ("fomoh_kd", 2): 0.4, ("fomoh_kd", 3): three}
    return [
        {"gradient": gradient, "k": k, "schedule": schedule, "seed": seed, "best_validation_loss": loss + seed,
         "last_validation_loss": loss + seed + (0.1 if schedule is None else 0.0)}
        for (gradient, k), loss in methods.items() for schedule in (None, "when_rising") for seed in (0, 1)
        if (gradient, k, schedule, seed) != ("fomoh_kd", 3, None, 1)
    ]  # fmt: skip


@pytest.mark.parametrize(("three", "ordered"), [(0.3, True), (0.45, False)])
def test_methods_are_compared_by_the_seeds_that_all_of_them_have(three, ordered):
    verdict = claims.methods_order_by_k(frames(fomoh_logistic_regression={"runs": DataFrame(regressions(three))}))
    assert verdict.holds is ordered
    told = "lowest validation loss, FGD 0.6000, FoMoH 0.5000, FoMoH-2D 0.4000, FoMoH-3D "
    assert verdict.numbers == f"{told}{three:.4f} (seed 0 only)"


def test_schedules_are_judged_by_the_seeds_with_and_without_one():
    verdict = claims.schedules_help(frames(fomoh_logistic_regression={"runs": DataFrame(regressions(0.3))}))
    assert verdict.holds is True  # FoMoH-3D would be 0.4 without and 0.8 with, if all of its seeds counted
    assert "FoMoH: 1.1000 without, 1.0000 with (seeds 0, 1)" in verdict.numbers
    assert "FoMoH-3D: 0.4000 without, 0.3000 with (seed 0 only)" in verdict.numbers


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
             "last_validation_loss": loss - bool(schedule)}
        )  # fmt: skip
    stored_rows.add(target, "paper", "runs", rows)
    read = {name: read_frames(load(name), place) for name in names()}
    assert read[target.name]["runs"]["schedule"].isna().sum() == 6  # two of them of methods that go backward
    assert claims.methods_order_by_k(read).holds is True
    assert claims.schedules_help(read).holds is True


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
    assert claims.methods_order_by_k(of_cnn, target="fomoh_cnn").holds is True
    assert claims.methods_order_by_k(of_cnn).holds is None
    assert claims.schedules_help(of_cnn, target="fomoh_cnn").holds is True
