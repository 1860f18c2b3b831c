"""Whether a run's data are where its settings say, and a digest of image folders, both before torch is imported."""

from __future__ import annotations

import hashlib
from pathlib import Path

from frog_cli.errors import RequestError
from frog_cli.settings.schema import CIFAR10, MNIST, Digits, ImageFolder

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"}
_FILES = {
    "mnist": [
        f"MNIST/raw/{split}-{part}-ubyte" for split in ("train", "t10k") for part in ("images-idx3", "labels-idx1")
    ],
    "cifar10": [
        f"cifar-10-batches-py/{name}"
        for name in ("batches.meta", "test_batch", *(f"data_batch_{number}" for number in range(1, 6)))
    ],
}
"""What torchvision reads, below a data root."""


def check(data: Digits | MNIST | CIFAR10 | ImageFolder) -> None:
    """Refuse settings whose data are not there.

    Raises:
        RequestError: naming the folder and what is missing in it.
    """
    if isinstance(data, MNIST | CIFAR10) and not data.download:
        missing = [name for name in _FILES[data.name] if not Path(data.root, name).is_file()]
        if missing:
            raise RequestError(
                f"data.root={data.root}",
                f"no {missing[0]} in it; set data.root or FROG_DATA to a folder that has {data.name}, "
                "or data.download=true",
            )
    if isinstance(data, ImageFolder):
        train, test = (_classes(Path(data.root, split), data) for split in ("train", "test"))
        if train != test:
            odd = sorted(train ^ test)[0]
            raise RequestError(f"data.root={data.root}", f"train and test need the same classes, {odd} is in one only")


def digest(data: ImageFolder, times: bool = False) -> str:
    """Return a hash of the names and sizes of all images, and of their times of modification if asked for."""
    found = ((path, path.stat()) for path in Path(data.root).rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    files = sorted(
        (path.relative_to(data.root).as_posix(), stat.st_size, stat.st_mtime_ns if times else 0) for path, stat in found
    )
    return hashlib.sha256(repr(files).encode()).hexdigest()


def _classes(split: Path, data: ImageFolder) -> set[str]:
    """Return the classes of a split, each of which must hold an image."""
    classes = {path.name for path in split.iterdir() if path.is_dir()} if split.is_dir() else set()
    if not classes:
        raise RequestError(f"data.root={data.root}", f"no folder {split}/CLASS with images")
    for name in sorted(classes):
        if not any(path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() for path in (split / name).iterdir()):
            raise RequestError(f"data.root={data.root}", f"no images in {split / name}")
    return classes
