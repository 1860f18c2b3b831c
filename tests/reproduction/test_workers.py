"""Worker processes: they are forked, and have what their parent has at that time."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor

from frog_cli.reproduction import workers


def test_workers_have_the_environment_of_now_and_block_no_signals():
    for value in ("first", "second"):
        given = (1, {"FROG_SWEEPS": value})
        with ProcessPoolExecutor(1, workers._forks(), initializer=workers._begin, initargs=given) as pool:
            assert pool.submit(os.getenv, "FROG_SWEEPS").result() == value
            assert pool.submit(os.getenv, "PATH").result() is None
            assert pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result() == set()
            assert pool.submit(eval, "'torch' in __import__('sys').modules").result()
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_modules_imported_for_all_workers_start_neither_mpi_nor_cuda():
    with ProcessPoolExecutor(1, workers._forks(), initializer=workers._begin, initargs=(1, {})) as pool:
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
