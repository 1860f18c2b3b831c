"""Files that are whole at any time."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let errors of the operating system, such as that of a full disk, name the path."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_atomically(path: Path, content: str | bytes | memoryview) -> None:
    """Write a file so that at any time, whatever happens, it has its old or its new content."""
    with _written(path, content) as temporary:
        temporary.replace(path)
    flush(path.parent)


def create_atomically(path: Path, content: str) -> bool:
    """Write a file whole unless it is there already, also if others try the same; return whether it was not."""
    with _written(path, content) as temporary:
        try:
            path.hardlink_to(temporary)  # exclusive, also on NFS
        except FileExistsError:
            return False
    flush(path.parent)
    return True


@contextmanager
def _written(path: Path, content: str | bytes | memoryview) -> Iterator[Path]:
    """Yield a file with this content beside the one at `path`, on the disk; it is gone in the end."""
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    try:
        with naming(path), temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Let a file or folder reach the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
