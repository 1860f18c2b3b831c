"""Verdicts on made-up rows, in which a claim of the first paper plainly holds, plainly fails, or cannot be judged."""

from __future__ import annotations

import pandas as pd
import pytest
from pandas import DataFrame

from frog_cli.reproduction import claims_multi_tangent as claims
from tests.reproduction.made_up_rows import frames


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda claim: claim.text)
def test_without_rows_nothing_is_judged(claim):
    assert str(claim.judge(frames())) == "not run yet"


def function_runs(k16: float) -> DataFrame:
    values = {("mean", 1): 2.0, ("mean", 16): k16, ("projection", 16): 0.5, ("projection", 2): 1.0}
    return DataFrame(
        {"function": function, "n": n, "gradient": gradient, "k": k, "seed": 0, "best_value": value}
        for function in ("sphere", "rosenbrock") for n in (8, 64) for (gradient, k), value in values.items()
    )  # fmt: skip


@pytest.mark.parametrize(("k16", "holds"), [(1.0, True), (3.0, False)])
def test_more_tangents_on_functions(k16, holds):
    verdict = claims.more_tangents_help_functions(frames(fig4={"runs": function_runs(k16)}))
    assert verdict.holds is holds
    assert f"mean, k = 16, is at least as low as k = 1 in {2 if holds else 0} of 2 cases" in verdict.numbers
    assert "projection, k = 16, is at least as low as k = 1 in 2 of 2 cases" in verdict.numbers
    assert verdict.basis == "6 runs, 1 seed"  # of three methods on two functions of 64 dimensions


@pytest.mark.parametrize(("errors", "holds"), [((8.0, 5.0, 3.0), True), ((8.0, 9.0, 3.0), False)])
def test_more_tangents_on_networks(errors, holds):
    runs = DataFrame(
        {"model": "mlp", "width": 256, "gradient": "mean", "k": k, "seed": seed, "best_test_error_percent": error}
        for k, error in zip((1, 4, 16), errors, strict=True)
        for seed in (0, 1)
    )
    of_one_k = {"model": "mlp", "width": 256, "gradient": "mean", "k": 16, "seed": 2, "best_test_error_percent": 99}
    runs = pd.concat([runs, DataFrame([of_one_k])])  # no other k has this seed: it is not compared
    verdict = claims.more_tangents_help_networks(frames(fig6={"runs": runs}))
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
    verdict = claims.projection_is_like_mean_on_networks(frames(fig6=fully_connected, table1=other))
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
    verdict = claims.projection_trains_more_smoothly(frames(fig6={"runs": runs, "curves": curves}))
    assert verdict.holds is holds
    assert f"{0 if holds else 2 / 3:.1%} and 33.3% (seed 0 only)" in verdict.numbers
    narrower = frames(fig6={"runs": runs.assign(width=256), "curves": curves})
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
    assert claims.projection_is_best_near_n(frames(fig3={"quality": DataFrame(rows)})).holds is holds


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
    verdict = claims.the_cone_hurts_mean(frames(fig5={"quality": quality, "runs": runs}))
    assert verdict.holds is holds
    assert "(cosine: 1000 seeds; Styblinski-Tang, n = 64: seeds 0, 1)" in verdict.numbers
