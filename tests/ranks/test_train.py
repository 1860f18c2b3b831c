"""frog train on several ranks: what is told, and that nothing hangs or is lost, whatever ends them."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from frog_cli.cli import main
from frog_cli.errors import RequestError
from frog_cli.runs.checkpoints import latest
from frog_cli.verbs.train import _plan
from tests.processes import FROG
from tests.ranks.launch import Ended, ended, run, start, wait_until

SMALL = [
    "model.width=16", "data.limit=200", "batch_size=8", "gradient.k=4", "gradient.chunk_size=1", "learning_rate=0.01",
    "early_stopping.patience=null", "parallel=tangents", "checkpoint.rows=1",
]  # fmt: skip


def frog(count: int, folder: Path, *words: str, runs: str = "runs") -> list[Ended]:
    return run(count, [*FROG, "train", *SMALL, *words], folder, FROG_RUNS=str(folder / runs))


def summary(folder: Path, runs: str = "runs") -> dict[str, object]:
    (path,) = (folder / runs).glob("*/summary.json")
    return json.loads(path.read_text())


def test_ranks_end_where_one_process_does_and_the_first_one_tells(tmp_path, monkeypatch):
    first, second = frog(2, tmp_path, "epochs=2")
    assert (first.status, second.status) == (0, 0), first.stderr
    assert "seed 0: completed" in first.stdout
    assert (second.stdout, second.stderr) == ("", "")
    monkeypatch.setenv("FROG_RUNS", str(tmp_path / "alone"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert main(["train", *SMALL, "epochs=2"]) == 0
    assert summary(tmp_path) == summary(tmp_path, "alone")
    (about,) = (tmp_path / "runs").glob("*/run.json")
    assert json.loads(about.read_text())["ranks"] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "2 processes: share the training of a network with parallel=tangents or parallel=batch"),
        (["parallel=[1,3]"], "parallel=[1,3]: are 3 ranks, not 2"),
        (["parallel=tangents", "gradient=fomoh_kd", "learning_rate=1"], "parallel=tangents: needs a forward gradient "
         "whose tangents the samples share; parallel=batch shares the samples"),
        (["parallel=[1,2]", "tangents=local"], "parallel=[1, 2]: needs a forward gradient"),
        (["parallel=batch", "tangents.per=sample"], "parallel=batch: needs tangents.per=batch, which all ranks draw"),
        (["parallel=batch", "exchange=steps"], "exchange=steps: is for ranks that share tangents"),
        (["objective=sphere", "learning_rate=1"], "2 processes: share the training of a network"),
        (["parallel=all"], "parallel=all: must be tangents, batch, a grid of ranks such as [2,4], or null"),
    ],
)  # fmt: skip
def test_ranks_that_cannot_share_are_refused_before_any_work(words, message):
    with pytest.raises(RequestError) as refused:
        _plan(words, 2)
    assert str(refused.value).startswith(message)


def test_samples_that_are_not_independent_are_refused_once_with_status_2(tmp_path):
    words = ["parallel=batch", "model=resnet18", "model.width=8", "learning_rate=0.1", "data.limit=50"]
    ranks = run(2, [*FROG, "train", *words], tmp_path, FROG_RUNS=str(tmp_path / "runs"))
    assert [one.status for one in ranks] == [2, 2]
    told = "".join(one.stderr for one in ranks)
    assert told == "frog: parallel=batch: module 0.1 normalises by the batch; parallel=tangents allows that\n"


def steps_taken(folder: Path) -> int:
    tables = list((folder / "runs").glob("*/metrics.csv"))
    return len(tables[0].read_text().splitlines()) if tables else 0


def test_a_signal_to_one_rank_saves_the_state_of_all_at_one_step_for_any_number_of_ranks(tmp_path):
    whole = frog(2, tmp_path, "epochs=6", runs="whole")
    assert whole[0].status == 0, whole[0].stderr
    ranks = start(2, [*FROG, "train", *SMALL, "epochs=6"], tmp_path, FROG_RUNS=str(tmp_path / "runs"))
    wait_until(lambda: steps_taken(tmp_path) >= 2)
    ranks[1].send_signal(signal.SIGTERM)
    stopped = ended(ranks, tmp_path)
    assert [one.status for one in stopped] == [143, 143], stopped
    (folder,) = (tmp_path / "runs").iterdir()
    state = latest(folder)
    assert state is not None
    assert not (folder / "summary.json").exists()
    assert not (folder / "lock").exists()
    on = frog(4, tmp_path, "epochs=6")
    assert on[0].status == 0, on[0].stderr
    assert f"going on after step {state['steps']}" in on[0].stderr
    assert summary(tmp_path) == summary(tmp_path, "whole")


@pytest.mark.parametrize("lost", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_rank_that_is_killed_ends_all_and_is_named(tmp_path, lost):
    ranks = start(2, [*FROG, "train", *SMALL, "epochs=500"], tmp_path, FROG_RUNS=str(tmp_path / "runs"))
    wait_until(lambda: steps_taken(tmp_path) >= 2)
    killed = time.monotonic()
    ranks[lost].kill()
    found = ended(ranks, tmp_path, 30)
    assert time.monotonic() - killed < 30
    assert found[1 - lost].status == 1
    assert f"rank {lost} (" in found[1 - lost].stderr
    assert "goes on from the last state" in found[1 - lost].stderr


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [0, 1])
def test_a_rank_that_hangs_ends_all_within_half_a_minute_and_is_named(tmp_path, stopped):
    ranks = start(2, [*FROG, "train", *SMALL, "epochs=500"], tmp_path, FROG_RUNS=str(tmp_path / "runs"))
    wait_until(lambda: steps_taken(tmp_path) >= 2)
    ranks[stopped].send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    ranks[1 - stopped].wait(60)
    assert time.monotonic() - begun < 30
    ranks[stopped].kill()
    other = ended(ranks, tmp_path)[1 - stopped]
    assert other.status == 1
    assert other.stderr.count(f"frog: rank {stopped} (") == 1
    if stopped == 1:  # which does not hold the lock
        assert not list((tmp_path / "runs").glob("*/lock"))


def test_a_rank_that_raises_ends_all_and_tells_it_once(tmp_path):
    program = """
import os, sys
from frog_cli.objectives import classification
from frog_cli.cli import main

take_step, taken = classification.take_step, []

def failing(*args):
    taken.append(1)
    if len(taken) == 30 and os.environ["RANK"] == "1":
        raise MemoryError("on one rank")
    return take_step(*args)

classification.take_step = failing
sys.exit(main(sys.argv[1:]))
"""
    words = ["-c", program, "train", *SMALL, "epochs=50"]
    first, second = run(2, words, tmp_path, FROG_RUNS=str(tmp_path / "runs"))
    assert (first.status, second.status) == (1, 1)
    assert second.stderr.rstrip().endswith("MemoryError: on one rank")
    assert "rank 1" not in first.stderr
    assert not list((tmp_path / "runs").glob("*/lock"))


def test_a_launcher_that_ends_all_with_the_first_does_not_keep_the_reason_from_being_told(tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "frog_cli", "train", "parallel=[1,3]"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("frog: parallel=[1,3]: are 3 ranks, not 2") == 1


@pytest.mark.slow
def test_nothing_is_lost_when_ranks_are_killed_at_twenty_random_times(tmp_path):
    epochs = "epochs=400"  # more than there is time for between the kills
    whole = frog(2, tmp_path, epochs, runs="whole")
    assert whole[0].status == 0, whole[0].stderr
    draw = random.Random(0)
    for attempt in range(20):
        count = draw.choice((1, 2, 4))
        ranks = start(count, [*FROG, "train", *SMALL, epochs], tmp_path, FROG_RUNS=str(tmp_path / "runs"))
        before = steps_taken(tmp_path)
        wait_until(lambda: steps_taken(tmp_path) > before or all(one.poll() is not None for one in ranks))  # noqa: B023
        time.sleep(draw.uniform(0, 1))
        draw.choice(ranks).kill()
        statuses = [one.status for one in ended(ranks, tmp_path, 30)]
        assert all(status != 0 for status in statuses), (attempt, statuses)
    assert frog(draw.choice((1, 2, 4)), tmp_path, epochs)[0].status == 0
    assert summary(tmp_path) == summary(tmp_path, "whole")
