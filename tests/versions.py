"""The tests on the oldest and the newest torch of the range, with each Python at hand: `make test-versions`.

Each pair gets an environment in build/versions, which may download gigabytes. `PYTHONS="python3.10 python3.13"` says
which interpreters, and `TESTS="tests/gradients tests/jets"` which tests; else all on the path, and all tests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[1]
FOLDER = PROJECT / "build" / "versions"
MINORS = range(10, 15)  # of Python 3, also those that pyproject.toml does not allow yet


def main() -> int:
    """Run the tests with each pair; return 0 if all passed."""
    pythons = os.environ.get("PYTHONS", "").split() or [
        name for minor in MINORS if (name := f"python3.{minor}") and shutil.which(name)
    ]
    outcomes = {}
    for python in pythons:
        for torch, vision in torches():
            found = tested(python, torch, vision, os.environ.get("TESTS", "tests").split())
            outcomes[f"{python}, torch {torch}"] = found
            print(f"{python}, torch {torch}: {found}", flush=True)
    print(*(f"{pair}: {found}" for pair, found in outcomes.items()), sep="\n")
    return int(any(found != "passed" for found in outcomes.values()))


def torches() -> Iterator[tuple[str, str]]:
    """Yield the oldest and the newest minor version of torch that pyproject.toml allows, each with its torchvision."""
    bounds = re.search(r'"torch>=2\.(\d+),<2\.(\d+)"', (PROJECT / "pyproject.toml").read_text())
    assert bounds is not None
    for minor in (int(bounds[1]), int(bounds[2]) - 1):
        yield f"2.{minor}.*", f"0.{minor + 15}.*"


def tested(python: str, torch: str, vision: str, tests: list[str]) -> str:
    """Return what became of the tests in an environment of these versions."""
    code = "import platform; print(platform.python_version())"
    number = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    environment = FOLDER / f"python{number}-torch{torch.removesuffix('.*')}"
    own = environment / "bin" / "python"
    constraints = FOLDER / "constraints.txt"
    FOLDER.mkdir(parents=True, exist_ok=True)
    pinned = (PROJECT / "constraints.txt").read_text().splitlines(keepends=True)
    constraints.write_text("".join(line for line in pinned if not line.startswith("torch")))
    pip = [str(own), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    steps = {
        "no environment": [python, "-m", "venv", str(environment)],
        "not installable": [
            *pip, "--ignore-requires-python", "--constraint", str(constraints), "--editable", ".[dev]",
            f"torch=={torch}", f"torchvision=={vision}",
        ],
        "no Propulate": [*pip, "--no-deps", "--constraint", str(constraints), "propulate"],
        "failed": [str(own), "-m", "pytest", "--quiet", *tests],
    }  # fmt: skip
    for otherwise, command in steps.items():
        if subprocess.run(command, cwd=PROJECT, check=False).returncode:
            return otherwise
    return "passed"


if __name__ == "__main__":
    sys.exit(main())
