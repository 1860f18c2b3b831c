"""Verdicts on made-up rows, in which a claim of the first paper about networks holds, fails, or cannot be judged."""

from __future__ import annotations

import pandas as pd
import pytest
from pandas import DataFrame

from frog_cli.reproduction.claims import multi_tangent_networks as claims
from tests.reproduction.made_up_rows import frames


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda claim: claim.text)
def test_without_rows_nothing_is_judged(claim):
    assert str(claim.judge(frames())) == "not run yet"


def networks(errors: dict[tuple[str, int | None], float], seeds: int = 2, **network: object) -> DataFrame:
    """Return runs on a network whose errors are 0.2 higher with each seed."""
    return DataFrame(
        {**network, "request": f"{network} {gradient} {k}", "gradient": gradient, "k": k, "seed": seed,
         "best_test_error_percent": error + 0.2 * seed}
        for (gradient, k), error in errors.items() for seed in range(seeds)
    )  # fmt: skip


MLP = {"model": "mlp", "width": 256}


@pytest.mark.parametrize(
    ("errors", "holds", "falling"),
    [((8.0, 5.0, 3.0), True, 1), ((8.0, 8.1, 3.0), True, 0), ((8.0, 9.0, 3.0), False, 0), ((8.0, 3.0, 3.1), False, 0)],
)
def test_more_tangents(errors, holds, falling):
    """A rise within the spread of the seeds is not held against the claim, but the last must be the lowest."""
    runs = networks({("mean", k): error for k, error in zip((1, 4, 16), errors, strict=True)}, **MLP)
    of_one_k = {**MLP, "gradient": "mean", "k": 16, "seed": 2, "best_test_error_percent": 99}
    wider = networks({("mean", 1): 3.0, ("mean", 16): 8.0}, 1, model="mlp", width=1024)  # of one seed
    runs = pd.concat([runs, DataFrame([of_one_k]), wider])  # no other k has this seed: it is not compared
    verdict = claims.more_tangents_help_networks(frames(fig6={"runs": runs}))
    assert verdict.holds is holds
    assert f"in {int(holds)} of 1 families, in {falling} of them" in verdict.numbers
    assert "MLP, w = 256, mean: k = 1: 8.10 %" in verdict.numbers
    assert f"k = 16: {errors[2] + 0.1:.2f} % (seeds 0, 1)" in verdict.numbers
    assert verdict.basis == "6 runs, 2 seeds, 1 network"


@pytest.mark.parametrize(("many", "holds"), [(2.5, True), (2.7, False)])
def test_many_tangents_come_close(many, holds):
    """From 8 to 2 nine tenths of the way end at 2.6."""
    of_other_k = {("projection", 16): 2.5, ("mean", 4): 4.0}
    runs = networks({("mean", 1): 8.0, ("mean", 16): many, ("backprop", None): 2.0, **of_other_k}, **MLP)
    wider = networks({("mean", 1): 8.0, ("mean", 16): 7.0}, model="mlp", width=1024)  # without backpropagation
    of_one_seed = networks({("mean", 1): 8.0, ("mean", 16): 7.0, ("backprop", None): 1.0}, 1, model="mlp", width=1024)
    one_end = networks({("mean", 1): 99.0}, 3, **MLP).tail(1)  # of a seed that the others do not have
    for others in (wider, of_one_seed):
        tables = frames(fig6={"runs": pd.concat([runs, others, one_end])})
        verdict = claims.many_tangents_come_close(tables)
        assert verdict.holds is holds
        assert "1024" not in verdict.numbers
    assert verdict.holds is holds
    assert f"MLP, w = 256, mean: {many + 0.1:.2f} %, one tangent 8.10 %, backprop 2.10 %" in verdict.numbers
    assert "1024" not in verdict.numbers
    assert verdict.basis == "8 runs, 2 seeds, 1 network"


@pytest.mark.parametrize(("apart", "holds"), [(0, True), (2, True), (5, False)])
def test_projection_and_mean(apart, holds):
    """Of 8 pairs with 3 seeds 0.8 are apart by chance; 2 or more are with a probability of 0.19, 5 of 0.0004."""
    widths = (1, 2, 3, 4, 5, 6, 7, 8)
    runs = [
        networks({("projection", 4): 3.0, ("mean", 4): 3.5 if width <= apart else 3.1}, 3, model="mlp", width=width)
        for width in widths
    ]
    of_one_seed = networks({("projection", 4): 3.0, ("mean", 4): 9.0}, 1, model="vit", data_variant="mnist")
    tables = frames(fig6={"runs": pd.concat(runs)}, table1={"runs": of_one_seed})
    verdict = claims.projection_is_like_mean_on_networks(tables)
    assert verdict.holds is holds
    assert f"{apart} of 8 pairs beyond the spread" in verdict.numbers
    assert f"the projection lower in {apart} of them, the mean in 0" in verdict.numbers
    assert f"MLP, w = 1, k = 4: 3.20 % and {3.7 if apart else 3.3:.2f} %, " in verdict.numbers
    assert "vit" not in verdict.numbers  # one seed has no spread
    assert verdict.basis == "48 runs, 3 seeds, 8 networks"


@pytest.mark.parametrize(("smoother", "holds"), [(9, True), (8, True), (7, None), (2, None), (1, False)])
def test_smoothness(smoother, holds):
    """Of 9 pairs 8 or more are smoother by chance with a probability of 0.02, and 7 or more of 0.09.

    A spike counts by its size: in both curves the loss rises as often.
    """
    runs = networks({("projection", 4): 3.0, ("mean", 4): 3.0}, 9, model="mlp", width=4096)
    curves = DataFrame(
        {"request": run["request"], "seed": run["seed"], "epoch": epoch,
         "test_loss": 1.1 ** (epoch % 2 if (run["gradient"] == "projection") == (run["seed"] < smoother) else
                              20 * (epoch % 2))}
        for _, run in runs.iterrows() for epoch in range(30 if run["gradient"] == "mean" else 20)
    )  # fmt: skip
    verdict = claims.projection_trains_more_smoothly(frames(fig6={"runs": runs, "curves": curves}))
    assert verdict.holds is holds
    assert str(verdict).startswith({True: "holds", False: "does not hold", None: "cannot be told"}[holds])
    assert f"in {smoother} of 9 pairs" in verdict.numbers
    narrower = claims.projection_trains_more_smoothly(frames(fig6={"runs": runs.assign(width=256), "curves": curves}))
    assert str(narrower).startswith("not run yet: MLP, w = 4096 is missing")  # the paper shows it for 4096


@pytest.mark.parametrize(
    ("wide", "backprop", "holds", "told"),
    [
        ((6.0, 5.0, 4.0), 1.8, True, "2 lose and 1 gain"),
        ((4.0, 3.0, 5.0), 1.8, False, "1 lose and 2 gain"),
        ((6.0, 5.0, 5.0), 2.2, False, "3 lose and 0 gain"),
        ((4.6, 4.4, 4.5), 1.8, None, "0 lose and 0 gain"),
    ],
)
def test_width(wide, backprop, holds, told):
    """Seeds are 0.2 apart; a width of one seed, between the others or beyond, does not count."""
    methods = [("mean", 1), ("mean", 16), ("projection", 16)]
    narrow = networks({**dict.fromkeys(methods, 4.5), ("backprop", None): 2.0, ("mean", 2): 9.0}, **MLP)
    widest = networks({**dict(zip(methods, wide, strict=True)), ("backprop", None): backprop}, model="mlp", width=1024)
    of_one_seed = [networks(dict.fromkeys(methods, 99.0), 1, model="mlp", width=width) for width in (512, 4096)]
    runs = pd.concat([narrow, widest, *of_one_seed])
    verdict = claims.width_hurts_forward_gradients(frames(fig6={"runs": runs}))
    assert verdict.holds is holds
    assert f"of 3 forward gradients, beyond the spread {told}" in verdict.numbers
    assert "mean, k = 2" not in verdict.numbers  # of one width only
    assert verdict.basis == "16 runs, 2 seeds, 2 networks"


@pytest.mark.parametrize(
    ("backprop", "forward", "holds"), [(24, 60, True), (26, 60, False), (24, 40, False), (10, 20, None)]
)
def test_epochs(backprop, forward, holds):
    """What counts is when the loss was lowest. Runs of no more than 25 epochs say nothing: they may be cut short."""
    runs = networks({("mean", 1): 3.0, ("backprop", None): 2.0}, model="mlp", width=4096)
    lowest = runs["gradient"].map({"backprop": backprop, "mean": forward}) - runs["seed"]
    runs = runs.assign(best_validation_loss_epoch=lowest, epochs=lowest + (0 if holds is None else 10))
    verdict = claims.backprop_takes_fewer_epochs(frames(fig6={"runs": runs}))
    assert verdict.holds is holds
    assert holds is None or f"backprop {backprop - 1} to {backprop}" in verdict.numbers
    narrower = frames(fig6={"runs": runs.assign(width=256)})
    assert claims.backprop_takes_fewer_epochs(narrower).holds is None


@pytest.mark.parametrize(("best", "holds"), [(2.5, True), (2.1, False)])
def test_the_gap(best, holds):
    """Backpropagation's seeds reach from 2 to 2.2."""
    errors = {("backprop", None): 2.0, ("mean", 1): 9.0, ("projection", 16): best}
    runs = networks(errors, model="vit", data_variant="mnist")
    verdict = claims.a_gap_remains(frames(table1={"runs": runs}))
    assert verdict.holds is holds
    assert f"vit, mnist: projection, k = 16, {best + 0.1:.2f} %, backprop 2.10 %" in verdict.numbers
    assert verdict.basis == "4 runs, 2 seeds, 1 network"
