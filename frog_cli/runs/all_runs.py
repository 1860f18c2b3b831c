"""All runs in a folder, done or not, as rows of one table."""

from __future__ import annotations

from pathlib import Path

import yaml

from frog_cli.files.csv import Row
from frog_cli.runs import row as rows


def rows_of_folder(parent: Path) -> tuple[list[Row], list[str]]:
    """Return a row for each run in a folder, and why other things in it are none."""
    found, refused = [], []
    for folder in sorted(parent.iterdir()):
        if not (folder / "config.yaml").exists() or folder.name.startswith("quality-"):
            continue
        try:
            found.append(rows.of_run(folder))
        except (ValueError, OSError, yaml.YAMLError) as error:
            refused.append(f"{folder} is not a run of frog: {rows.reason(error)}")
    return found, refused
