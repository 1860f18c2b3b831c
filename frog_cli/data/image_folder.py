"""Any images in root/train/CLASS/* and root/test/CLASS/*."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from frog_cli import ideas
from frog_cli.data.dataset import Split
from frog_cli.errors import RequestError
from frog_cli.files.atomic import write_atomically
from frog_cli.files.images import digest
from frog_cli.ideas.types import HeightAndWidth, Root, StandsFor, Word
from frog_cli.torchvision_import import torchvision

_KEYS = "training_images", "training_labels", "test_images", "test_labels"


@ideas.data(validation=0.1)
def image_folder(
    *,
    root: Root = "data",
    variant: Word = "image_folder",
    stands_for: StandsFor = None,
    size: HeightAndWidth | None = None,
) -> tuple[Split, Split, int]:
    """Any images in root/train/CLASS/* and root/test/CLASS/*.

    They are read as RGB, 8 bits a channel, their classes sorted by name. The decoded images are kept as one file in the
    root, or in the user's cache if nothing can be written there, and read from it as long as no image changes. A run is
    known again by the images' names and sizes: with others of the same names and sizes it needs `overwrite=true`.

    Args:
        root: the folder with train/ and test/; FROG_DATA or ./data unless it is given.
        variant: what these images are called in results.
        stands_for: the data set whose learning rates are looked up; results are still called by the variant.
        size: what images are scaled to; null: they must all have one size already.
    """
    del variant, stands_for
    if not Path(root).is_dir():
        raise RequestError(f"data.root={root}", "is no folder")
    images, labels, test_images, test_labels = _read_or_decode(root, size)
    return Split(images, labels), Split(test_images, test_labels), int(labels.max()) + 1


def _read_or_decode(root: str, size: list[int] | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what a cache holds, or decode the images and keep them in one."""
    sides = "x".join(str(side) for side in size or ())
    of_images = digest(root, times=True)
    of_root = hashlib.sha256(f"{Path(root).resolve()} {of_images}".encode()).hexdigest()
    of_user = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "frog").expanduser()
    caches = [
        folder / f"frog-{which[:16]}-{sides or 'unscaled'}.npz"
        for folder, which in ((Path(root), of_images), (of_user, of_root))
    ]
    for cache in caches:
        found = _read_cache(cache)
        if found is not None:
            return found
    decoded = _decode(root, size)
    buffer = io.BytesIO()
    arrays = {key: tensor.numpy() for key, tensor in zip(_KEYS, decoded, strict=True)}
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    for cache in caches:
        try:
            cache.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(cache, buffer.getbuffer())
        except OSError:
            continue
        break
    return decoded


def _read_cache(cache: Path) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Return what a cache holds, None if it is not there or damaged."""
    try:
        with cache.open("rb") as file, np.load(file) as kept:
            images, labels, test_images, test_labels = (torch.from_numpy(kept[key]) for key in _KEYS)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return images, labels, test_images, test_labels


def _decode(root: str, size: list[int] | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Read the image files.

    Raises:
        RequestError: if an image cannot be decoded, or sizes differ and none is given to scale to.
    """
    training, test = (_read(root, split, size) for split in ("train", "test"))
    if training[0].shape[1:] != test[0].shape[1:]:
        raise RequestError("data.size=null", "must be [height,width], because training and test images differ in size")
    return *training, *test


def _read(root: str, split: str, size: list[int] | None) -> tuple[Tensor, Tensor]:
    try:
        found = torchvision().datasets.ImageFolder(f"{root}/{split}", loader=_in_colours)
    except FileNotFoundError as error:
        raise RequestError(f"data.root={root}", f"cannot be read: {error}") from error
    images = []
    for path, _ in found.samples:
        try:
            image = found.loader(path)
        except (OSError, SyntaxError, ValueError) as error:
            raise RequestError(f"data.root={root}", f"{path} cannot be decoded: {error}") from error
        if size is not None:
            image = image.resize((size[1], size[0]))
        images.append(torch.from_numpy(np.array(image)).permute(2, 0, 1))
        if images[-1].shape != images[0].shape:
            raise RequestError("data.size=null", f"must be [height,width], because {path} has another size")
    return torch.stack(images), torch.tensor(found.targets)


def _in_colours(path: str) -> Image.Image:
    """Read an image as RGB.

    Raises:
        ValueError: if its brightness has more than 8 bits, which would all become white.
    """
    with Image.open(path) as image:
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"has more than 8 bits a channel (mode {image.mode}); convert it to 8")
        return image.convert("RGB")
