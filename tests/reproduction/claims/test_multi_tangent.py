"""Verdicts on made-up rows, in which a claim of the first paper about functions holds, fails, or cannot be judged."""

from __future__ import annotations

import pandas as pd
import pytest
from pandas import DataFrame

from frog_cli.reproduction.claims import multi_tangent as claims
from tests.reproduction.made_up_rows import frames


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda claim: claim.text)
def test_without_rows_nothing_is_judged(claim):
    assert str(claim.judge(frames())) == "not run yet"


def function_runs(values: dict[tuple[str, int | None], float], n: tuple[int, ...] = (8, 64)) -> DataFrame:
    """Return runs of two seeds on three functions of some dimensions, with one value for each method, and a spread."""
    return DataFrame(
        {"function": function, "n": size, "gradient": gradient, "k": k, "seed": seed, "best_value": value + 0.2 * seed}
        for function in ("sphere", "styblinski-tang", "rosenbrock") for size in n
        for (gradient, k), value in values.items() for seed in (0, 1)
    )  # fmt: skip


FEWER = {("mean", 1): 2.0, ("projection", 2): 1.0, ("projection", 16): 0.5}


@pytest.mark.parametrize(
    ("of_mean", "holds", "told"),
    [
        (
            {4: 1.5, 16: 1.0},
            True,
            "k = 16 is at least as low as k = 1 in 3 of 3 cases of n above 16; each k as the one before in 10 of 10",
        ),
        ({4: 1.5, 16: 1.6}, True, "each k as the one before in 5 of 10 steps, above it beyond the spread in 0"),
        ({4: 1.5, 16: 1.8}, False, "each k as the one before in 5 of 10 steps, above it beyond the spread in 5"),
        ({4: 1.5, 16: 3.0}, False, "k = 16 is at least as low as k = 1 in 0 of 3 cases"),
    ],
)
def test_more_tangents_on_functions(of_mean, holds, told):
    """Of three functions with 8 and 64 variables, five are judged step by step: not Rosenbrock's of 8."""
    values = FEWER | {("mean", k): value for k, value in of_mean.items()}
    verdict = claims.more_tangents_help_functions(frames(fig4={"runs": function_runs(values)}))
    assert verdict.holds is holds
    assert told in verdict.numbers.partition("; projection")[0]
    assert "projection: k = 16 is at least as low as k = 1 in 3 of 3 cases" in verdict.numbers
    assert verdict.basis == "60 runs, 2 seeds"


@pytest.mark.parametrize(("one", "backprop", "holds"), [(30.0, 0.0, True), (0.3, 0.0, False), (30.0, 1e-3, False)])
def test_one_tangent_on_the_widest_sphere(one, backprop, holds):
    """It starts at n = 64: a hundredth of the way is 0.64."""
    values = {("mean", 1): one, ("mean", 16): 0.0, ("backprop", None): backprop}
    runs = function_runs(values, n=(8, 64))
    runs["best_value"] -= 0.2 * runs["seed"]
    verdict = claims.one_tangent_fails_in_high_dimensions(frames(fig4={"runs": runs}))
    assert verdict.holds is holds
    assert f"{one / 64:.1%} of the way to the minimum left" in verdict.numbers


def test_one_tangent_in_few_dimensions():
    """What counts is the share of the way: from 0 to -39.166 n, or from n to 0."""
    lowest = {"sphere": 0.0, "styblinski-tang": -39.16616570377142}
    runs = function_runs({("mean", 1): 0.0}, n=(4, 16, 64))
    runs = runs[runs["function"] != "rosenbrock"]
    runs["best_value"] = runs["function"].map(lowest) * runs["n"]
    runs.loc[runs["n"] == 64, "best_value"] = 1e3  # is not judged
    assert claims.one_tangent_is_enough_in_few_dimensions(frames(fig4={"runs": runs})).holds is True
    stuck = (runs["function"] == "styblinski-tang") & (runs["n"] == 16)
    runs.loc[stuck, "best_value"] += 14.13715  # of one variable in the wrong basin: 2.3 % of 16 times 39.17
    verdict = claims.one_tangent_is_enough_in_few_dimensions(frames(fig4={"runs": runs}))
    assert verdict.holds is False
    assert "in 3 of 4 cases; not styblinski-tang, n = 16: 2.3%" in verdict.numbers


@pytest.mark.parametrize(("apart", "holds"), [(0, True), (2, True), (5, False)])
def test_projection_and_mean_on_functions(apart, holds):
    """Of 8 pairs with 3 seeds 0.8 are apart by chance; 2 or more are with a probability of 0.19, 5 of 0.0004."""
    runs = DataFrame(
        {"function": function, "n": n, "gradient": gradient, "k": 4, "seed": seed,
         "best_value": 0.5 * n * (1 + 0.1 * seed) * (0.1 if gradient == "mean" and number < apart else 1)}
        for number, (function, n) in enumerate((name, n) for name in ("sphere",) for n in (1, 2, 4, 8, 16, 32, 64, 128))
        for gradient in ("mean", "projection") for seed in range(3)
    )  # fmt: skip
    verdict = claims.projection_is_like_mean_on_functions(frames(fig4={"runs": runs}))
    assert verdict.holds is holds
    assert f"apart in {apart} of 8 pairs" in verdict.numbers


def quality(cosines: dict[str, tuple[float, ...]], **more: float) -> DataFrame:
    """Return cosine similarities of some methods with 1, 32, 64 and 256 tangents of 64 dimensions."""
    return DataFrame(
        {"tangents": "normal", "n": 64, "k": k, "gradient": gradient, "cosine_mean": value, "norm_ratio_mean": 1.0,
         "cosine_standard_error": 0.001, "seeds": 1000, **more}
        for gradient, values in cosines.items() for k, value in zip((1, 32, 64, 256), values, strict=True)
    )  # fmt: skip


@pytest.mark.parametrize(("mean", "holds"), [((0.1, 0.5, 0.7, 0.698), True), ((0.1, 0.5, 0.7, 0.69), False)])
def test_more_tangents_point_better(mean, holds):
    """Three standard errors are 0.003."""
    table = quality({"mean": mean, "projection": (0.1, 0.6, 1.0, 1.0)})
    verdict = claims.more_tangents_point_better(frames(fig3={"quality": table}))
    assert verdict.holds is holds
    assert "k = 256: 1.000 (n = 64, 1000 seeds)" in verdict.numbers


@pytest.mark.parametrize(
    ("at_n", "last", "length", "holds"),
    [(0.7, 0.97, 1.03, True), (0.7, 0.94, 1.03, False), (0.7, 0.97, 1.06, False), (0.96, 0.97, 1.03, False)],
)
def test_the_mean_of_many_tangents(at_n, last, length, holds):
    """Of 64 dimensions 1024 tangents are many, and 256 are not."""
    table = quality({"mean": (0.1, 0.5, at_n, last)}, norm_ratio_mean=length)
    assert claims.means_are_exact_for_many_tangents(frames(fig3={"quality": table})).holds is None
    table["k"] = table["k"].replace(256, 1024)
    verdict = claims.means_are_exact_for_many_tangents(frames(fig3={"quality": table}))
    assert verdict.holds is holds
    assert f"k = 1024: {last:.3f} and {length:.3f} (n = 64, 1000 seeds)" in verdict.numbers


@pytest.mark.parametrize(
    ("of_sum", "projection", "length", "holds"),
    [(0.7, 1.0, 1.0, True), (0.71, 1.0, 1.0, False), (0.7, 0.99, 1.0, False), (0.7, 1.0, 0.9, False)],
)
def test_sums_point_alike_and_projection_is_exact(of_sum, projection, length, holds):
    """Below k = n the projection need not be exact."""
    mean = (0.1, 0.5, 0.7, 0.9)
    cosines = {"mean": mean, "sum": (0.1, 0.5, of_sum, 0.9), "projection": (0.1, 0.6, projection, 1.0)}
    table = quality(cosines, norm_ratio_mean=length)
    verdict = claims.sums_point_alike_and_projection_is_exact(frames(fig3={"quality": table}))
    assert verdict.holds is holds


@pytest.mark.parametrize(("projection", "holds"), [((0.1, 0.6, 1.0, 1.0), True), ((0.6, 0.6, 0.75, 0.9), False)])
def test_projection_near_n(projection, holds):
    table = quality({"mean": (0.1, 0.5, 0.7, 0.9), "projection": projection})
    assert claims.projection_is_best_near_n(frames(fig3={"quality": table})).holds is holds


@pytest.mark.parametrize(("at_n", "holds"), [(0.704, True), (0.705, False), (0.695, False)])
def test_whether_lengths_turn_sums(at_n, holds):
    """Three standard errors of a difference of two cosines are 0.0042."""
    tables = [quality({"mean": (0.1, 0.5, middle, 0.9)}, tangents=name)
              for name, middle in (("normal", 0.7), ("normalised", at_n))]  # fmt: skip
    verdict = claims.lengths_of_tangents_do_not_turn_sums(frames(fig3={"quality": pd.concat(tables)}))
    assert verdict.holds is holds
    one_missing = pd.concat([tables[0], tables[1][tables[1]["k"] != 32]])
    assert claims.lengths_of_tangents_do_not_turn_sums(frames(fig3={"quality": one_missing})).holds is None
    assert f"{at_n - 0.7:.2g} at k = 64, is" in verdict.numbers


@pytest.mark.parametrize(("few", "many", "holds"), [(1.09, 16.0, True), (1.2, 16.0, False), (1.0, 1.1, False)])
def test_lengths_of_the_projection_and_of_normalised_sums(few, many, holds):
    sums, projection = (quality({name: (0.1, 0.5, 0.7, 0.9)}) for name in ("sum", "projection"))
    sums = sums.assign(tangents="normalised", norm_ratio_mean=[few / 2, 1.0, 1.4, many])
    projection["norm_ratio_mean"] = [0.5, 0.8, 1.0, 1.0]
    table = pd.concat([sums, projection])
    verdict = claims.projection_is_as_long_as_a_normalised_sum_of_few(frames(fig3={"quality": table}))
    assert verdict.holds is holds
    assert f"k = 1: {few:.2f}, k = 64: 1.40, k = 256: {many:.2f} (n = 64" in verdict.numbers


def test_pairs_that_both_reach_the_minimum_are_not_compared():
    """Five of 40 pairs that are apart would be chance; of the 8 that can be apart they are not."""
    runs = DataFrame(
        {"function": "sphere", "n": n, "gradient": gradient, "k": 4, "seed": seed,
         "best_value": 0.0 if n > 8 else 0.5 * n * (1 + 0.1 * seed) * (0.1 if gradient == "mean" and n <= 5 else 1)}
        for n in range(1, 41) for gradient in ("mean", "projection") for seed in range(3)
    )  # fmt: skip
    verdict = claims.projection_is_like_mean_on_functions(frames(fig4={"runs": runs}))
    assert verdict.holds is False
    assert "apart in 5 of 8 pairs that do not both reach the minimum, as 32 more do" in verdict.numbers
    assert verdict.basis == "48 runs, 3 seeds"


@pytest.mark.parametrize(("lower", "holds"), [(9, True), (6, None), (1, False)])
def test_projection_on_rosenbrock(lower, holds):
    """Of 10 pairs 9 or more are lower by chance with a probability of 0.01, and 6 or more of 0.38."""
    runs = DataFrame(
        {"function": "rosenbrock", "n": 2 ** (number + 1), "gradient": gradient, "k": 4, "seed": seed,
         "best_value": 1.0 + (0.5 if number < lower else -0.5) * (gradient == "mean")}
        for number in range(10) for gradient in ("mean", "projection") for seed in range(2)
    )  # fmt: skip
    verdict = claims.projection_beats_mean_in_descent(frames(fig4={"runs": runs}))
    assert verdict.holds is holds
    assert f"lower in {lower} of 10 pairs" in verdict.numbers
