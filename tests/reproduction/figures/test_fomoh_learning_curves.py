from __future__ import annotations

import numpy as np
from pandas import DataFrame

from frog_cli.reproduction.figures import fomoh_learning_curves


def test_errors_are_drawn_so_that_small_differences_show():
    runs = DataFrame([{"request": "a", "gradient": "backprop", "k": np.nan, "seed": 0}])
    curves = DataFrame(
        {"request": "a", "seed": 0, "epoch": epoch, "training_loss": 1.0, "validation_loss": 2.0,
         **dict.fromkeys(("training_accuracy_percent", "validation_accuracy_percent"), 99.0 - 80 / (1 + epoch))}
        for epoch in range(5)
    )  # fmt: skip
    panels = fomoh_learning_curves.draw({"runs": runs, "curves": curves}).axes
    assert [axes.get_ylabel() for axes in panels][1::2] == ["training error in %", "validation error in %"]
    assert all((axes.get_xscale(), axes.get_yscale()) == ("log", "log") for axes in panels)
    np.testing.assert_allclose(panels[1].lines[0].get_ydata(), [81, 41, 1 + 80 / 3, 21, 17])


def test_a_diverging_loss_does_not_squeeze_the_others():
    losses = {"backprop": [2.0, 1.0, 0.5], "fomoh_bp": [2.0, 1e9, 1e30]}
    runs = DataFrame([{"request": name, "gradient": name, "k": np.nan, "seed": 0} for name in losses])
    curves = DataFrame([
        {"request": name, "seed": 0, "epoch": epoch, "training_loss": loss, "validation_loss": 2 * loss,
         **dict.fromkeys(("training_accuracy_percent", "validation_accuracy_percent"), 90.0)}
        for name, values in losses.items() for epoch, loss in enumerate(values)
    ])  # fmt: skip
    panels = fomoh_learning_curves.draw({"runs": runs, "curves": curves}).axes
    assert [axes.get_ylim() for axes in panels][::2] == [(0.25, 20.0), (0.5, 40.0)]
    assert "leave the panel" in panels[0].texts[0].get_text()
    kept = fomoh_learning_curves.draw({"runs": runs[:1], "curves": curves[:3]}).axes
    assert kept[0].get_ylim()[1] < 3
    assert not kept[0].texts
