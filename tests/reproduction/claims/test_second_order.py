"""Verdicts on made-up rows, in which a claim of the second paper about functions holds, fails, or cannot be judged."""

from __future__ import annotations

import numpy as np
import pytest
from pandas import DataFrame

from frog_cli.reproduction.claims import second_order as claims
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


@pytest.mark.parametrize(
    ("mean", "holds"), [((2.0, 1.0), True), ((2.1, 0.9), True), ((2.5, 0.5), False), ((-2.0, -1.0), False)]
)
def test_the_mean_step_along_one_tangent(mean, holds):
    """The gradient leads along (2, 1), whatever the steps' lengths; a standard error across is 0.1."""
    runs = DataFrame(
        {"gradient": gradient, "k": 1, "seed": seed, "first_point_0": 3.0, "first_point_1": 1.0,
         "last_point_0": 3.0 + x + (2 * (seed % 2) - 1) * spread, "last_point_1": 1.0 + y}
        for gradient, (x, y), spread in (("mean", mean, 2.0), ("fomoh_bp", (0.2, 0.1), 0.0), ("newton", (5, 0), 0.0))
        for seed in range(81)
    )  # fmt: skip
    verdict = claims.the_mean_step_along_one_tangent_is_along_the_gradient(frames(fomoh_step={"runs": runs}))
    assert verdict.holds is holds
    assert verdict.basis == "162 runs, 81 seeds"


@pytest.mark.parametrize(("off", "spread", "holds"), [(0.0, 0.0, True), (0.01, 0.0, False), (0.0, 0.01, False)])
def test_a_step_in_two_directions(off, spread, holds):
    """Newton's step is 1 long."""
    ends = {"newton": (0.0, 0.0), "fomoh_kd": (off, spread), "mean": (7.0, 7.0)}
    runs = DataFrame(
        {"gradient": gradient, "k": 2, "seed": seed, "first_point_0": 3.0, "first_point_1": 1.0,
         "last_point_0": 3.0 + mean + (2 * seed - 1) * deviation, "last_point_1": 2.0}
        for gradient, (mean, deviation) in ends.items() for seed in (0, 1)
    )  # fmt: skip
    verdict = claims.a_step_in_two_directions_is_newtons(frames(fomoh_step={"runs": runs}))
    assert verdict.holds is holds
    assert f"ends {off:.1g} away" in verdict.numbers


@pytest.mark.parametrize(("fomoh", "along_gradient", "holds"), [(0.0, 0.1, True), (0.2, 0.1, False), (0.0, 0.5, False)])
def test_methods_in_two_dimensions(fomoh, along_gradient, holds):
    medians = {"backprop": 0.3, "mean": 0.4, "fomoh_bp": along_gradient, "fomoh": fomoh, "fomoh_kd": 0.0}
    runs = DataFrame(
        {"gradient": gradient, "k": {"mean": 1, "fomoh_kd": 2}.get(gradient), "seed": seed,
         "best_value": 1e3 if seed == 2 else value}
        for gradient, value in medians.items() for seed in range(3)
    )  # fmt: skip
    verdict = claims.forward_beats_backward_in_two_dimensions(frames(fomoh_rosenbrock_2d={"runs": runs}))
    assert verdict.holds is holds
    assert f"FoMoH-BP {along_gradient:.3g}" in verdict.numbers
    assert "FoMoH-2D 0, " in verdict.numbers


def steps(fgd, fomoh) -> DataFrame:
    """Return runs from the origin: FoMoH-BP's lead along the first axis, those of the others as given."""
    of_methods = {"mean": fgd, "fomoh": fomoh, "fomoh_bp": [(1.0, 0.0)] * 2}
    return DataFrame(
        {"gradient": gradient, "seed": seed, "first_point_0": 0.0, "first_point_1": 0.0, "last_point_0": x,
         "last_point_1": y}
        for gradient, ends in of_methods.items() for seed, (x, y) in enumerate(ends)
    )  # fmt: skip


@pytest.mark.parametrize(("across", "differs"), [(0.0, False), (0.2, False), (0.4, True), (-0.4, True)])
def test_directions_of_mean_steps(across, differs):
    """Of 100 steps across by 1 or -1 the mean has a standard error of 0.1."""
    ends = [(1.0, across + (-1) ** seed) for seed in range(100)]
    tables = frames(fomoh_step={"runs": steps(ends, ends)})
    assert claims.the_mean_step_along_one_tangent_is_along_the_gradient(tables).holds is not differs
    assert claims.the_mean_step_of_a_line_search_is_not_along_the_gradient(tables).holds is differs


@pytest.mark.parametrize(("spread", "holds"), [(2.0, True), (1.02, None), (0.5, False)])
def test_spread_of_steps(spread, holds):
    """Steps twice as long spread twice as much: what counts is the spread over the length of the mean step."""
    draw = np.random.default_rng(0).normal(size=(200, 2))
    runs = steps([(2 + spread * x, spread * y) for x, y in draw], [(1 + x / 2, y / 2) for x, y in draw[::-1]])
    assert claims.steps_of_a_line_search_vary_less(frames(fomoh_step={"runs": runs})).holds is holds
