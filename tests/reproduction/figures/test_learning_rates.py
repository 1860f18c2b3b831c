from __future__ import annotations

from pandas import DataFrame

from frog_cli.reproduction.figures import learning_rates


def test_searched_rates_stand_beside_the_name_of_their_problem():
    found = {"searched": 0.5, "published": 0.1, "ratio": 5.0, "gradient": "fomoh_kd", "k": 2}
    table = DataFrame([
        {**found, "model": "logistic_regression", "data": "mnist", "search_epochs": 5},
        {**found, "function": "sphere", "n": 64, "gradient": "projection", "k": 16, "published": None, "ratio": None},
    ])  # fmt: skip
    (axes,) = learning_rates.draw({"searched": table}).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["logistic regression, mnist: FoMoH-2D, 5 epochs", "sphere, n = 64: projection, k = 16"]
    assert [text.get_text() for text in axes.texts] == ["5 times", "none published"]
