from __future__ import annotations

import csv
import io
import os
import pickle
import subprocess
import sys

import pytest

from frog_cli.cli import main

TINY = ["objective=sphere", "objective.n=2", "gradient.k=2", "steps=4", "record_every=2"]


def table(capsys, status: int = 0) -> tuple[list[dict[str, str]], str]:
    capsys.readouterr()
    assert main(["table", "runs"]) == status
    captured = capsys.readouterr()
    return list(csv.DictReader(io.StringIO(captured.out))), captured.err


@pytest.fixture
def run(runs):
    """Make a run and return its folder."""
    assert main(["train", *TINY]) == 0
    (folder,) = runs.iterdir()
    return folder


def test_rows_have_settings_and_results(run, capsys):
    (row,), errors = table(capsys)
    assert errors == ""
    assert row["run"] == run.name
    assert (row["function"], row["n"], row["gradient"], row["k"], row["seed"]) == (
        "sphere",
        "2",
        "projection",
        "2",
        "0",
    )
    assert row["outcome"] == "completed"
    assert float(row["best_value"]) < 2


def test_diverged_runs_are_shown_as_such(runs, capsys):
    overrides = ["learning_rate=1e30", "objective=rosenbrock", *TINY[1:], "steps=50"]
    assert main(["train", *overrides]) == 1
    (row,), _ = table(capsys)
    assert row["outcome"] == "diverged"
    assert row["last_value"] == ""


def test_unfinished_runs_are_shown_without_results(run, capsys):
    (run / "summary.json").unlink()
    (row,), _ = table(capsys)
    assert row["outcome"] == "done"  # as run.json says, written before the summary
    assert "best_value" not in row


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text + "_target_: os.system\n", "_target_"),
        (lambda text: "!!python/object/apply:os.system ['touch executed']\n", "could not determine a constructor"),
        (lambda text: text.replace("seed: 0", "seed: zero"), "seed: must be a whole number"),
        (lambda text: "[1, 2]", "config.yaml"),
    ],
)
def test_what_is_no_run_is_refused_and_not_executed(run, change, reason, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (run / "config.yaml").write_text(change((run / "config.yaml").read_text()))
    rows, errors = table(capsys, status=1)
    assert rows == []
    assert "is not a run of frog" in errors
    assert reason in errors
    assert not (tmp_path / "executed").exists()


def test_pickles_are_not_read(run, capsys, tmp_path):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    (run / "run.json").write_bytes(pickle.dumps(Hostile()))
    rows, errors = table(capsys, status=1)
    assert rows == []
    assert "is not a run of frog" in errors
    assert not (tmp_path / "executed").exists()


def test_links_out_of_the_folder_are_refused(run, runs, capsys, tmp_path):
    run.rename(tmp_path / "elsewhere")
    run.symlink_to(tmp_path / "elsewhere")
    rows, errors = table(capsys, status=1)
    assert rows == []
    assert "is a link" in errors


def test_names_that_would_be_formulas_are_escaped(run, runs, capsys):
    run.rename(runs / "=cmd()")
    (row,), _ = table(capsys)
    assert row["run"] == "'=cmd()"


def test_a_file_is_written_whole(run, tmp_path):
    assert main(["table", "runs", str(tmp_path / "runs.csv")]) == 0
    assert (tmp_path / "runs.csv").read_text().startswith("run,outcome,function,n,")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "needs runs, or targets"),
        (["fig9"], "must be one of fig3"),
        (["runs", "a", "b"], "must be frog table runs"),
        (["runs", "--html"], "must be frog table runs, or frog table runs FILE"),
        (["runs", "scale=laptop"], "must be frog table runs, or frog table runs FILE"),
        (["--htm"], "--htm: must be --html"),
        (["fig3", "--list"], "--list: must be --html"),
    ],
)
def test_wrong_requests(words, message, runs, capsys):
    assert main(["table", *words]) == 2
    assert message in capsys.readouterr().err


def test_the_page_of_all_results_is_written_only_when_asked_for(tmp_path, monkeypatch, capsys):
    results = tmp_path / "results"
    monkeypatch.setenv("FROG_RESULTS", str(results))
    assert main(["table", "fig5"]) == 0
    assert (results / "README.md").exists()
    assert not (results / "index.html").exists()
    told = capsys.readouterr().out.splitlines()
    assert main(["table", "fig5", "--html"]) == 0
    assert capsys.readouterr().out.splitlines() == [*told, str(results / "index.html")]
    before = (results / "index.html").read_bytes()
    (results / "index.html").unlink()
    assert main(["table", "--html"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert {path.name for path in results.glob("*.*")} == {path.rpartition("/")[2] for path in told}
    assert {"table1.csv", "neighbours.csv", "README.md", "index.html"} <= {path.name for path in results.iterdir()}
    assert (results / "index.html").read_bytes() == before  # of all targets, whichever was named


def test_the_page_is_refused_for_a_target_that_is_not_in_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FROG_RESULTS", str(tmp_path / "results"))
    (tmp_path / "my_target.yaml").write_text("train: [objective=sphere steps=2]")
    assert main(["table", str(tmp_path / "my_target.yaml"), "--html"]) == 2
    assert "frog: --html: makes a page of frog's own targets" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_many_processes_finish_runs_while_tables_are_made(runs, capsys):
    def train(first: int) -> subprocess.Popen:
        seeds = ",".join(str(seed) for seed in range(first, first + 50))
        command = [sys.executable, "-m", "frog_cli", "train", "-m", *TINY, f"seed={seeds}"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    runs.mkdir()
    processes = [train(50 * index) for index in range(8)]
    counts = [0]
    while any(process.poll() is None for process in processes):
        rows, errors = table(capsys)
        assert errors == ""
        done = [row["run"] for row in rows if row["outcome"] == "completed"]
        assert len(set(done)) == len(done) >= counts[-1]
        counts.append(len(done))
    assert [process.wait() for process in processes] == [0] * 8
    rows, _ = table(capsys)
    assert sorted(int(row["seed"]) for row in rows) == list(range(400))
    assert {row["outcome"] for row in rows} == {"completed"}
