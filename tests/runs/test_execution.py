"""A request is carried out whatever comes between: signals, and runs that are to be repeated."""

from __future__ import annotations

import os
import signal

import pytest

from frog_cli.cli import main
from frog_cli.errors import Interrupted, RequestError
from frog_cli.objectives.classification import Classification
from frog_cli.runs import execution
from frog_cli.runs.execution import carry_out
from frog_cli.runs.folder import RunFolder
from frog_cli.runs.lock import locked
from frog_cli.settings.requests import train_request

WORDS = ["seeds=2", "epochs=2", "data.limit=100", "gradient=backprop", "learning_rate=0.1"]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("where", ["last measurement", "reading"])
def test_a_signal_at_any_time_begins_no_further_run(where, number, tmp_path, monkeypatch):
    """In the last measurement the run ends well, and the next one waits for the same command; reading ends at once."""
    request = train_request(WORDS)
    measure, load, read = Classification.measure, execution._load, []

    def interrupted_measure(self):
        if self.rows_recorded == 2:
            os.kill(os.getpid(), number)
        return measure(self)

    def interrupted_load(*arguments):
        monkeypatch.setattr(execution, "_load", load)  # a second Ctrl-C would stop at once
        os.kill(os.getpid(), number)
        read.append(load(*arguments))
        return read[0]

    if where == "reading":
        monkeypatch.setattr(execution, "_load", interrupted_load)
    else:
        monkeypatch.setattr(Classification, "measure", interrupted_measure)
    with pytest.raises(Interrupted) as stopped:
        carry_out(request, tmp_path, quiet=True)
    assert stopped.value.status == 128 + number
    folders = [RunFolder(tmp_path, run) for run in request.runs]
    assert [folder.finished() is not None for folder in folders] == [where != "reading", False]
    assert list(tmp_path.glob("*/lock")) == []
    assert read == []
    monkeypatch.undo()
    assert [result.failure for result in carry_out(request, tmp_path, quiet=True)] == [None, None]


@pytest.mark.parametrize("further", [["overwrite=true"], []])
def test_repeated_runs_go_on_after_an_interruption(further, tmp_path, monkeypatch):
    """What was repeated before it is not repeated again; what was not yet, is."""
    repeated = train_request([*WORDS, "seeds=3", "overwrite=true"])
    folders = [RunFolder(tmp_path, run) for run in repeated.runs]
    carry_out(repeated, tmp_path, quiet=True)
    measure, rows = Classification.measure, []
    for folder in folders:
        (folder.path / "summary.json").write_text('{"outcome": "stale"}')

    def counted(self):
        rows.append((self._run.seed, self.rows_recorded))
        if rows[-1] == (1, 1):
            os.kill(os.getpid(), signal.SIGUSR1)
        return measure(self)

    monkeypatch.setattr(Classification, "measure", counted)
    with pytest.raises(Interrupted):
        carry_out(repeated, tmp_path, quiet=True)
    assert rows == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert [folder.finished() is not None for folder in folders] == [True, False, False]
    rows.clear()
    results = carry_out(train_request([*WORDS, "seeds=3", *further]), tmp_path, quiet=True)
    assert rows == [(1, 2), (2, 0), (2, 1), (2, 2)]
    assert [result.ran for result in results] == [False, True, True]
    assert {folder.finished()["outcome"] for folder in folders} == {"completed"}
    monkeypatch.undo()
    assert [result.ran for result in carry_out(repeated, tmp_path, quiet=True)] == [True, True, True]


def test_results_stay_until_their_run_can_be_repeated(tmp_path, monkeypatch):
    repeated = train_request([*WORDS, "overwrite=true"])
    folders = [RunFolder(tmp_path, run) for run in repeated.runs]
    carry_out(repeated, tmp_path, quiet=True)
    before = {path: path.read_bytes() for path in sorted(tmp_path.glob("*/*"))}

    def refused(*arguments):
        raise RequestError("data.root", "cannot be read")

    monkeypatch.setattr(execution, "_load", refused)
    with pytest.raises(RequestError, match="cannot be read"):
        carry_out(repeated, tmp_path, quiet=True)
    assert {path: path.read_bytes() for path in sorted(tmp_path.glob("*/*"))} == before
    assert all(folder.finished() is not None for folder in folders)
    monkeypatch.undo()

    def fails(*arguments):
        raise MemoryError("no room for the network")

    monkeypatch.setattr(Classification, "__init__", fails)
    assert [result.error is not None for result in carry_out(repeated, tmp_path, quiet=True)] == [True, True]
    assert {path: path.read_bytes() for path in sorted(tmp_path.glob("*/*"))} == before
    monkeypatch.undo()
    assert [result.ran for result in carry_out(train_request(WORDS), tmp_path, quiet=True)] == [False, False]
    assert [result.ran for result in carry_out(repeated, tmp_path, quiet=True)] == [True, True]


def steps_of(monkeypatch, interrupted_at=None):
    """Return a list that gets the learning rate, seed and row of each measurement; one of them comes with a signal."""
    measure, rows = Classification.measure, []

    def counted(self):
        rows.append((self._run.learning_rate, self._run.seed, self.rows_recorded))
        if rows[-1] == interrupted_at:
            os.kill(os.getpid(), signal.SIGUSR1)
        return measure(self)

    monkeypatch.setattr(Classification, "measure", counted)
    return rows


def test_a_sweep_that_repeats_runs_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    monkeypatch.setenv("FROG_RUNS", str(tmp_path))
    words = ["train", "-m", *WORDS[1:4], "learning_rate=0.1,0.2,0.3", "overwrite=true"]
    assert main(words) == 0
    with monkeypatch.context() as patched:
        rows = steps_of(patched, interrupted_at=(0.2, 0, 1))
        assert main(words) == 128 + signal.SIGUSR1
        assert rows == [(0.1, 0, 0), (0.1, 0, 1), (0.1, 0, 2), (0.2, 0, 0), (0.2, 0, 1)]
        rows.clear()
        assert main(words) == 0
        assert rows == [(0.2, 0, 2), (0.3, 0, 0), (0.3, 0, 1), (0.3, 0, 2)]
    rows = steps_of(monkeypatch)
    assert main(words) == 0
    assert len(rows) == 9


def test_another_command_that_repeats_more_runs_repeats_them_all(tmp_path, monkeypatch):
    carry_out(train_request([*WORDS, "seeds=3"]), tmp_path, quiet=True)
    with monkeypatch.context() as patched:
        steps_of(patched, interrupted_at=(0.1, 0, 1))
        with pytest.raises(Interrupted):
            carry_out(train_request([*WORDS, "seeds=1", "overwrite=true"]), tmp_path, quiet=True)
    rows = steps_of(monkeypatch)
    carry_out(train_request([*WORDS, "seeds=3", "overwrite=true"]), tmp_path, quiet=True)
    assert [(seed, row) for _, seed, row in rows] == [(seed, row) for seed in range(3) for row in range(3)]


def test_what_another_process_repeats_is_left_to_it(tmp_path, capsys):
    request = train_request(WORDS)
    carry_out(request, tmp_path, quiet=True)
    first = RunFolder(tmp_path, request.runs[0])
    with locked(first.path):
        first.repeat("another command")
        assert [result.error is not None for result in carry_out(request, tmp_path, quiet=True)] == [True, False]
        assert first.is_repeated_by("another command")
    assert [result.ran for result in carry_out(request, tmp_path, quiet=True)] == [True, False]
    assert not first.is_repeated_by("another command")


def test_a_sweep_that_is_refused_repeats_all_when_it_is_asked_for_again(tmp_path, monkeypatch):
    monkeypatch.setenv("FROG_RUNS", str(tmp_path))
    words = ["train", "-m", *WORDS[1:4], "learning_rate=0.1,0.2", "overwrite=true"]
    assert main(words) == 0
    with monkeypatch.context() as patched:
        load, calls = execution._load, []

        def refused_later(*arguments):
            calls.append(arguments)
            if len(calls) > 2:
                raise RequestError("data.root", "cannot be read")
            return load(*arguments)

        patched.setattr(execution, "_load", refused_later)
        assert main(words) == 2
    rows = steps_of(monkeypatch)
    assert main(words) == 0
    assert len(rows) == 6
