"""What a run ran on: versions, commit, machine and command, which a result may depend on besides its settings."""

from __future__ import annotations

import platform
import socket
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from typing import Any

from frog_cli.files.shipped import folder


def environment(device: str = "cpu") -> dict[str, Any]:
    """Return what a result of a device may depend on besides its settings: versions, commit, machine."""
    import torch

    packages = ("frog-cli", "torch", "torchvision", "numpy", "hydra-core")
    return {
        "command": sys.argv,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "commit": _commit(),
        "host": socket.gethostname(),
        "processor": torch.cuda.get_device_name(device)
        if device.startswith("cuda")
        else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
    }


@cache
def _commit() -> str | None:
    """Return the git commit of a frog that runs from a checkout, marked if its code or configuration differs."""
    checkout = folder("conf").parent
    if not (checkout / ".git").exists():
        return None

    def git(*words: str) -> str:
        command = ["git", "-C", str(checkout), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "frog_cli", "conf")
        return git("rev-parse", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
