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
