"""results/README.md."""

from pathlib import Path


def write(place: Path, scale: str) -> Path:
    return place / "README.md"
