from __future__ import annotations

import pytest
from pandas import DataFrame

from frog_cli.reproduction.claims.beyond import CLAIMS
from frog_cli.reproduction.figures import step_lengths
from frog_cli.reproduction.lengths_beside_rates import compare

NETWORK = {"model": "mlp", "width": 256, "data": "mnist", "gradient": "mean", "k": 16}
FUNCTION = {"function": "styblinski-tang", "n": 2, "gradient": "backprop"}
MINIMUM = -39.16616570377142


def network(rate: str, learning_rate: object, *errors: float) -> list[dict]:
    return [
        {"request": f"gradient=mean learning_rate={rate}", "seed": seed, "learning_rate": learning_rate, **NETWORK,
         "best_test_error_percent": error, "failed_steps": seed}
        for seed, error in enumerate(errors)
    ]  # fmt: skip


def function(rate: str, learning_rate: object, above: float) -> list[dict]:
    value = 2 * MINIMUM + above
    words = f"objective=styblinski-tang learning_rate={rate}"
    return [{"request": words, "seed": 0, "learning_rate": learning_rate, **FUNCTION, "best_value": value}]


def frames(*runs: list[dict]) -> dict[str, DataFrame]:
    curves = [
        {"request": "gradient=mean learning_rate=curvature", "seed": 0, "step": step, "step_length_lower_quartile": 1,
         "step_length_median": length, "step_length_upper_quartile": 9}
        for step, length in ((0, None), (10, 2.0), (20, 4.0), (30, 3.0))
    ]  # fmt: skip
    return {"runs": DataFrame(row for some in runs for row in some), "curves": DataFrame(curves)}


ALL = (
    network("published", "0.02", 9.0, 11.0),
    network("0.1", "0.1", 4.0, 6.0),
    network("0.2", "0.2", 80.0, 90.0),
    network("curvature", "curvature", 5.0, 7.0),
    function("published", "0.05", 1.0),
    function("searched", "0.04", 0.25),
    function("curvature", "curvature", 2.0),
)


def test_the_best_rate_has_the_lowest_mean_and_stands_beside_the_published_one():
    of_network, of_function = compare(frames(*ALL)).to_dict("records")
    assert of_network["problem"] == "mlp, w = 256, mnist"
    assert (of_network["rates"], of_network["best_rate"], of_network["published_rate"]) == (3, 0.1, 0.02)
    assert (of_network["published_result"], of_network["best_result"], of_network["result"]) == (10, 5, 6)
    assert (of_network["ratio"], of_network["median_length"], of_network["failed_steps"]) == (1.2, 3, 0.5)
    assert of_function["problem"] == "styblinski-tang, n = 2"
    assert of_function["best_rate"] == 0.04
    assert of_function["ratio"] == pytest.approx(8)


def test_without_runs_there_is_nothing_to_compare_or_to_judge():
    empty = {"runs": DataFrame(), "curves": DataFrame()}
    assert compare(empty).empty
    assert [claim.judge({"step_lengths": empty}).holds for claim in CLAIMS[:2]] == [None, None]


def test_runs_that_have_no_counterpart_are_not_judged():
    for alone in (network("0.1", "0.1", 5.0), network("curvature", "curvature", 5.0)):
        assert [claim.judge({"step_lengths": frames(alone)}).holds for claim in CLAIMS[:2]] == [None, None]


@pytest.mark.parametrize(("error", "above", "holds"), [(6.2, 2.4, [True, True]), (6.3, 2.6, [False, False])])
def test_claims_hold_up_to_their_factor(error, above, holds):
    rows = frames(
        *ALL[:3], network("curvature", "curvature", error), *ALL[4:6], function("curvature", "curvature", above)
    )
    verdicts = [claim.judge({"step_lengths": rows}) for claim in CLAIMS[:2]]
    assert [verdict.holds for verdict in verdicts] == holds
    assert all(("1 of 1" if verdict.holds else "0 of 1") in verdict.numbers for verdict in verdicts)
    assert ("mlp, w = 256, mnist, mean, k = 16: 6.3 for 5" in verdicts[0].numbers) is not holds[0]
    assert [verdict.basis for verdict in verdicts] == ["7 runs, 2 seeds", "3 runs, 1 seed"]


def test_what_is_as_good_as_at_the_minimum_counts_as_near():
    rows = frames(function("published", "0.05", 0.0), function("curvature", "curvature", 1e-13))
    assert CLAIMS[1].judge({"step_lengths": rows}).holds


def test_the_figure_has_two_panels_for_each_problem_and_lines_at_the_rates():
    figure = step_lengths.draw(frames(*ALL))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["mlp, w = 256, mnist", "", "styblinski-tang, n = 2", ""]
    heights = [line.get_ydata()[0] for line in figure.axes[1].get_lines()[1:]]
    assert heights == [0.1, 0.02]
