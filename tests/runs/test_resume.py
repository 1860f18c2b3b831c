"""An interrupted run ends, bit for bit, as one that was not interrupted."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from frog_cli.cli import main
from frog_cli.data.dataset import load
from frog_cli.objectives.classification import Classification
from frog_cli.objectives.minimisation import Minimisation
from frog_cli.settings.requests import train_request
from frog_cli.settings.schema import FunctionRun
from tests.processes import FROG, Process

MINIMISE = [
    "objective=rosenbrock", "objective.n=6", "objective.start=random", "seeds=2", "steps=90", "record_every=20",
    "learning_rate=0.0001",
]  # fmt: skip
FUNCTION = [*MINIMISE, "gradient.k=4"]
DIGITS = ["epochs=3", "data.limit=100", "model.width=8"]
BATCH_NORM = [
    "epochs=3", "data.limit=32", "batch_size=8", "model=resnet18", "model.width=8", "gradient.measure=simulated",
    "gradient.k=2", "learning_rate=0.01",
]  # fmt: skip
CASES = {
    "function": FUNCTION,
    "function with momentum": [*FUNCTION, "optimizer.options.momentum=0.9"],
    "function with Adam": [*FUNCTION, "optimizer.name=Adam"],
    "function by backprop": [*MINIMISE, "gradient=backprop"],
    "fomoh": [*MINIMISE, "gradient=fomoh"],
    "digits": DIGITS,
    "momentum and schedule": [*DIGITS, "optimizer.options.momentum=0.9", "schedule.name=when_rising"],
    "Adam and schedule": [*DIGITS, "optimizer.name=Adam", "learning_rate=0.001", "schedule.name=every"],
    "second order": [*DIGITS, "gradient=fomoh_kd", "gradient.k=2", "learning_rate=0.1"],
    "dropout": [*DIGITS[:2], "model=vit", "model.depth=2", "model.hidden=8", "model.dropout=0.3", "learning_rate=0.01"],
    "batch norm": BATCH_NORM,
    "local tangents": [*DIGITS, "tangents=local", "tangents.random=2", "tangents.per=sample", "quality.batches=1"],
    "local tangents without a rate": [*DIGITS, "tangents=local", "tangents.depth=1", "learning_rate=curvature"],
}


def make(overrides):
    runs = train_request(overrides).runs
    device = torch.device("cpu")
    if isinstance(runs[0], FunctionRun):
        return Minimisation(runs, device)
    return Classification(runs[0], load(runs[0].data, device), device)


def finish(objective) -> list:
    """Return all rows from here on, with the summaries and what the way on depends on at the end."""
    rows = []
    while "running" in objective.outcomes():
        if objective.rows_recorded > 0:
            assert objective.epoch()
        rows.append(objective.measure())
    return [rows, objective.summaries(), list(leaves(objective.states()))]


@cache
def uninterrupted(name: str) -> list:
    return finish(make(CASES[name]))


def leaves(state):
    """Yield all numbers, strings and tensors of a state, these as lists, with the names that lead to them."""
    if isinstance(state, dict | list | tuple):
        for name, value in state.items() if isinstance(state, dict) else enumerate(state):
            yield from ((name, *leaf) for leaf in leaves(value))
    else:
        yield (state.tolist() if isinstance(state, torch.Tensor) else state,)


def written(states) -> bytes:
    buffer = io.BytesIO()
    torch.save(states, buffer)
    return buffer.getvalue()


def interrupted(overrides, after: int):
    """Take some steps, and return the rows so far with the states as they come back from a file."""
    objective, rows, asked = make(overrides), [], 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > after

    while True:
        if objective.rows_recorded > 0 and not objective.epoch(stop):
            break
        rows.append(objective.measure())
    assert objective.steps == after
    return rows, torch.load(io.BytesIO(written(objective.states())), weights_only=True)


@pytest.mark.parametrize("after", [0, 5, 11])
@pytest.mark.parametrize("name", CASES)
def test_going_on_from_any_step_is_going_on(name, after):
    expected_rows, *expected = uninterrupted(name)
    rows, states = interrupted(CASES[name], min(after, 11))
    resumed = make(CASES[name])
    resumed.restore(states)
    further, *found = finish(resumed)
    assert [*rows, *further] == expected_rows
    assert found == expected


DRAWING = """
import random

import numpy as np
from torch import nn

from frog_cli import ideas


class Drawing(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.linear, self.first = nn.Linear(inputs, classes), random.gauss(0, 1)

    def forward(self, images):
        outputs = self.linear(images.flatten(1)) + self.first
        return outputs * (np.random.rand() + random.random() if self.training else 1)


@ideas.model
def drawing(image, classes):
    return nn.Sequential(Drawing(image[0] * image[1] * image[2], classes))
"""


@pytest.mark.filterwarnings("ignore:operations:frog_cli.engine.recording.SlowIdeaWarning")
@pytest.mark.parametrize("gradient", ["projection", "backprop"])
def test_a_model_that_draws_from_python_and_numpy_repeats_itself_and_goes_on(gradient, tmp_path):
    (tmp_path / "drawing.py").write_text(DRAWING)
    words = [
        f"ideas=[{tmp_path / 'drawing.py'}]",
        "model=drawing",
        f"gradient={gradient}",
        "epochs=3",
        "data.limit=100",
    ]
    random.seed(1)
    expected_rows, *expected = finish(make(words))
    random.seed(2)
    np.random.seed(2)
    rows, states = interrupted(words, 3)
    resumed = make(words)
    resumed.restore(states)
    further, *found = finish(resumed)
    assert [*rows, *further] == expected_rows
    assert found == expected
    assert expected_rows != finish(make([*words, "seed=1"]))[0]


def frog(
    root: Path, overrides, number: int | None = None, after: float | Callable[[Path], bool] = 0.0
) -> tuple[int, str]:
    """Run frog train in a process of its own and return its status and its errors.

    A signal is sent after so many seconds, or half a second after something is true of the file of its errors.
    """
    with TemporaryDirectory() as folder:
        err = Path(folder, "err")
        environment = {**os.environ, "FROG_RUNS": str(root), "OMP_NUM_THREADS": "1"}
        process = Process([*FROG, "train", *overrides], environment, err=err)
        if number is not None:
            try:
                if callable(after):  # as soon as the run is under way
                    until = time.monotonic() + 120
                    while time.monotonic() < until and not after(err):
                        time.sleep(0.05)
                process.wait(0.5 if callable(after) else after)
            except subprocess.TimeoutExpired:
                process.send_signal(number)
        return process.wait(), err.read_text()


def results(root: Path) -> dict[str, bytes]:
    names = ("metrics.csv", "summary.json")
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.name in names}


def until_done(root: Path, overrides, numbers, longest: float, chance: random.Random) -> list[int]:
    """Start a run again and again, with a signal at a random time but for the fifth time; return the statuses."""
    statuses: list[int] = []
    while not statuses or statuses[-1] != 0:
        number = chance.choice(numbers) if len(statuses) < 4 else None
        statuses.append(frog(root, overrides, number, chance.uniform(0, longest))[0])
        assert len(statuses) <= 5
    return statuses


SHORT = {
    "function": [*FUNCTION, "record_every=100", "steps=4000", "checkpoint.rows=3"],
    "digits": ["epochs=8", "checkpoint.rows=1"],
    "batch norm": [*BATCH_NORM, "checkpoint.rows=1"],
    "local tangents": [
        "epochs=8",
        "checkpoint.rows=1",
        "tangents=local",
        "tangents.depth=1",
        "learning_rate=curvature",
    ],
}
STOPPED = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGUSR1: 138}


def check(root: Path, name: str, numbers, times: int, seed: int) -> None:
    overrides = SHORT[name]
    began = time.monotonic()
    assert frog(root / "reference", overrides)[0] == 0
    longest = time.monotonic() - began
    chance = random.Random(seed)
    for index in range(times):
        statuses = until_done(root / str(index), overrides, numbers, longest, chance)
        # a signal before frog has begun to handle it ends it as signals do
        assert set(statuses[:-1]) <= {STOPPED[number] for number in numbers} | {-number for number in numbers}
        assert results(root / str(index)) == results(root / "reference")


@pytest.mark.first
@pytest.mark.parametrize("name", SHORT)
def test_killed_runs_end_as_others_do(name, tmp_path):
    check(tmp_path, name, [signal.SIGKILL], times=1, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_two_hundred_killed_runs_end_as_others_do(name, tmp_path):
    check(tmp_path, name, [signal.SIGKILL], times=67, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_hundred_stopped_runs_end_as_others_do(number, tmp_path):
    check(tmp_path, "digits", [number], times=50, seed=2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_saves_the_state_and_the_same_command_goes_on(number, tmp_path):
    overrides = ["epochs=400", "early_stopping.patience=null"]
    status, errors = frog(tmp_path, overrides, number, after=lambda _: bool(list(tmp_path.glob("*/metrics.csv"))))
    assert status == 128 + number
    assert f"stopped by {number.name}, state saved; the same command goes on" in errors
    (folder,) = tmp_path.iterdir()
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    assert len(list(folder.glob("checkpoint-*.pt"))) == 1
    told = "frog: going on after step"
    status, errors = frog(tmp_path, overrides, signal.SIGTERM, after=lambda err: told in err.read_text())
    assert told in errors
    assert not (folder / "lock").exists()


def test_a_finished_run_leaves_no_checkpoints(runs):
    assert main(["train", *DIGITS, "checkpoint.rows=1"]) == 0
    (folder,) = runs.iterdir()
    assert not list(folder.glob("checkpoint-*"))


def test_resuming_on_something_else_warns(runs, monkeypatch, capsys):
    def stop_at_second(objective, *arguments):
        raise KeyboardInterrupt

    overrides = ["train", *DIGITS, "checkpoint.rows=1"]
    measure = Classification.measure
    monkeypatch.setattr(
        Classification, "measure", lambda self: stop_at_second(self) if self.rows_recorded == 3 else measure(self)
    )
    assert main(overrides) == 130
    monkeypatch.setattr(Classification, "measure", measure)
    (folder,) = runs.iterdir()
    about = json.loads((folder / "run.json").read_text())
    about["versions"]["torch"] = "2.11.0"
    (folder / "run.json").write_text(json.dumps(about))
    assert main([*overrides, "gradient.chunk_size=2"]) == 0
    errors = capsys.readouterr().err
    assert "goes on with versions" in errors
    assert "goes on with chunk_size 2; it had None before" in errors
    assert "going on after step 8" in errors


@pytest.fixture
def small_disk(tmp_path):
    """Yield a folder on a file system of 400 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 2, 4, 6, 8, 16, 24, 32, 40, 60, 80])
def test_a_full_disk_loses_nothing(room, small_disk, tmp_path):
    """With so many KiB of room, whichever write fails."""
    overrides = ["epochs=8", "model.width=16", "learning_rate=0.1", "checkpoint.rows=1"]
    assert frog(tmp_path / "reference", overrides)[0] == 0
    frog(small_disk, overrides, signal.SIGTERM, after=4.0)
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    (small_disk / "ballast").write_bytes(bytes(max(0, free - 1024 * room)))
    status, errors = frog(small_disk, overrides)
    if status != 0:
        assert "No space left on device" in errors
        assert str(small_disk) in errors
    (small_disk / "ballast").unlink()
    assert frog(small_disk, overrides)[0] == 0
    assert results(small_disk) == results(tmp_path / "reference")


def test_fail_fast_ends_a_sweep(runs, capsys):
    diverging = ["-m", "objective=rosenbrock", "objective.n=2", "gradient.k=2", "steps=50", "learning_rate=1e30,1e-4"]
    assert main(["train", *diverging]) == 1
    assert len(list(runs.iterdir())) == 2
    assert main(["train", *diverging, "seed=1", "fail_fast=true"]) == 1
    assert len(list(runs.iterdir())) == 3
    assert "fail_fast ends the sweep before learning_rate=0.0001" in capsys.readouterr().err
