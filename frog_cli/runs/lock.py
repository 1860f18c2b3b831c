"""A folder that one process writes to."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from frog_cli.errors import InProgressError
from frog_cli.files.atomic import create_atomically


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock: the file `lock`, which names the process that holds it.

    A lock whose process is dead is broken if that process ran on this host, or in a job of Slurm that is over, or was
    requeued.

    Raises:
        InProgressError: if another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / "lock"
    with _one_at_a_time(folder / ".lock.guard"):
        holder = _holder(lock)
        if holder is not None:
            if not _dead(lock, holder):
                raise InProgressError(
                    f"{folder.name} is in progress: process {holder.get('process')} on {holder.get('host')} since "
                    f"{holder.get('since')}; if that is not so, delete {lock}"
                )
            lock.unlink(missing_ok=True)
        if not create_atomically(lock, json.dumps(_self())):  # a process of another host was faster
            raise InProgressError(f"{folder.name} is in progress: {lock} has just been made")
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def is_locked(folder: Path) -> bool:
    """Return whether a process holds a folder's lock, or has left it."""
    return (folder / "lock").exists()


@contextmanager
def _one_at_a_time(guard: Path) -> Iterator[None]:
    """Let one process of this host in at a time."""
    with guard.open("w") as file:
        with suppress(OSError):  # a file system without such locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _self() -> dict[str, Any]:
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    found = {"host": socket.gethostname(), "process": os.getpid(), "started": _started(os.getpid()), "since": now}
    return found | {"processes": _processes(), **_job()}


def _processes() -> str | None:
    """Return which numbering of processes this one lives in: that of the machine, or a container's."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None


def _job() -> dict[str, str]:
    """Return the job of Slurm that this process is of, which attempt of it, and on which cluster."""
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        return {}
    attempt, cluster = os.environ.get("SLURM_RESTART_COUNT", "0"), os.environ.get("SLURM_CLUSTER_NAME")
    return {"slurm_job": job, "slurm_attempt": attempt} | ({"slurm_cluster": cluster} if cluster else {})


def _holder(lock: Path) -> dict[str, Any] | None:
    """Return who holds a lock, None if nobody does."""
    try:
        holder = json.loads(lock.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _dead(lock: Path, holder: dict[str, Any]) -> bool:
    """Return whether the process that holds a lock is known to have ended."""
    own = _job()
    if own and holder.get("slurm_job") == own["slurm_job"] and _is_of_this_cluster(holder):
        if holder.get("slurm_attempt") != own["slurm_attempt"]:  # an earlier attempt of this job
            return True
    elif "slurm_job" in holder and holder.get("host") != socket.gethostname():
        return _is_of_this_cluster(holder) and _job_is_over(str(holder["slurm_job"]), _is_own(lock))
    if holder.get("host") != socket.gethostname() or holder.get("processes", _processes()) != _processes():
        return False
    return isinstance(holder.get("process"), int) and _started(holder["process"]) != holder.get("started")


def _job_is_over(job: str, own: bool) -> bool:
    """Return whether Slurm knows that a job does not run; that it shows none may mean that it shows only own jobs."""
    told = _told_by_slurm("squeue", "--noheader", "--format=%T", f"--jobs={job}")
    if told is None:
        return False
    if told.returncode:
        return own and "invalid job id" in told.stderr.lower()
    return {*told.stdout.split()} <= {"PENDING"} and (own or told.stdout.strip() != "")


def _is_of_this_cluster(holder: dict[str, Any]) -> bool:
    """Return whether a job is of the cluster that this machine is of, or is not known to be of another one."""
    cluster = holder.get("slurm_cluster")
    if cluster is None:
        return True
    if "SLURM_CLUSTER_NAME" in os.environ:
        return bool(cluster == os.environ["SLURM_CLUSTER_NAME"])
    told = _told_by_slurm("scontrol", "show", "config")
    return told is not None and re.search(rf"^ClusterName\s*=\s*{re.escape(cluster)}$", told.stdout, re.M) is not None


def _told_by_slurm(*command: str) -> subprocess.CompletedProcess[str] | None:
    """Return what a command of Slurm answers, None if it does not."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None


def _is_own(lock: Path) -> bool:
    """Return whether a lock was made by a process of this user."""
    try:
        return lock.stat().st_uid == os.getuid()
    except FileNotFoundError:
        return True


def _started(process: int) -> str | None:
    """Return what tells a process from others that had or will have its number; None if there is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        pass
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "running"  # on a system without /proc
