"""frog reproduce at the scale of a smoke test: real runs, seconds long."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from frog_cli.cli import main
from frog_cli.reproduction import targets


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "frog_cli", "reproduce", *words]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def summaries(runs: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in runs.glob("smoke-runs/*/summary.json")}


@pytest.mark.first
def test_a_target_is_made_once_with_its_table_and_picture(runs, capsys):
    assert main(["reproduce", "fomoh_rosenbrock_10d", "scale=smoke", "workers=1"]) == 0
    told = capsys.readouterr().out
    assert "fomoh_rosenbrock_10d: done" in told
    place = runs / "smoke"
    found = rows(place / "fomoh_rosenbrock_10d" / "runs.csv")
    assert len(found) == 10
    assert {(row["start_seed"], row["seed"]) for row in found if row["gradient"] == "fomoh_kd"} == {
        (start, seed) for start in "01" for seed in "01"
    }
    assert (place / "fomoh_rosenbrock_10d.png").stat().st_size > 5000
    assert (place / "fomoh_rosenbrock_10d.pdf").read_bytes().startswith(b"%PDF")
    before = summaries(runs)
    assert len(before) == 10

    made = {path: path.read_bytes() for path in (place / "fomoh_rosenbrock_10d.csv", place / "README.md")}
    for path in made:
        path.unlink()
    assert main(["reproduce", "fomoh_rosenbrock_10d", "scale=smoke", "workers=1"]) == 0
    assert summaries(runs) == before  # nothing was run again
    assert {path: path.read_bytes() for path in made} == made

    (place / "fomoh_rosenbrock_10d" / "runs.csv").unlink()  # rows lost, runs still there
    assert main(["reproduce", "fomoh_rosenbrock_10d", "scale=smoke", "workers=2"]) == 0
    assert summaries(runs) == before
    assert len(rows(place / "fomoh_rosenbrock_10d" / "runs.csv")) == 10
    capsys.readouterr()


def test_rows_say_what_was_run_and_on_what(runs):
    assert main(["reproduce", "fig6", "scale=smoke", "workers=1"]) == 0
    found = rows(runs / "smoke" / "fig6" / "runs.csv")
    assert {(row["width"], row["gradient"], row["seed"]) for row in found} == {
        (width, gradient, seed) for width in ("16", "32") for gradient in ("backprop", "mean") for seed in "01"
    }
    for row in found:
        assert row["data_variant"] == "digits"
        assert row["outcome"] == "completed"
        assert float(row["seconds"]) > 0
        assert row["torch"]
        assert row["device"] == "cpu"
        summary = json.loads((runs / "smoke-runs" / row["run"] / "summary.json").read_text())
        assert float(row["best_test_error_percent"]) == summary["best_test_error_percent"]
    curves = rows(runs / "smoke" / "fig6" / "curves.csv")
    assert len(curves) == len(found) * 3  # epochs 0, 1 and 2


@pytest.mark.first
def test_all_targets_run_end_to_end(runs, mnist_root, capsys):
    assert main(["reproduce", "all", "scale=smoke"]) == 0
    told = capsys.readouterr().out
    report = (runs / "smoke" / "README.md").read_text()
    for name in targets.names():
        assert f"{name}: done" in told
        assert (runs / "smoke" / f"{name}.png").stat().st_size > 5000
        assert f"![{targets.load(name).title}]({name}.png)" in report


def test_the_list_tells_what_is_done_and_what_is_missing(runs, capsys):
    assert main(["reproduce", "fomoh_step", "scale=smoke", "workers=1"]) == 0
    capsys.readouterr()
    assert main(["reproduce", "--list", "scale=smoke"]) == 0
    lines = {line.split()[0]: line.split()[1:3] for line in capsys.readouterr().out.splitlines()}
    assert lines["fomoh_step"] == ["25", "0"]
    assert lines["fig4"] == ["0", "36"]


def test_runs_that_are_done_are_taken_in_without_running_others(runs, monkeypatch, capsys):
    words = targets.jobs(targets.load("fomoh_step"), "smoke")[0].words
    (runs / "smoke-runs").mkdir(parents=True)
    monkeypatch.setenv("FROG_RUNS", str(runs / "smoke-runs"))
    assert main(["train", *words.split(), "seeds=[1,3]"]) == 0
    monkeypatch.setenv("FROG_RUNS", str(runs))
    before = summaries(runs)
    assert main(["reproduce", "fomoh_step", "--only-done", "scale=smoke", "workers=1"]) == 0
    assert "fomoh_step: 2 of 25 done" in capsys.readouterr().out
    assert summaries(runs) == before
    assert [row["seed"] for row in rows(runs / "smoke" / "fomoh_step" / "runs.csv")] == ["1", "3"]


def test_a_dry_run_of_a_target_that_is_done_says_so(runs, capsys):
    assert main(["reproduce", "fig3", "scale=smoke"]) == 0
    capsys.readouterr()
    assert main(["reproduce", "--dry-run", "fig3", "scale=smoke"]) == 0
    assert capsys.readouterr() == ("", "frog: nothing is missing\n")


def test_a_dry_run_prints_commands_and_runs_nothing(runs, capsys):
    assert main(["reproduce", "--dry-run", "fig5", "scale=smoke"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all(line.startswith(("frog train ", "frog quality ")) for line in lines)
    assert not (runs / "smoke").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "frog reproduce: needs a target: fig3"),
        ("fig7", "fig7: must be one of fig3"),
        ("fig3 scale=big", "scale=big: must be paper, laptop or smoke"),
        ("fig3 workers=0", "workers=0: must be a whole number, at least 1"),
        ("fig3 epochs=3", "epochs=3: would make other runs than those of the target"),
        ("fig3 keep_weights=true", "keep_weights=true: would make other runs than those of the target"),
        ("fig3 --force", "--force: must be --list, --dry-run or --only-done"),
    ],
)
def test_wrong_requests_are_refused(words, message, capsys):
    assert main(["reproduce", *words.split()]) == 2
    assert message in capsys.readouterr().err


def test_data_that_are_not_here_are_named_and_the_rest_is_made(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FROG_DATA", str(tmp_path))
    assert main(["reproduce", "fomoh_cnn", "fomoh_step", "scale=smoke", "workers=1"]) == 1
    told = capsys.readouterr()
    assert "fomoh_step: done" in told.out
    assert "fomoh_cnn: 0 of 5 done" in told.out
    assert "no MNIST/raw/train-images-idx3-ubyte in it" in told.err


def _alive(session: int) -> bool:
    """Return whether any process of a session is alive."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, of_session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(of_session) == session and state != "Z":
                return True
    return False


@pytest.mark.first
@pytest.mark.parametrize(
    ("number", "to_all"),
    [(signal.SIGKILL, False), (signal.SIGTERM, False), (signal.SIGINT, True), (signal.SIGTERM, True)],
)
def test_nothing_is_done_twice_after_a_signal(number, to_all, runs):
    process = subprocess.Popen(command("fig4", "scale=smoke", "workers=2"), start_new_session=True)
    deadline = time.monotonic() + 60
    while len(summaries(runs)) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    if to_all:
        os.killpg(process.pid, number)  # as the terminal does with Ctrl-C, and a batch system at its time limit
    else:
        process.send_signal(number)
    status = process.wait(timeout=60)
    assert status == (-9 if number == signal.SIGKILL else 128 + number)
    while _alive(process.pid):  # workers whose parent was killed end by themselves
        assert time.monotonic() < deadline + 60
        time.sleep(0.1)
    before = summaries(runs)
    assert 4 <= len(before)
    assert main(["reproduce", "fig4", "scale=smoke", "workers=1"]) == 0
    after = summaries(runs)
    assert {path: after[path] for path in before} == before
    assert len(after) == len(rows(runs / "smoke" / "fig4" / "runs.csv")) == 36
