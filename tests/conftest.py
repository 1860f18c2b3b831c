"""What tests share: runs go to a temporary folder, real data sets come from FROG_DATA."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from tests import installation
from tests.installation import Installation


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """Return one more than there are cores, for some tests only wait for the processes that they start."""
    return min(8, len(os.sched_getaffinity(0)) + 1)


def pytest_configure() -> None:
    """Put temporary files into memory where there is room: frog waits for the disk whenever it writes a file."""
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30 and not _forbids_programs(memory):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def _forbids_programs(folder: Path) -> bool:
    """Return whether programs in a folder, such as those of an environment, cannot be started."""
    return bool(os.statvfs(folder).f_flag & os.ST_NOEXEC)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that take longest in front."""
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of this test's runs."""
    folder = tmp_path / "runs"
    monkeypatch.setenv("FROG_RUNS", str(folder))
    return folder


@pytest.fixture(autouse=True)
def threads():
    """Undo what a minimisation sets for its process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def mnist_root() -> str:
    """Return a data root that has MNIST."""
    root = os.environ.get("FROG_DATA", "data")
    if not Path(root, "MNIST", "raw", "train-images-idx3-ubyte").is_file():
        pytest.skip("needs MNIST below FROG_DATA")
    return root


@pytest.fixture
def generator() -> torch.Generator:
    """Return a seeded source of randomness."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def wheel_of_frog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this checkout."""
    return installation.wheel(Path(__file__).parents[1], tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def environment_of_frog(wheel_of_frog: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment that has frog from its wheel."""
    return installation.environment(tmp_path_factory.mktemp("environment"), wheel_of_frog)


@pytest.fixture
def installed(environment_of_frog: Path, tmp_path: Path) -> Installation:
    """Return frog installed from its wheel, called from a folder of this test."""
    (tmp_path / "elsewhere").mkdir()
    return Installation(environment_of_frog, tmp_path / "elsewhere")
