"""Worker processes: they are forked, and have what their parent has at that time."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress

import pytest

from frog_cli.errors import WorkerLostError
from frog_cli.reproduction import jobs, targets, workers
from frog_cli.reproduction.jobs import Order


def pool_of_one(environment, never_closed, begun=-1):
    forks = workers._forks()
    given = 1, environment, never_closed, forks.Value("i", begun)
    return ProcessPoolExecutor(1, forks, initializer=workers._begin, initargs=given)


def test_workers_are_numbered_so_that_they_take_gpus_in_turn(never_closed):
    for begun in (-1, 2):
        with pool_of_one({}, never_closed, begun) as pool:
            number = "__import__('frog_cli.reproduction.workers', fromlist=['_number'])._number"
            assert pool.submit(eval, number).result() == begun + 1


def test_workers_have_the_environment_of_now_and_block_no_signals(never_closed):
    for value in ("first", "second"):
        with pool_of_one({"FROG_SWEEPS": value}, never_closed) as pool:
            assert pool.submit(os.getenv, "FROG_SWEEPS").result() == value
            assert pool.submit(os.getenv, "PATH").result() is None
            assert pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result() == set()
            assert pool.submit(eval, "'torch' in __import__('sys').modules").result()
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_modules_imported_for_all_workers_start_neither_mpi_nor_cuda(never_closed):
    with pool_of_one({}, never_closed) as pool:
        loaded = "[name for name in __import__('sys').modules if name.startswith('mpi4py')]"
        assert pool.submit(eval, loaded).result() == []
        assert not pool.submit(eval, "__import__('torch').cuda.is_initialized()").result()
        assert pool.submit(eval, "__import__('torch').cuda._is_in_bad_fork()").result() is False


def test_without_a_socket_workers_import_what_they_need(monkeypatch):
    def fail():
        raise OSError("AF_UNIX path too long")

    monkeypatch.setattr(workers.forkserver, "ensure_running", fail)
    assert workers._forks().get_start_method() == "spawn"
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])


def _holders(runs):
    """Return the processes that hold the locks of runs."""
    found = set()
    for lock in runs.glob("*/lock"):
        with suppress(FileNotFoundError):
            found.add(json.loads(lock.read_text())["process"])
    return found


@pytest.mark.first
@pytest.mark.parametrize("which", ["idle", "busy"])
def test_when_a_worker_is_killed_the_others_save_their_state(which, runs, tmp_path, monkeypatch):
    """An idle one holds the lock of what the others wait for."""
    monkeypatch.chdir(tmp_path)
    long = "objective=rosenbrock objective.n=4 gradient=mean learning_rate=1e-9 early_stopping.patience=null"
    (tmp_path / "two.yaml").write_text(
        f"train: ['{long} steps=20', '{long} steps=100000000 gradient.k=2', '{long} steps=100000000 gradient.k=4']"
    )
    target = targets.load_file(tmp_path / "two.yaml")
    orders = [Order(target, job, only_done=False) for job in targets.jobs(target, "paper")]
    chosen = orders[:2] if which == "idle" else orders[1:]
    going_on, thread = workers.outcomes(chosen, 2, runs, []), ThreadPoolExecutor(1)
    if which == "idle":
        order, outcome = thread.submit(next, going_on).result(timeout=60)
        assert order is orders[0]
        assert len(outcome.rows) == 1
    waiting = thread.submit(list, going_on)
    deadline = time.monotonic() + 60
    while len(held := _holders(runs)) < (1 if which == "idle" else 2) and time.monotonic() < deadline:
        time.sleep(0.05)
    children = {child.pid for child in multiprocessing.active_children()}
    os.kill(min(children - held) if which == "idle" else min(held), signal.SIGKILL)
    with pytest.raises(WorkerLostError):
        waiting.result(timeout=60)
    saved = [folder for folder in runs.iterdir() if list(folder.glob("checkpoint*"))]
    assert len(saved) == 1


def test_a_signal_ends_a_study_at_once(monkeypatch):
    """It has no state to save; a worker ignores signals between its jobs."""

    def study(job):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    monkeypatch.setattr(jobs, "_study", study)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        fig5 = targets.load("fig5")
        job = next(job for job in targets.jobs(fig5, "paper") if job.kind == "quality")
        outcome = jobs.carry_out(Order(fig5, job, only_done=False), targets.folder("conf"), [])
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    assert outcome.interrupted == signal.SIGTERM
