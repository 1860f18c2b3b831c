from __future__ import annotations

from pandas import DataFrame

from frog_cli.reproduction.figures import learning_rates


def test_searched_rates_stand_beside_the_name_of_their_problem():
    found = {"searched": 0.5, "published": 0.1, "ratio": 5.0, "gradient": "fomoh_kd", "k": 2}
    table = DataFrame([
        {**found, "model": "logistic_regression", "data": "mnist", "search_epochs": 5},
        {**found, "model": "logistic_regression", "data": "mnist", "schedule": "when_rising", "search_epochs": 5},
        {**found, "function": "sphere", "n": 64, "gradient": "projection", "k": 16, "published": None, "ratio": None},
    ])  # fmt: skip
    (axes,) = learning_rates.draw({"searched": table}).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    logistic_regression = "logistic regression, mnist: FoMoH-2D"
    assert names == [
        f"{logistic_regression}, 5 epochs",
        f"{logistic_regression}, when rising, 5 epochs",
        "sphere, n = 64: projection, k = 16",
    ]
    assert [text.get_text() for text in axes.texts] == ["5 times", "5 times", "none published"]


def test_many_searches_are_points_of_searched_against_published_rates():
    rows = [
        {"searched": 0.001 * number, "published": 0.001 * number * (1 if number % 2 else 4), "gradient": "mean", "k": 4,
         "ratio": 1 if number % 2 else 0.25, "function": "sphere" if number < 40 else "rosenbrock", "n": number}
        for number in range(1, 81)
    ]  # fmt: skip
    without = {**rows[0], "published": None, "ratio": None}
    (axes,) = learning_rates.draw({"searched": DataFrame([*rows, without])}).axes
    points = {line.get_label(): line.get_xdata() for line in axes.lines if line.get_linestyle() == "None"}
    assert {label: len(values) for label, values in points.items()} == {"sphere, mean": 39, "rosenbrock, mean": 41}
    assert axes.get_title() == "40 of 80 searched rates are within a factor of 3 of the published one (1 without one)"
