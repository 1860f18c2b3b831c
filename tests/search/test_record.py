from __future__ import annotations

import math

import pytest

from frog_cli.search.record import Evaluation, Record, best_of, clearly_worse, lowest_so_far


def evaluation(number: int, loss: float, outcome: str = "completed") -> Evaluation:
    curve = [loss] if math.isfinite(loss) else []
    return Evaluation(number, {"learning_rate": 0.1}, loss, outcome, curve, 0.5, 0)


def test_what_is_added_is_read_again_also_by_others(tmp_path):
    record, other = Record(tmp_path), Record(tmp_path)
    assert record.propose(0, {"learning_rate": 0.1, "batch_size": 64})
    assert other.unfinished() == {0: {"learning_rate": 0.1, "batch_size": 64}}
    record.add(evaluation(0, 1.25))
    assert other.evaluations() == record.evaluations() == [evaluation(0, 1.25)]
    assert other.unfinished() == {}


def test_a_number_is_proposed_once(tmp_path):
    record, other = Record(tmp_path), Record(tmp_path)
    assert record.propose(3, {"learning_rate": 0.1})
    assert not other.propose(3, {"learning_rate": 0.2})
    assert other.unfinished() == {3: {"learning_rate": 0.1}}
    assert other.proposed(3)
    assert not other.proposed(2)


def test_an_evaluation_is_never_changed(tmp_path):
    record = Record(tmp_path)
    record.propose(0, {"learning_rate": 0.1})
    record.add(evaluation(0, 1.0))
    with pytest.raises(FileExistsError, match="evaluation 0"):
        record.add(evaluation(0, 0.5))
    assert record.evaluations() == [evaluation(0, 1.0)]


def test_an_infinite_loss_survives_the_record(tmp_path):
    record = Record(tmp_path)
    record.propose(0, {"learning_rate": 0.1})
    record.add(evaluation(0, math.inf, "diverged"))
    assert Record(tmp_path).evaluations()[0].loss == math.inf


def test_files_of_a_process_that_was_killed_while_writing_are_not_evaluations(tmp_path):
    record = Record(tmp_path)
    (tmp_path / ".00001.json.host.17").write_text('{"number": 1')
    (tmp_path / "00002-proposal.json.bak").write_text("{}")
    assert record.evaluations() == []
    assert record.unfinished() == {}


def test_the_best_is_no_run_that_diverged_or_was_given_up():
    runs = [
        evaluation(0, math.inf, "diverged"),
        evaluation(1, 0.1, "given up"),
        evaluation(2, -3.0),
        evaluation(3, 2.0),
    ]
    best = best_of(runs)
    assert best is not None
    assert best.number == 2
    assert best_of(runs[:2]) is None


def test_the_lowest_loss_so_far_leaves_out_what_is_not_finite():
    assert lowest_so_far([3.0, math.nan, 1.0, math.inf, 2.0]) == [3.0, 3.0, 1.0, 1.0, 1.0]
    assert lowest_so_far([math.nan, 2.0]) == [math.inf, 2.0]


BEST = [2.0, 1.0, 0.5, 0.25, 0.125, 0.0625]


@pytest.mark.parametrize(("shift", "scale"), [(0, 1), (0, 1e-6), (0, 1e6), (-2506, 1), (-2506, 1e6), (1e6, 1)])
@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([2.0, 1.9, 1.8, 1.7], True),  # lacks more than half of the gain in all of the last three rows
        ([2.0, 1.9, 1.8], False),  # not for long enough yet
        ([2.0, 1.9, 1.8, 0.3], False),  # has caught up
        ([2.0, 1.4, 1.2, 1.1], False),  # lacks less than half
        (BEST, False),
    ],
)
def test_a_run_is_given_up_by_what_it_lacks_whatever_the_sign_and_size_of_losses(curve, expected, shift, scale):
    ours, best = ([shift + scale * loss for loss in losses] for losses in (curve, BEST))
    assert clearly_worse(ours, best, margin=0.5, patience=3) is expected


def test_a_best_run_that_ended_earlier_stays_where_it_was():
    assert clearly_worse([2.0, 1.9, 1.9, 1.9, 1.9, 1.9], BEST[:3], margin=0.5, patience=3)
    assert not clearly_worse([2.0, 1.9, 1.5, 1.0, 0.6, 0.5, 0.4], BEST[:3], margin=0.5, patience=3)
