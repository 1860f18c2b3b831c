from __future__ import annotations

import pandas

from frog_cli.studies.step_cost_pictures import draw_parts


def test_bars_of_parts_are_as_long_as_the_steps_of_the_picture_of_cost():
    row = {"model": "mlp", "image": "1x8x8", "batch_size": 4, "gradient": "mean", "measure": "forward", "k": 2}
    parts = {"tangents_plain_passes": 1.0, "derivatives_plain_passes": 3.0, "optimiser_plain_passes": float("nan")}
    rows = pandas.DataFrame([{**row, "plain_passes": 3.2, **parts}, {**row, "plain_passes": 8.0, "k": 4, **parts}])
    (axes,) = draw_parts(rows).axes
    bars = [bar for bars in axes.containers for bar in bars]
    assert [bar.get_width() for bar in bars] == [2.0, 6.0, 0.0]  # shares of the step with the most tangents
