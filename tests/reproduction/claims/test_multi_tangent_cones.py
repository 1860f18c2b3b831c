"""Verdicts on made-up rows, in which a claim of the first paper about cones holds, fails, or cannot be judged."""

from __future__ import annotations

import pytest
from pandas import DataFrame

from frog_cli.reproduction.claims import multi_tangent_cones as claims
from tests.reproduction.made_up_rows import frames


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda claim: claim.text)
def test_without_rows_nothing_is_judged(claim):
    assert str(claim.judge(frames())) == "not run yet"


@pytest.mark.parametrize(
    ("projected", "of_mean", "of_projection", "holds"),
    [
        (0.5, 3.0, 0.0, True),
        (0.5, 3.0, 0.3, True),
        (0.3, 3.0, 0.0, False),
        (0.5, 0.3, 0.0, False),
        (0.5, 3.0, 0.9, False),
    ],
)
def test_cone(projected, of_mean, of_projection, holds):
    """The two seeds are 0.5 apart: the mean must end higher by more than that, and projection must not."""
    cosines = {("mean", 15): 0.2, ("mean", 90): 0.5, ("projection", 15): projected, ("projection", 90): 0.5}
    quality = DataFrame(
        {"gradient": gradient, "k": 16, "angle": angle, "cosine_mean": value, "cosine_standard_error": 0.001,
         "seeds": 1000}
        for (gradient, angle), value in cosines.items()
    )  # fmt: skip
    runs = DataFrame(
        {"gradient": gradient, "k": 16, "angle": angle, "n": 64, "seed": seed,
         "best_value": 64 * (-39 + loss + seed / 2)}
        for (gradient, angle), loss in zip(cosines, (of_mean, 0.0, of_projection, 0.0), strict=True) for seed in (0, 1)
    )  # fmt: skip
    verdict = claims.the_cone_hurts_mean(frames(fig5={"quality": quality, "runs": runs}))
    assert verdict.holds is holds
    assert "(cosine: 1000 seeds; Styblinski-Tang, n = 64: seeds 0, 1)" in verdict.numbers


@pytest.mark.parametrize(("at_60", "at_45", "holds"), [(0.0, 0.3, True), (0.3, 0.3, False), (0.0, 0.0, False)])
def test_how_narrow_a_cone_the_mean_bears(at_60, at_45, holds):
    """One of three seeds in the wrong basin does not move the median."""
    runs = DataFrame(
        {"gradient": "mean", "k": k, "angle": float(angle), "n": 64, "seed": seed,
         "best_value": 64 * (-39.16616570377142 + max(above, 0.2 * (seed == 2)))}
        for k in (16, 64) for angle, above in {15: 2.0, 45: at_45, 60: at_60, 90: 0.0}.items() for seed in range(3)
    )  # fmt: skip
    verdict = claims.the_mean_bears_wide_cones(frames(fig5={"runs": runs}))
    assert verdict.holds is holds
    assert "k = 64: 15: 2, 45: " in verdict.numbers


@pytest.mark.parametrize(
    ("cosine", "above", "holds"),
    [(0.5, 0.0, True), (0.54, 0.0, True), (0.56, 0.0, False), (0.44, 0.0, False), (0.5, 0.5, False), (0.5, 0.1, True)],
)
def test_a_right_angle_is_like_none(cosine, above, holds):
    """The seeds of normal tangents span 0.2; narrower cones and other functions do not count."""
    of_cones = DataFrame(
        {"gradient": gradient, "k": k, "n": 64, "angle": angle, "cosine_mean": cosine if angle == 90 else 0.1,
         "seeds": 1000}
        for gradient in ("mean", "projection") for k in (16, 64) for angle in (15, 90)
    )  # fmt: skip
    of_normal = DataFrame(
        {"gradient": gradient, "k": k, "n": 64, "tangents": tangents, "cosine_mean": 0.5 - (tangents == "normalised"),
         "seeds": 1000}
        for gradient in ("sum", "mean", "projection") for k in (1, 16, 64) for tangents in ("normal", "normalised")
    )  # fmt: skip
    cones = DataFrame(
        {"gradient": gradient, "k": k, "n": 64, "angle": angle, "seed": seed, "function": "styblinski-tang",
         "best_value": 64 * (-39 + (above if angle == 90 else 9))}
        for gradient in ("mean", "projection") for k in (16, 64) for angle in (15, 90) for seed in (0, 1)
    )  # fmt: skip
    normal = DataFrame(
        {"gradient": gradient, "k": k, "n": 64, "seed": seed, "function": function,
         "best_value": 64 * (-39 + 0.2 * seed if function == "styblinski-tang" else 5)}
        for gradient in ("mean", "projection") for k in (1, 16) for seed in (0, 1)
        for function in ("sphere", "styblinski-tang")
    )  # fmt: skip
    tables = {"fig5": {"quality": of_cones, "runs": cones}, "fig3": {"quality": of_normal}, "fig4": {"runs": normal}}
    verdict = claims.the_widest_cone_is_like_none(frames(**tables))
    assert verdict.holds is holds
    assert f"mean, k = 16: {-39 + above:.2f} and -38.90; projection, k = 16" in verdict.numbers
    assert "k = 64:" not in verdict.numbers  # without a cone there are no such runs
    assert verdict.basis == "8 runs, 2 seeds, and cosines of 1000 seeds"
