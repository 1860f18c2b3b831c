"""frog plot."""

from pathlib import Path

from frog_cli.targets import Target


def draw(target: Target, place: Path) -> list[Path]:
    return []
