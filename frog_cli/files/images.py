"""Which images are in a folder, and what tells them from others."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePath

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"}
_NOT_COMPRESSED = {".bmp", ".pgm", ".ppm", ".tif", ".tiff"}


def digest(root: str, times: bool = False) -> str:
    """Return a hash of the names and sizes of all images, and of their times of modification if asked for.

    Of images that are not compressed, whose size says nothing, the content counts. Links to folders are followed where
    images are read from: in train/ and test/.
    """
    found = []
    for name, path, stat in _images(root, "", follows=False, above=()):
        told: list[int | str] = [stat.st_size, stat.st_mtime_ns if times else 0]
        if not times and PurePath(name).suffix.lower() in _NOT_COMPRESSED:
            told.append(hashlib.sha256(Path(path).read_bytes()).hexdigest())
        found.append((name, *told))
    return hashlib.sha256(repr(sorted(found)).encode()).hexdigest()


def _images(
    folder: str, name: str, follows: bool, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, str, os.stat_result]]:
    """Yield the images below a folder, each with its path from the first one, and from here.

    Args:
        folder: which one.
        name: its path from the first one, whose own name is empty.
        follows: whether links to folders are followed.
        above: the folders that it is in, which a link may lead back to.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            below = f"{name}{entry.name}"
            if PurePath(entry.name).suffix.lower() in IMAGE_SUFFIXES:
                yield below, entry.path, entry.stat()
            in_split = follows or (not name and entry.name in ("train", "test"))
            if entry.is_dir(follow_symlinks=in_split):
                place = entry.stat().st_dev, entry.stat().st_ino
                if place not in above:
                    yield from _images(entry.path, f"{below}/", in_split, (*above, place))
