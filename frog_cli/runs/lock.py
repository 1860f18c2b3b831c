"""A folder that one process writes to."""

from __future__ import annotations

import fcntl
import json
import os
import socket
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

    A lock whose process is dead is broken if that process ran on this host; only processes of the same host break
    locks, one after the other.

    Raises:
        InProgressError: if another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / "lock"
    with _one_at_a_time(folder / ".lock.guard"):
        holder = _holder(lock)
        if holder is not None:
            if not _dead(holder):
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


@contextmanager
def _one_at_a_time(guard: Path) -> Iterator[None]:
    """Let one process of this host in at a time."""
    with guard.open("w") as file:
        with suppress(OSError):  # a file system without such locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _self() -> dict[str, Any]:
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"host": socket.gethostname(), "process": os.getpid(), "started": _started(os.getpid()), "since": now}


def _holder(lock: Path) -> dict[str, Any] | None:
    """Return who holds a lock, None if nobody does."""
    try:
        holder = json.loads(lock.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _dead(holder: dict[str, Any]) -> bool:
    """Return whether the process that holds a lock is known to have ended."""
    if holder.get("host") != socket.gethostname():
        return False
    return _started(holder["process"]) != holder.get("started")


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
