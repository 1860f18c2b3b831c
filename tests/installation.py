"""frog as its users have it: installed from a wheel in a virtual environment, and called from a folder of theirs."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


class Installation(NamedTuple):
    """An environment that has frog, and the folder that its commands are called from.

    Attributes:
        environment: the folder of the environment.
        folder: any folder outside a checkout.
    """

    environment: Path
    folder: Path

    def command(self, *words: str) -> list[str]:
        """Return the words that start frog."""
        return [str(self.environment / "bin" / "frog"), *words]

    def variables(self, changes: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the variables of a user who has set none for frog but where runs go."""
        ours = ("PYTHONPATH", "FROG_IDEAS", "FROG_SWEEPS", "FROG_RESULTS")
        kept = {name: value for name, value in os.environ.items() if name not in ours}
        libraries = [str(Path(sys.prefix) / "lib"), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]  # MPI's
        return {**kept, "LD_LIBRARY_PATH": ":".join(libraries), **(changes or {})}

    def run(
        self, command: Sequence[str], status: int = 0, changes: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Carry out a command that must end with a status."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.variables(changes), capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip
        assert done.returncode == status, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def frog(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Carry out a command of frog that must end with a status."""
        return self.run(self.command(*words), status)

    def python(self, code: str) -> str:
        """Return what a program prints."""
        return self.run([str(self.environment / "bin" / "python"), "-c", code]).stdout


def wheel(project: Path, folder: Path) -> Path:
    """Build the wheel of a project in a folder."""
    subprocess.run([*PIP, "wheel", "--no-deps", "--wheel-dir", folder, project], check=True)
    (built,) = folder.glob("*.whl")
    return built


def environment(folder: Path, *wheels: Path) -> Path:
    """Make an environment of wheels; what they need, such as torch, is taken from the environment of the tests."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    subprocess.run([*PIP, "--python", python, "install", "--no-deps", "--no-index", *wheels], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "of_the_tests.pth").write_text("\n".join(site.getsitepackages()))  # after pip, which leaves them alone
    return folder
