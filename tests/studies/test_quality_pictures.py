from __future__ import annotations

from pandas import DataFrame

from frog_cli.studies import quality_pictures


def test_curves_that_are_equal_but_for_chance_are_one_line_with_all_their_names():
    cosines = {
        ("sum", "normal"): 0.5,
        ("mean", "normal"): 0.5,
        ("projection", "normal"): 0.8,
        ("mean", "normalised"): 0.501,
    }
    lengths = {
        ("sum", "normal"): 8.0,
        ("mean", "normal"): 1.0,
        ("projection", "normal"): 0.8,
        ("mean", "normalised"): 0.1,
    }
    rows = DataFrame(
        {"gradient": gradient, "tangents": tangents, "angle": None, "k": k, "n": 4, "seeds": 10,
         "cosine_mean": cosine, "cosine_standard_error": 0.001, "norm_ratio_standard_error": 0.001,
         "norm_ratio_mean": lengths[gradient, tangents]}
        for (gradient, tangents), cosine in cosines.items() for k in (1, 2, 8)
    )  # fmt: skip
    left, right = quality_pictures.draw(rows.astype({"angle": float})).axes
    assert left.get_legend_handles_labels()[1] == [
        "sum, normal tangents\nmean, normal tangents\nmean, normalised tangents",
        "projection, normal tangents",
    ]
    assert len(right.get_legend_handles_labels()[1]) == 4
