from __future__ import annotations

import numpy as np
from pandas import DataFrame

from frog_cli.reproduction.figures import fomoh_step


def test_every_sampled_step_is_inside_the_frame_and_contours_have_their_values():
    generator = np.random.default_rng(0)
    ends = [*generator.normal(size=(50, 2)), np.array([9.0, -7.0])]
    runs = DataFrame(
        {"gradient": "mean", "k": 1, "seed": seed, "first_point_0": 0.2, "first_point_1": -0.7,
         "last_point_0": x, "last_point_1": y}
        for seed, (x, y) in enumerate(ends)
    )  # fmt: skip
    (axes,) = fomoh_step.draw({"runs": runs}).axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert all(left < x < right and bottom < y < top for x, y in ends)
    assert any(text.get_text().startswith("f = ") for text in axes.texts)
