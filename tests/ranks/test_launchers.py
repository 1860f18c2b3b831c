"""Which process is which, by the variables of each launcher."""

from __future__ import annotations

import pytest

from frog_cli.errors import RequestError
from frog_cli.ranks.launchers import meeting_place, place, threads
from frog_cli.ranks.shape import shape

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
SRUN = {
    "SLURM_PROCID": "6",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_LOCALID": "2",
    "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
    "SLURM_STEP_NODELIST": "node7",
    "SLURM_JOB_ID": "1000000",
    "SLURM_STEP_ID": "3",
}
MPICH = {"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_LOCAL_RANK": "0",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "1",
}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        (TORCHRUN, (5, 8, 1, 4, "torchrun")),
        (SRUN, (6, 8, 2, 4, "srun")),
        (MPICH, (3, 4, 1, 2, "mpiexec")),
        (OPEN_MPI, (3, 4, 0, 1, "mpiexec of Open MPI")),
        (SRUN | {"PMI_RANK": "6", "PMI_SIZE": "8"}, (6, 8, 2, 4, "srun")),  # srun --mpi=pmi2
        (MPICH | {**SRUN, "SLURM_STEP_NUM_TASKS": "2"}, (3, 4, 1, 2, "mpiexec")),  # which started by srun on two nodes
        (SRUN | TORCHRUN, (5, 8, 1, 4, "torchrun")),
        (SRUN | TORCHRUN | {"WORLD_SIZE": "1"}, None),  # alone within a task of many
        (SRUN | {"SLURM_STEP_NUM_TASKS": "1"}, None),
        ({"SLURM_PROCID": "0", "SLURM_JOB_ID": "7"}, None),  # the script of a batch job itself
    ],
)
def test_the_innermost_launcher_says_which_process_this_is(variables, expected):
    assert place(variables) == expected


def test_ranks_meet_where_the_first_one_is(monkeypatch):
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in SRUN.items():
        monkeypatch.setenv(name, value)
    here = place(SRUN)
    assert here is not None
    host, port = meeting_place(here)
    assert host == "node7"
    assert 15000 <= int(port) < 32000
    monkeypatch.setenv("SLURM_STEP_ID", "4")
    assert meeting_place(here)[1] != port
    monkeypatch.setenv("MASTER_ADDR", "elsewhere")
    monkeypatch.setenv("MASTER_PORT", "99")
    assert meeting_place(here) == ("elsewhere", "99")


def test_processes_of_a_host_share_its_cores(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(16)))
    for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)
    assert threads(1) is None
    assert threads(3) == 5
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    assert threads(3) == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads(3) is None


@pytest.mark.parametrize(
    ("parallel", "ranks", "expected"),
    [(None, 1, (1, 1)), ("tangents", 3, (1, 3)), ("batch", 3, (3, 1)), ([2, 4], 8, (2, 4)), ("tangents", 1, (1, 1))],
)
def test_what_ranks_share(parallel, ranks, expected):
    assert shape(parallel, ranks) == expected


@pytest.mark.parametrize(("parallel", "ranks"), [(None, 2), ([2, 4], 4), ([1, 2], 1)])
def test_ranks_that_have_nothing_to_share_are_refused(parallel, ranks):
    with pytest.raises(RequestError, match=r"share the training|are \d ranks, not"):
        shape(parallel, ranks)
