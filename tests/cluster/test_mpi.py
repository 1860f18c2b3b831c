"""Real processes under mpiexec, with a limit on their time: what fails must not hang."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from frog_cli.cluster.mpi import parallel
from frog_cli.errors import RequestError

MPIEXEC = shutil.which("mpiexec") or str(Path(sys.executable).with_name("mpiexec"))
BEGIN = """
import os, signal, sys, time
from frog_cli.errors import Interrupted, RequestError
from frog_cli.cluster.mpi import parallel

def tell(line):
    os.write(1, f"{line}\\n".encode())  # one write, so that no other rank's comes between
"""


def mpiexec(count: int, program: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    if not Path(MPIEXEC).exists():
        pytest.skip("needs mpiexec")
    command = [MPIEXEC, "-n", str(count), sys.executable, "-c", BEGIN + program]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def test_one_process_alone_needs_no_mpi(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with parallel() as ranks:
        assert (ranks.rank, ranks.size, ranks.local_rank) == (0, 1, None)
        assert ranks.first(lambda: 7) == 7
        assert ranks.wait()


def test_ranks_know_each_other_and_share_what_rank_0_finds():
    done = mpiexec(3, """
with parallel() as ranks:
    value = ranks.first(lambda: ["of rank", ranks.rank])
    ranks.wait()
    tell(f"{ranks.rank} {ranks.size} {ranks.local_rank} {ranks.local_size} {value}")
""")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [f"{rank} 3 {rank} 3 ['of rank', 0]" for rank in range(3)]


def test_a_wrong_request_is_told_once_and_ends_all_with_status_2():
    done = mpiexec(3, """
def refuse():
    raise RequestError("k=0", "must be at least 1")
try:
    with parallel() as ranks:
        ranks.first(refuse)
        print("not here")
except RequestError as error:
    print(error)
    sys.exit(2)
""")  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == "k=0: must be at least 1\n"


@pytest.mark.parametrize(
    "failure", ["raise RuntimeError('on one rank')", "os.kill(os.getpid(), signal.SIGKILL)", "sys.exit(3)"]
)
def test_a_rank_that_raises_or_is_killed_ends_the_job(failure):
    done = mpiexec(3, f"""
with parallel() as ranks:
    if ranks.rank == 1:
        {failure}
    ranks.wait()
""")  # fmt: skip
    assert done.returncode != 0
    assert "RuntimeError: on one rank" in done.stderr or "RuntimeError" not in failure


def test_ranks_that_have_saved_after_a_signal_wait_for_each_other():
    done = mpiexec(2, """
try:
    with parallel() as ranks:
        time.sleep(ranks.rank)
        tell(f"saved {ranks.rank}")
        raise Interrupted(signal.SIGTERM)
except Interrupted as interrupted:
    sys.exit(interrupted.status)
""")  # fmt: skip
    assert done.returncode == 143
    assert sorted(done.stdout.splitlines()) == ["saved 0", "saved 1"]


def test_several_tasks_of_slurm_that_mpi_does_not_know_of_are_refused(monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    with pytest.raises(RequestError, match="srun with 4 tasks: MPI knows of one process only"), parallel():
        pass
