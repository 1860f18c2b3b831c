"""Verdicts on made-up rows, in which a claim plainly holds, plainly fails, or cannot be judged."""

from __future__ import annotations

import pandas as pd
import pytest
from pandas import DataFrame

from frog_cli.reproduction import claims, stored_rows
from frog_cli.reproduction.frames import read_frames
from frog_cli.reproduction.targets import jobs, load, names

EMPTY = DataFrame()


def targets(**tables: dict[str, DataFrame]) -> dict[str, dict[str, DataFrame]]:
    names = ("fig3", "fig4", "fig5", "fig6", "table1", "fomoh_rosenbrock_10d", "fomoh_logistic_regression")
    return {name: {"runs": EMPTY, "quality": EMPTY, "curves": EMPTY} | tables.get(name, {}) for name in names}


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda claim: claim.text)
def test_without_rows_nothing_is_judged(claim):
    assert str(claim.judge(targets())) == "not run yet"


def function_runs(k16: float) -> DataFrame:
    values = {("mean", 1): 2.0, ("mean", 16): k16, ("projection", 16): 0.5, ("projection", 2): 1.0}
    return DataFrame(
        {"function": function, "n": n, "gradient": gradient, "k": k, "seed": 0, "best_value": value}
        for function in ("sphere", "rosenbrock") for n in (8, 64) for (gradient, k), value in values.items()
    )  # fmt: skip


@pytest.mark.parametrize(("k16", "holds"), [(1.0, True), (3.0, False)])
def test_more_tangents_on_functions(k16, holds):
    verdict = claims.more_tangents_help_functions(targets(fig4={"runs": function_runs(k16)}))
    assert verdict.holds is holds
    assert f"mean, k = 16, is at least as low as k = 1 in {2 if holds else 0} of 2 cases" in verdict.numbers
    assert "projection, k = 16, is at least as low as k = 1 in 2 of 2 cases" in verdict.numbers


@pytest.mark.parametrize(("errors", "holds"), [((8.0, 5.0, 3.0), True), ((8.0, 9.0, 3.0), False)])
def test_more_tangents_on_networks(errors, holds):
    runs = DataFrame(
        {"model": "mlp", "width": 256, "gradient": "mean", "k": k, "seed": seed, "best_test_error_percent": error}
        for k, error in zip((1, 4, 16), errors, strict=True)
        for seed in (0, 1)
    )
    of_one_k = {"model": "mlp", "width": 256, "gradient": "mean", "k": 16, "seed": 2, "best_test_error_percent": 99}
    runs = pd.concat([runs, DataFrame([of_one_k])])  # no other k has this seed: it is not compared
    verdict = claims.more_tangents_help_networks(targets(fig6={"runs": runs}))
    assert verdict.holds is holds
    assert "MLP, w = 256, mean: k = 1: 8.00 %" in verdict.numbers
    assert "k = 16: 3.00 % (seeds 0, 1)" in verdict.numbers


def pairs(projection: tuple[float, ...], mean: tuple[float, ...], **network: object) -> DataFrame:
    """Return runs of projection and mean of k = 4, a seed for each error."""
    return DataFrame(
        {**network, "request": f"{network} {gradient}", "gradient": gradient, "k": 4, "seed": seed,
         "best_test_error_percent": error}
        for gradient, errors in (("projection", projection), ("mean", mean)) for seed, error in enumerate(errors)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("projection", "mean", "holds"),
    [((3.0, 3.2), (3.1, 3.4), True), ((3.0, 3.2), (3.3, 3.4), False), ((3.0,), (3.0,), None)],
)
def test_projection_and_mean_on_networks(projection, mean, holds):
    fully_connected = {"runs": pairs((2.0, 2.2), (2.1, 2.1), model="mlp", width=256)}
    other = {"runs": pairs(projection, mean, model="vit", data_variant="mnist")}
    verdict = claims.projection_is_like_mean_on_networks(targets(fig6=fully_connected, table1=other))
    assert "MLP, w = 256, k = 4: 2.10 % and 2.10 %, within the spread (seeds 0, 1)" in verdict.numbers
    if holds is None:
        assert "vit" not in verdict.numbers  # one seed has no spread
    else:
        assert verdict.holds is holds
        assert f"vit, mnist, k = 4: 3.10 % and {sum(mean) / 2:.2f} %, {'within' if holds else 'beyond'}" in str(verdict)


@pytest.mark.parametrize(("losses", "holds"), [((3.0, 2.0, 1.9, 1.8), True), ((3.0, 3.1, 3.2, 1.0), False)])
def test_smoothness(losses, holds):
    runs = pairs((3.0,), (3.0,), model="mlp", width=4096)
    curves = DataFrame(
        {"request": run["request"], "seed": 0, "epoch": epoch, "test_loss": loss}
        for _, run in runs.iterrows()
        for epoch, loss in enumerate(losses if run["gradient"] == "projection" else (3.0, 2.0, 2.5, 1.0))
    )
    verdict = claims.projection_trains_more_smoothly(targets(fig6={"runs": runs, "curves": curves}))
    assert verdict.holds is holds
    assert f"{0 if holds else 2 / 3:.1%} and 33.3% (seed 0 only)" in verdict.numbers
    narrower = targets(fig6={"runs": runs.assign(width=256), "curves": curves})
    assert claims.projection_trains_more_smoothly(narrower).holds is None  # the paper shows it for 4096


@pytest.mark.parametrize(("projection", "holds"), [((0.1, 0.6, 1.0, 1.0), True), ((0.6, 0.6, 0.75, 0.9), False)])
def test_projection_near_n(projection, holds):
    mean = (0.1, 0.5, 0.7, 0.9)
    rows = [
        {
            "tangents": "normal",
            "n": 64,
            "k": k,
            "gradient": gradient,
            "cosine_mean": value,
            "cosine_standard_error": 0.001,
            "seeds": 1000,
        }
        for gradient, values in (("mean", mean), ("projection", projection))
        for k, value in zip((1, 32, 64, 256), values, strict=True)
    ]
    assert claims.projection_is_best_near_n(targets(fig3={"quality": DataFrame(rows)})).holds is holds


@pytest.mark.parametrize(("projected", "holds"), [(0.5, True), (0.3, False)])
def test_cone(projected, holds):
    cosines = {("mean", 15): 0.2, ("mean", 90): 0.5, ("projection", 15): projected, ("projection", 90): 0.5}
    quality = DataFrame(
        {"gradient": gradient, "k": 16, "angle": angle, "cosine_mean": value, "cosine_standard_error": 0.001,
         "seeds": 1000}
        for (gradient, angle), value in cosines.items()
    )  # fmt: skip
    runs = DataFrame(
        {"gradient": gradient, "k": 16, "angle": angle, "n": 64, "seed": seed, "best_value": 64 * (-39 + loss)}
        for (gradient, angle), loss in {key: 3.0 * (key == ("mean", 15)) for key in cosines}.items() for seed in (0, 1)
    )  # fmt: skip
    verdict = claims.the_cone_hurts_mean(targets(fig5={"quality": quality, "runs": runs}))
    assert verdict.holds is holds
    assert "(cosine: 1000 seeds; Styblinski-Tang, n = 64: seeds 0, 1)" in verdict.numbers


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
    tables = targets(fomoh_rosenbrock_10d=descents(values, 0.1))
    verdict = claims.dimension_orders_the_search(tables)
    assert verdict.holds is holds
    assert f"K = 5: {values[5]:g}" in verdict.numbers
    assert ("last out of order after 2 steps: K = 5 (3) above the one before (2)" in verdict.numbers) is not holds
    assert verdict.numbers.endswith("(3 starts with 2 seeds of tangents each)")


@pytest.mark.parametrize(("newton", "holds"), [(0.1, True), (0.2, False)])
def test_the_whole_space_is_newton(newton, holds):
    tables = targets(fomoh_rosenbrock_10d=descents({2: 3.0, 10: 0.1}, newton))
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
    verdict = claims.methods_order_by_k(targets(fomoh_logistic_regression={"runs": DataFrame(regressions(three))}))
    assert verdict.holds is ordered
    told = "lowest validation loss, FGD 0.6000, FoMoH 0.5000, FoMoH-2D 0.4000, FoMoH-3D "
    assert verdict.numbers == f"{told}{three:.4f} (seed 0 only)"


def test_schedules_are_judged_by_the_seeds_with_and_without_one():
    verdict = claims.schedules_help(targets(fomoh_logistic_regression={"runs": DataFrame(regressions(0.3))}))
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
