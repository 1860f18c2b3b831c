"""The comparison of local tangents with others, from rows made up here."""

from __future__ import annotations

import pytest
from pandas import DataFrame

from frog_cli.reproduction.claims.beyond import CLAIMS
from frog_cli.reproduction.figures import informed_tangents
from frog_cli.reproduction.informed_tangents import compare

LOCAL = {"gradient": "projection", "tangents": "local"}
LAYERS = ("cosine_layer_1", "cosine_layer_2")


def runs(method: dict, rate: object, errors: dict[int, float], losses: dict[int, float], more: str = "") -> list[dict]:
    words = f"gradient={method['gradient']} {more} learning_rate={rate}"
    network = {
        "model": "resnet18",
        "width": 16,
        "data": "image_folder",
        "data_variant": "cifar10_jpeg",
        "k": None,
        "tangents": None,
        **method,
    }
    return [
        {"request": words, "seed": seed, "learning_rate": rate, "outcome": "completed", **network,
         "best_test_error_percent": errors[seed], "last_training_loss": losses[seed]}
        for seed in errors
    ]  # fmt: skip


ROWS = [
    *runs({"gradient": "backprop"}, 0.1, {0: 50, 1: 54}, {0: 1.0, 1: 1.2}),
    *runs({"gradient": "backprop"}, 0.2, {0: 40}, {0: 1.3}),
    *runs({"gradient": "projection", "k": 16, "tangents": "normal"}, 0.1, {0: 80, 1: 80}, {0: 2.0, 1: 2.2}),
    *runs(LOCAL, 0.1, {0: 60, 1: 64}, {0: 1.5, 1: 1.7}, "tangents=local"),
    *runs(LOCAL, 0.4, {0: 90}, {0: float("nan")}, "tangents=local"),
    *runs(LOCAL, "curvature", {0: 66, 1: 66}, {0: 1.8, 1: 1.8}, "tangents=local"),
    *runs(LOCAL, 0.1, {0: 85, 1: 85}, {0: 2.2, 1: 2.2}, "tangents=local gradient.measure=greedy"),
    *runs({**LOCAL, "tangents": "local_depth1"}, 0.1, {0: 52, 1: 54}, {0: 1.1, 1: 1.3}, "tangents=local"),
]


def frames(rows: list[dict]) -> dict[str, DataFrame]:
    curves = [
        {"request": row["request"], "seed": row["seed"], "epoch": epoch, "step": 10 * epoch, "training_loss": 2 - epoch,
         "test_accuracy_percent": 10.0 * epoch, "cosine": epoch / 4, LAYERS[0]: epoch / 8, LAYERS[1]: 1.0}
        for row in rows for epoch in (0, 1, 2)
    ]  # fmt: skip
    costs = [
        {"benchmark": "resnet18_local", "gradient": "backprop", "tangents": None, "measure": None, "k": None,
         "lengths": None,
         "multiplications": 300, "plain_multiplications": 3.0, "plain_passes": 3.1, "backprop_peaks": 1.0},
        {"benchmark": "resnet18_local", "gradient": "projection", "tangents": "local", "measure": "forward", "k": None,
         "lengths": None,
         "multiplications": 500, "plain_multiplications": 5.0, "plain_passes": 6.1, "backprop_peaks": 1.5},
    ]  # fmt: skip
    costs.append({**costs[1], "lengths": "curvature", "plain_multiplications": 9.0})
    costs.append({**costs[0], "gradient": "backprop with checkpoints", "plain_passes": 4.0, "backprop_peaks": 0.7})
    # a run that diverged, as a CSV has it, which makes the columns ones of words
    curves.append({**curves[-1], "request": "another", "training_loss": "nan", "cosine": "nan"})
    return {"runs": DataFrame(rows), "curves": DataFrame(curves).astype({"cosine": str}), "costs": DataFrame(costs)}


def test_methods_stand_at_their_best_rate_by_the_seeds_that_all_rates_have():
    table = compare(frames(ROWS)).set_index("method")
    assert list(table.index) == [
        "backprop",
        "backprop with checkpoints",
        "projection, k = 16",
        "projection, local",
        "projection, local, no rate",
        "greedy, local",
        "projection, local depth1",
    ]
    assert table["best_rate"].tolist() == [0.1, 0.1, 0.1, 0.1, "curvature", 0.1, 0.1]
    assert table["rates"].tolist() == [2, 2, 1, 2, 1, 1, 1]
    assert table.loc["backprop", "test_error_mean"] == 52
    assert table.loc["backprop", "test_error_min"] == 50


def test_a_gap_is_closed_by_the_share_of_the_way_to_backpropagation():
    table = compare(frames(ROWS)).set_index("method")
    assert table.loc["backprop", "training_loss_gap_closed"] == 1
    assert table.loc["projection, k = 16", "training_loss_gap_closed"] == 0
    assert table.loc["projection, local", "training_loss_gap_closed"] == pytest.approx(0.5)
    assert table.loc["projection, local depth1", "training_loss_gap_closed"] == pytest.approx(0.9)
    assert table.loc["greedy, local", "training_loss_gap_closed"] == pytest.approx(-0.1)
    assert table.loc["projection, local depth1", "test_error_gap_closed"] == pytest.approx(27 / 28)


def test_cosines_leave_out_what_was_before_the_first_step_and_costs_are_the_methods_own():
    table = compare(frames(ROWS)).set_index("method")
    assert table.loc["projection, local", "cosine"] == pytest.approx((0.25 + 0.5) / 2)
    assert table.loc["projection, local", LAYERS[0]] == pytest.approx((0.125 + 0.25) / 2)
    assert table.loc["projection, local", "plain_multiplications"] == 5
    assert table.loc["backprop", "plain_multiplications"] == 3
    assert table.loc["backprop", "backprop_peaks"] == 1
    checkpoints = table.loc["backprop with checkpoints"]
    assert (checkpoints["backprop_peaks"], checkpoints["test_error_mean"]) == (0.7, 52)
    assert table.loc["projection, local, no rate", "plain_multiplications"] == 9
    assert table["plain_multiplications"].isna().sum() == 3  # which nobody measured


def test_claims_are_judged_by_the_rows():
    of_target = [claim for claim in CLAIMS if "local" in claim.text]
    assert len(of_target) >= 3
    verdicts = [str(claim.judge({"informed_tangents": frames(ROWS)})) for claim in of_target]
    assert any("holds" in verdict for verdict in verdicts)
    empty = {"runs": DataFrame(), "curves": DataFrame(), "costs": DataFrame()}
    assert {str(claim.judge({"informed_tangents": empty})) for claim in of_target} == {"not run yet"}


def test_the_picture_has_a_row_for_each_network_and_needs_no_costs():
    figure = informed_tangents.draw(frames(ROWS))
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")] == [
        "resnet18, w = 16, cifar10_jpeg"
    ]
    informed_tangents.draw({**frames(ROWS), "costs": DataFrame()}).savefig("/dev/null", format="png")
