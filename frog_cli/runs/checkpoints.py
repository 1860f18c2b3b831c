"""The state of an unfinished run: written whole, verified by a checksum, the last two kept."""

from __future__ import annotations

import hashlib
import io
import re
import sys
from pathlib import Path
from typing import Any

from frog_cli.files.atomic import write_atomically

_KEPT = 2
_NAME = re.compile(r"checkpoint-(\d{9})\.pt")


def save(folder: Path, number: int, state: dict[str, Any]) -> None:
    """Write a state as checkpoint `number` and remove those before the last two."""
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    path = folder / f"checkpoint-{number:09d}.pt"
    # the checksum first: a checkpoint without one, or with another's, is not taken
    write_atomically(_checksum(path), hashlib.sha256(buffer.getbuffer()).hexdigest() + "\n")
    write_atomically(path, buffer.getbuffer())
    for old in _found(folder)[_KEPT:]:
        old.unlink(missing_ok=True)
        _checksum(old).unlink(missing_ok=True)


def latest(folder: Path) -> dict[str, Any] | None:
    """Return the newest state that is whole, None if there is none; damaged ones are named on standard error."""
    import torch

    for path in _found(folder):
        try:
            content = path.read_bytes()
            expected = _checksum(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            print(f"frog: {path} cannot be read ({error.strerror}); it is not used", file=sys.stderr)
            continue
        if path.is_symlink() or hashlib.sha256(content).hexdigest() != expected:
            print(f"frog: {path} is damaged; it is not used", file=sys.stderr)
            continue
        try:
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a file that frog did not write leads to
            print(f"frog: {path} is not a checkpoint of frog ({type(error).__name__}); it is not used", file=sys.stderr)
            continue
        if isinstance(state, dict):
            return state
    return None


def remove_all(folder: Path) -> None:
    """Remove the checkpoints of a run that is done or starts anew."""
    for path in folder.glob("checkpoint-*"):
        if _NAME.fullmatch(path.with_suffix(".pt").name):
            path.unlink(missing_ok=True)


def _found(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, the newest first."""
    return sorted((path for path in folder.glob("checkpoint-*.pt") if _NAME.fullmatch(path.name)), reverse=True)


def _checksum(path: Path) -> Path:
    return path.with_suffix(".sha256")
