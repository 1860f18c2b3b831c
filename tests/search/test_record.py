from __future__ import annotations

import math

import pytest

from frog_cli.search.record import Evaluation, Record, best_of


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
