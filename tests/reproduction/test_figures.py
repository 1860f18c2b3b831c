"""What pictures show, and that it can be read: made-up rows, and the axes that come of them."""

from __future__ import annotations

import numpy as np
import pytest
from pandas import DataFrame

from frog_cli.reproduction.figures import FIGURES, starts

EMPTY = DataFrame()


def drawn(name: str, **tables: DataFrame):
    return FIGURES[name]({"runs": EMPTY, "curves": EMPTY, "quality": EMPTY, "searched": EMPTY} | tables)


def test_every_sampled_step_is_inside_the_frame_and_contours_have_their_values():
    generator = np.random.default_rng(0)
    ends = [*generator.normal(size=(50, 2)), np.array([9.0, -7.0])]
    runs = DataFrame(
        {"gradient": "mean", "k": 1, "seed": seed, "first_point_0": 0.2, "first_point_1": -0.7,
         "last_point_0": x, "last_point_1": y}
        for seed, (x, y) in enumerate(ends)
    )  # fmt: skip
    (axes,) = drawn("fomoh_step", runs=runs).axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert all(left < x < right and bottom < y < top for x, y in ends)
    assert any(text.get_text().startswith("f = ") for text in axes.texts)


def searches() -> tuple[DataFrame, DataFrame]:
    """Return runs and curves of K = 2 to 10 from two starts with three seeds each, and of Newton's method."""
    methods = [("fomoh_kd", k, seed) for k in range(2, 11) for seed in range(3)] + [("newton", None, 0)]
    runs = DataFrame(
        {"request": f"{gradient} {k} {start}", "gradient": gradient, "k": k, "start_seed": start, "seed": seed}
        for gradient, k, seed in methods for start in range(2)
    )  # fmt: skip
    curves = DataFrame(
        {"request": run["request"], "seed": run["seed"], "step": step,
         "best_value": 10.0 ** -(step * (run["k"] if run["k"] > 0 else 10) / 5) + (100.0 if run["seed"] == 2 else 0.0)}
        for _, run in runs.iterrows() for step in range(8)
    )  # fmt: skip
    return runs, curves


def test_medians_are_over_all_starts_and_seeds_and_no_two_methods_look_alike():
    runs, curves = searches()
    figure = drawn("fomoh_rosenbrock_10d", runs=runs, curves=curves)
    (axes,) = figure.axes
    assert "2 starts with 3 seeds of tangents each" in figure.get_suptitle()
    lines = {line.get_label(): line for line in axes.lines}
    assert len(lines) == 10
    assert lines["FoMoH-5D"].get_ydata()[-1] == pytest.approx(1e-7)  # one seed of three is far off
    assert len({line.get_color() for line in lines.values()}) == 10
    assert len({line.get_marker() for line in lines.values()}) == 10
    assert lines["Newton"].get_zorder() > lines["FoMoH-10D"].get_zorder()  # they coincide


def test_runs_that_start_from_their_own_seeds_are_starts():
    runs, _ = searches()
    assert starts(runs.drop(columns="start_seed")) == "3 starts"
    assert starts(runs[runs["gradient"] == "newton"]) == "2 starts"


def test_errors_are_drawn_so_that_small_differences_show():
    runs = DataFrame([{"request": "a", "gradient": "backprop", "k": np.nan, "seed": 0}])
    curves = DataFrame(
        {"request": "a", "seed": 0, "epoch": epoch, "training_loss": 1.0, "validation_loss": 2.0,
         **dict.fromkeys(("training_accuracy_percent", "validation_accuracy_percent"), 99.0 - 80 / (1 + epoch))}
        for epoch in range(5)
    )  # fmt: skip
    panels = drawn("fomoh_cnn", runs=runs, curves=curves).axes
    assert [axes.get_ylabel() for axes in panels][1::2] == ["training error in %", "validation error in %"]
    assert all((axes.get_xscale(), axes.get_yscale()) == ("log", "log") for axes in panels)
    np.testing.assert_allclose(panels[1].lines[0].get_ydata(), [81, 41, 1 + 80 / 3, 21, 17])


def test_searched_rates_stand_beside_the_name_of_their_problem():
    found = {"searched": 0.5, "published": 0.1, "ratio": 5.0, "gradient": "fomoh_kd", "k": 2}
    table = DataFrame([
        {**found, "model": "logistic_regression", "data": "mnist", "search_epochs": 5},
        {**found, "function": "sphere", "n": 64, "gradient": "projection", "k": 16, "published": None, "ratio": None},
    ])  # fmt: skip
    (axes,) = drawn("learning_rates", searched=table).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["logistic regression, mnist: FoMoH-2D, 5 epochs", "sphere, n = 64: projection, k = 16"]
    assert [text.get_text() for text in axes.texts] == ["5 times", "none published"]
