from __future__ import annotations

import json
import math

import pytest

from frog_cli.errors import RequestError
from frog_cli.files import atomic
from frog_cli.runs.folder import RunFolder, runs_root
from frog_cli.settings.requests import train_request


@pytest.fixture
def folder(runs):
    return RunFolder(runs_root(), train_request(["objective=sphere", "gradient=backprop"]).runs[0])


def test_a_folder_through_its_life(folder):
    assert folder.finished() is None
    folder.start("cpu", "published", [0])
    assert json.loads((folder.path / "run.json").read_text())["status"] == "running"
    folder.record({"step": 0, "value": 0.1 + 0.2}, {"epoch": 0})
    folder.record({"step": 1, "value": -1e-300}, {"epoch": 1})
    assert (folder.path / "metrics.csv").read_text() == "step,value\n0,0.30000000000000004\n1,-1e-300\n"
    assert folder.finished() is None
    folder.finish({"outcome": "completed"})
    assert folder.finished() == {"outcome": "completed"}
    assert json.loads((folder.path / "run.json").read_text())["learning_rate_from"] == "published"


def test_numbers_that_are_not_finite_are_null_in_a_summary(folder):
    folder.start("cpu", "1", [0])
    folder.finish({"outcome": "diverged", "best_value": math.inf, "first_point": [math.nan, 1.0]})
    assert folder.finished() == {"outcome": "diverged", "best_value": None, "first_point": [None, 1.0]}


def test_starting_again_drops_what_was_left(folder):
    for _ in range(2):
        folder.start("cpu", "0.1", [0])
        folder.record({"step": 0}, {"epoch": 0})
        folder.finish({"outcome": "completed"})
    assert (folder.path / "metrics.csv").read_text() == "step\n0\n"


@pytest.mark.parametrize("content", ["", "{}", "[]", "{", "\xff"])
def test_a_damaged_summary_is_told(folder, content):
    folder.start("cpu", "0.1", [0])
    (folder.path / "summary.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(RequestError, match="is no summary of a run; delete its folder to run it again"):
        folder.finished()


def test_a_failure_is_recorded(folder):
    folder.start("cpu", "0.1", [0])
    folder.end("failed", "RuntimeError: no")
    about = json.loads((folder.path / "run.json").read_text())
    assert (about["status"], about["error"]) == ("failed", "RuntimeError: no")
    assert folder.finished() is None


def test_writing_is_atomic_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "file"
    atomic.write_atomically(path, "old")
    monkeypatch.setattr(atomic.os, "fsync", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        atomic.write_atomically(path, "new")
    assert path.read_text() == "old"
    monkeypatch.undo()
    atomic.write_atomically(path, "new")
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir() if not entry.name.startswith(".")] == ["file"]


def test_root_refuses_what_is_no_folder(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FROG_RUNS", str(tmp_path / "file"))
    with pytest.raises(RequestError, match="must be a folder that can be written"):
        runs_root()
