"""The folders that travel with frog: its configuration and its learning rates."""

from __future__ import annotations

from pathlib import Path


def folder(name: str) -> Path:
    """Return the folder `conf` or `sweeps`: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / name
    return installed if installed.is_dir() else package.parent / name
