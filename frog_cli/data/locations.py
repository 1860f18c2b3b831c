"""Whether a run's data are where its settings say, before torch is imported."""

from __future__ import annotations

from pathlib import Path

from frog_cli.errors import RequestError
from frog_cli.files.images import IMAGE_SUFFIXES, digest
from frog_cli.settings.schema import Data

_OF_MNIST = [f"{split}-{part}-ubyte" for split in ("train", "t10k") for part in ("images-idx3", "labels-idx1")]
_OF_CIFAR10 = ["batches.meta", "test_batch", *(f"data_batch_{number}" for number in range(1, 6))]
FILES = {
    "cifar10": [f"cifar-10-batches-py/{name}" for name in _OF_CIFAR10],
    "cifar100": [f"cifar-100-python/{name}" for name in ("meta", "test", "train")],
    "mnist": [f"MNIST/raw/{name}" for name in _OF_MNIST],
    "fashion_mnist": [f"FashionMNIST/raw/{name}" for name in _OF_MNIST],
    "svhn": [f"{split}_32x32.mat" for split in ("train", "test")],
}
"""What torchvision reads of the data sets that it can download, below a data root."""


def check(data: Data) -> None:
    """Refuse settings whose data are not there, as far as they are frog's own.

    Raises:
        RequestError: naming the folder and what is missing in it.
    """
    if data.from_outside:
        return
    root = str(data.options.get("root"))
    if data.name in FILES and not data.options["download"]:
        missing = [name for name in FILES[data.name] if not Path(root, name).is_file()]
        if missing:
            raise RequestError(
                f"data.root={root}",
                f"no {missing[0]} in it; set data.root or FROG_DATA to a folder that has {data.name}, "
                "or data.download=true",
            )
    if data.name == "image_folder":
        train, test = (_classes(root, split) for split in ("train", "test"))
        if train != test:
            odd = sorted(train ^ test)[0]
            raise RequestError(f"data.root={root}", f"train and test need the same classes, {odd} is in one only")


def content(data: Data) -> dict[str, str]:
    """Return what tells the files of one data set from those of another, where its settings do not."""
    return {"files": digest(data.options["root"])} if data.name == "image_folder" and not data.from_outside else {}


def class_names(data: Data) -> list[str] | None:
    """Return what the classes of a folder of images are called, in the order of their labels; None of other data."""
    if data.name != "image_folder" or data.from_outside:
        return None
    return sorted(_classes(str(data.options["root"]), "train"))


def _classes(root: str, name_of_split: str) -> set[str]:
    """Return the classes of a split, each of which must hold an image."""
    split = Path(root, name_of_split)
    classes = {path.name for path in split.iterdir() if path.is_dir()} if split.is_dir() else set()
    if not classes:
        raise RequestError(f"data.root={root}", f"no folder {split}/CLASS with images")
    for name in sorted(classes):
        if not any(path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() for path in (split / name).iterdir()):
            raise RequestError(f"data.root={root}", f"no images in {split / name}")
    return classes
