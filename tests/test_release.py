"""What a release consists of, as an index of packages would take it."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


def test_the_changelog_begins_with_the_version_that_is_installed():
    newest = re.search(r"^## (\S+)", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version("frog-cli")
    assert f"version: {newest[1]}\n" in (PROJECT / "CITATION.cff").read_text()


@pytest.mark.slow
def test_wheel_and_source_are_complete_and_their_readme_renders(tmp_path):
    def carry_out(*words: str) -> None:
        subprocess.run([sys.executable, "-m", *words], cwd=PROJECT, check=True, timeout=300)

    carry_out("build", "--quiet", "--outdir", str(tmp_path))  # the wheel from the source
    source, wheel = next(tmp_path.glob("*.tar.gz")), next(tmp_path.glob("*.whl"))
    carry_out("twine", "check", "--strict", str(source), str(wheel))
    with tarfile.open(source) as opened:
        in_source = {name.partition("/")[2] for name in opened.getnames()}
    assert {"LICENSE", "README.md", "conf/train.yaml", "tests/cases.py", "docs/ideas.md", "Makefile"} <= in_source
    assert not [name for name in in_source if name.startswith("results")]
    with zipfile.ZipFile(wheel) as opened:
        in_wheel = set(opened.namelist())
    assert {"frog_cli/py.typed", "frog_cli/conf/train.yaml", "frog_cli/data/digits.csv.gz"} <= in_wheel
    assert not [name for name in in_wheel if name.startswith("tests")]
