"""Which `srun --mpi=..` starts the MPI library that mpi4py finds here."""

from __future__ import annotations

import os
import re
import subprocess

from frog_cli.errors import RequestError

UNDERSTOOD = {"MPICH": "pmi2", "Open MPI": "pmix"}
"""The type by which each library learns of its other processes, however it was built."""


def mpi_type() -> str | None:
    """Return the type to ask srun for; None if the cluster's default fits, or nothing better can be known.

    Raises:
        RequestError: if srun has no type that the library understands.
    """
    library = _library()
    needed = UNDERSTOOD.get(library or "")
    # older versions list them as messages of srun, and as mpi/pmi2
    offered = re.findall(r"^(?:srun: )?\s*(?:mpi/)?(\w+)$", _output("srun", "--mpi=list"), flags=re.MULTILINE)
    if needed is None or not offered or _default().startswith((needed, "cray")):  # Cray's default is for its own MPICH
        return None
    if needed not in offered:
        raise RequestError(
            "slurm.mpi=null", f"{library} needs {needed}, which srun does not have; choose one of {', '.join(offered)}"
        )
    return needed


def _library() -> str | None:
    """Return the name of the MPI library, None without one, as where a module of the cluster must be loaded first."""
    try:
        import mpi4py

        mpi4py.rc.initialize = mpi4py.rc.finalize = False
        from mpi4py import MPI
    except (ImportError, RuntimeError):
        return None
    return MPI.get_vendor()[0]


def _default() -> str:
    """Return the type that srun takes by itself."""
    asked = os.environ.get("SLURM_MPI_TYPE")
    found = re.search(r"^MpiDefault\s*=\s*(\S+)", _output("scontrol", "show", "config"), flags=re.MULTILINE)
    return asked or (found[1] if found else "")


def _output(*command: str) -> str:
    """Return what a command prints, nothing where there is no such command."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr
