"""Which of several processes this one is, as the launcher that started them says: torchrun, srun or mpiexec."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Mapping
from typing import NamedTuple

from frog_cli.errors import RequestError

_VARIABLES = {
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    "mpiexec": ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    "mpiexec of Open MPI": (
        "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    "srun": ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"),
}  # fmt: skip
"""Rank, number of ranks, rank on this host, and number of ranks on it; srun's own also where it starts MPI's."""

MEETING_PLACE = "MASTER_ADDR", "MASTER_PORT"
"""Variables that say on which host and port rank 0 awaits the others, as torch reads them."""

_PORTS = range(15000, 32000)  # below those that systems give away by themselves


class Place(NamedTuple):
    """Which process this is, of how many, and which on its host."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    launcher: str


def place(variables: Mapping[str, str] = os.environ) -> Place | None:
    """Return which process this is, None if no launcher started it as one of several."""
    found = {
        launcher: values
        for launcher, names in _VARIABLES.items()
        if all((values := [variables.get(name, "") for name in names])[:2])
    }
    launcher = next(iter(found), None)
    if launcher == "mpiexec" and found.get("srun", [""] * 2)[1] == found[launcher][1]:
        launcher = "srun"  # with MPI's variables beside its own
    if launcher is None:
        return None
    rank, size, local_rank, local_size = found[launcher]
    of_host = re.match(r"\d+", local_size)  # Slurm's is that of the first node, such as 4(x2)
    here = Place(int(rank), int(size), int(local_rank or rank), int(of_host[0]) if of_host else 1, launcher)
    return here if here.size > 1 else None


def threads(local_size: int) -> int | None:
    """Return how many threads each of some processes may use so that they share this host's cores; None: as it is."""
    if local_size == 1 or "OMP_NUM_THREADS" in os.environ:
        return None
    per_task = os.environ.get("SLURM_CPUS_PER_TASK")
    return int(per_task) if per_task else max(1, len(os.sched_getaffinity(0)) // local_size)


def share_cores(local_size: int) -> None:
    """Let torch use as many threads as `threads` says."""
    number = threads(local_size)
    if number is not None:
        import torch

        torch.set_num_threads(number)


def meeting_place(here: Place) -> tuple[str, str]:
    """Return the host and the port where rank 0 awaits the others, the same on all ranks.

    Raises:
        RequestError: if nothing says where.
    """
    given = tuple(os.environ.get(name) for name in MEETING_PLACE)
    if all(given):
        return str(given[0]), str(given[1])
    if os.environ.get("SLURM_STEP_NUM_TASKS") == str(here.size):  # whose nodes are those of the ranks
        return _first_host(os.environ["SLURM_STEP_NODELIST"]), str(_port_of_job())
    try:
        return _told_by_mpi(here)
    except (ImportError, RuntimeError) as error:
        raise RequestError(here.launcher, f"needs mpi4py, or MASTER_ADDR and MASTER_PORT of rank 0: {error}") from None


def _first_host(nodes: str) -> str:
    """Return the first of Slurm's nodes, such as node1 of node[1-4,7]."""
    if "[" not in nodes:
        return nodes.partition(",")[0]
    shown = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True)
    return shown.stdout.split()[0]


def _port_of_job() -> int:
    """Return a port that other jobs and steps of this host hardly choose."""
    job, step = (int(os.environ.get(name) or 0) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    return _PORTS[(37 * job + step) % len(_PORTS)]


def _told_by_mpi(here: Place) -> tuple[str, str]:
    """Let rank 0 choose a free port and tell all ranks by MPI, which is not needed afterwards.

    Raises:
        RuntimeError: if mpi4py has the library of another launcher.
    """
    import mpi4py

    mpi4py.rc.initialize = mpi4py.rc.finalize = False
    from mpi4py import MPI

    MPI.Init()
    with socket.socket() as probe:
        probe.bind(("", 0))
        chosen = socket.gethostname(), str(probe.getsockname()[1])
        known = MPI.COMM_WORLD.Get_size()
        chosen = MPI.COMM_WORLD.bcast(chosen)
    MPI.Finalize()
    if known != here.size:
        raise RuntimeError(f"it knows of {known} of {here.size} processes, as with another library than the launcher's")
    return chosen
