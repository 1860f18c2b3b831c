"""Verdicts on made-up rows, in which a claim plainly holds, plainly fails, or cannot be judged."""

from __future__ import annotations

import pytest
from pandas import DataFrame

from frog_cli import claims

EMPTY = DataFrame()


def targets(**tables: dict[str, DataFrame]) -> dict[str, dict[str, DataFrame]]:
    names = ("fig3", "fig4", "fig5", "fig6", "fomoh_rosenbrock_10d", "fomoh_logistic_regression")
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
        {"width": 256, "gradient": "mean", "k": k, "best_test_error_percent": error}
        for k, error in zip((1, 4, 16), errors, strict=True)
    )
    verdict = claims.more_tangents_help_networks(targets(fig6={"runs": runs}))
    assert verdict.holds is holds
    assert "w = 256, mean: k = 1: 8.00 %" in verdict.numbers


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
        }
        for gradient, values in (("mean", mean), ("projection", projection))
        for k, value in zip((1, 32, 64, 256), values, strict=True)
    ]
    assert claims.projection_is_best_near_n(targets(fig3={"quality": DataFrame(rows)})).holds is holds


@pytest.mark.parametrize(("projected", "holds"), [(0.5, True), (0.3, False)])
def test_cone(projected, holds):
    cosines = {("mean", 15): 0.2, ("mean", 90): 0.5, ("projection", 15): projected, ("projection", 90): 0.5}
    quality = DataFrame(
        {"gradient": gradient, "k": 16, "angle": angle, "cosine_mean": value, "cosine_standard_error": 0.001}
        for (gradient, angle), value in cosines.items()
    )
    runs = DataFrame(
        {"gradient": gradient, "k": 16, "angle": angle, "n": 64, "seed": seed, "best_value": 64 * (-39 + loss)}
        for (gradient, angle), loss in {key: 3.0 * (key == ("mean", 15)) for key in cosines}.items() for seed in (0, 1)
    )  # fmt: skip
    assert claims.the_cone_hurts_mean(targets(fig5={"quality": quality, "runs": runs})).holds is holds


def descents(values: dict[int, float], newton: float) -> dict[str, DataFrame]:
    """Return curves of two starts that end at some value for each K."""
    ends = {**{f"K={k}": ("fomoh_kd", k, value) for k, value in values.items()}, "newton": ("newton", None, newton)}
    runs = DataFrame({"request": name, "gradient": method, "k": k, "seed": 0} for name, (method, k, _) in ends.items())
    curves = DataFrame(
        {"request": name, "seed": seed, "step": step, "best_value": value if step else 9.0}
        for name, (_, _, value) in ends.items() for seed in (0, 1) for step in range(3)
    )  # fmt: skip
    return {"runs": runs, "curves": curves}


@pytest.mark.parametrize(("values", "holds"), [({2: 3.0, 5: 2.0, 10: 0.1}, True), ({2: 2.0, 5: 3.0, 10: 0.1}, False)])
def test_dimensions_order_the_search(values, holds):
    tables = targets(fomoh_rosenbrock_10d=descents(values, 0.1))
    verdict = claims.dimension_orders_the_search(tables)
    assert verdict.holds is holds
    assert f"K = 5: {values[5]:g}" in verdict.numbers


@pytest.mark.parametrize(("newton", "holds"), [(0.1, True), (0.2, False)])
def test_the_whole_space_is_newton(newton, holds):
    tables = targets(fomoh_rosenbrock_10d=descents({2: 3.0, 10: 0.1}, newton))
    assert claims.whole_space_is_newton(tables).holds is holds


@pytest.mark.parametrize(("three", "ordered"), [(0.3, True), (0.45, False)])
def test_methods_and_schedules(three, ordered):
    methods = {("mean", 1): 0.6, ("fomoh", None): 0.5, ("fomoh_kd", 2): 0.4, ("fomoh_kd", 3): three}
    rows = [
        {"gradient": gradient, "k": k, "schedule": schedule, "best_validation_loss": loss,
         "last_validation_loss": loss + (0.1 if schedule is None else 0.0)}
        for (gradient, k), loss in methods.items() for schedule in (None, "when_rising")
    ]  # fmt: skip
    tables = targets(fomoh_logistic_regression={"runs": DataFrame(rows)})
    assert claims.methods_order_by_k(tables).holds is ordered
    verdict = claims.schedules_help(tables)
    assert verdict.holds is True
    assert "FoMoH: 0.6000 without, 0.5000 with" in verdict.numbers
