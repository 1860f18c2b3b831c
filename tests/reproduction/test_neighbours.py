"""The comparison with what other code bases have, from rows made up here."""

from __future__ import annotations

import math

import pytest
from pandas import DataFrame

from frog_cli.reproduction.figures import neighbours
from frog_cli.reproduction.neighbours import compare


def runs(words: str, rate: object, errors: dict[int, float], **columns) -> list[dict]:
    network = {"model": "mlp", "k": 16, "tangents": "normal", "perturb": "activities", "outcome": "completed"}
    request = f"{words} learning_rate={rate}"
    own = {"request": request, "learning_rate": rate, **network, **columns}
    return [{**own, "seed": seed, "best_test_error_percent": error, "last_training_loss": error / 10}
            for seed, error in errors.items()]  # fmt: skip


ROWS = [
    *runs("gradient=backprop", 0.1, {0: 3.0, 1: 5.0}, gradient="backprop", k=None, tangents=None, perturb=None),
    *runs("gradient=mean gradient.k=16", 0.1, {0: 20.0}, gradient="mean"),
    *runs("gradient=mean gradient.k=16", 0.4, {0: 10.0, 1: 14.0}, gradient="mean"),
    *runs("gradient=mean gradient.k=16", 0.2, {0: 11.0, 1: 15.0}, gradient="mean"),
    *runs("gradient=mean gradient.k=16", 0.8, {0: 9.0}, gradient="mean"),  # of one seed, which tells less
    *runs("gradient=mean gradient.k=16", 1.6, {0: 90.0}, gradient="mean", outcome="diverged"),
    *runs("gradient=mean gradient.k=16", "curvature", {0: 11.0, 1: 13.0}, gradient="mean"),
    *runs("gradient=mean gradient.k=16 gradient.perturb=weights", 0.1, {0: 40.0}, gradient="mean", perturb="weights"),
    *runs("gradient=max gradient.k=16 gradient.corrected=true", 0.1, {0: 8.0}, gradient="max"),
    *runs("gradient=mean gradient.k=16 gradient.measure=greedy", 0.1, {0: 6.0}, gradient="mean", tangents="layerwise"),
    *runs("gradient=mean gradient.k=8 gradient.measure=difference", 0.1, {0: 50.0}, gradient="mean", k=8,
          perturb="weights"),
    *runs("gradient=fomoh_kd gradient.k=4 gradient.eigenvalues=absolute", 0.1, {0: 30.0}, gradient="fomoh_kd", k=4,
          perturb=None),
]  # fmt: skip


def frames(rows: list[dict]) -> dict[str, DataFrame]:
    curves = [{"request": row["request"], "seed": row["seed"], "epoch": epoch, "step": epoch, "training_loss": 1.0,
               "test_accuracy_percent": 50.0, "cosine": epoch / 4} for row in rows for epoch in (0, 1, 2)]  # fmt: skip
    return {"runs": DataFrame(rows), "curves": DataFrame(curves)}


def test_each_method_of_each_space_has_a_row_at_its_best_rate():
    table = compare(frames(ROWS))
    assert list(zip(table["space"], table["method"], table["test_error_mean"], strict=True)) == [
        ("", "backprop", 4.0),
        ("activities", "mean, layerwise, greedy", 6.0),
        ("activities", "max, corrected", 8.0),
        ("activities", "mean", 12.0),
        ("weights", "fomoh kd, absolute, k = 4", 30.0),
        ("weights", "mean", 40.0),
        ("weights", "mean, difference, k = 8", 50.0),
    ]
    mean = table[table["method"] == "mean"].iloc[0]
    assert (mean["best_rate"], mean["rates"], mean["seeds"]) == (0.4, 5, 2)
    assert (mean["test_error_min"], mean["test_error_max"], mean["training_loss_mean"]) == (10.0, 14.0, 1.2)
    assert mean["test_error_no_rate_mean"] == 12.0
    assert mean["cosine"] == pytest.approx(3 / 8)
    assert math.isnan(table[table["method"] == "max, corrected"].iloc[0]["test_error_no_rate_mean"])


def test_there_is_nothing_to_compare_without_rows():
    assert compare({"runs": DataFrame(), "curves": DataFrame()}).empty


def test_every_method_is_drawn_in_the_panel_of_its_space():
    figure = neighbours.draw(frames(ROWS))
    first, second = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == [
        "mean, layerwise, greedy",
        "max, corrected",
        "mean",
    ]
    assert len(second.get_yticklabels()) == 3
    assert [line.get_xdata()[0] for line in first.lines if line.get_linestyle() == ":"] == [4.0]
