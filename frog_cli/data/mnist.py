"""MNIST and Fashion-MNIST through torchvision."""

from __future__ import annotations

from frog_cli import ideas
from frog_cli.data.dataset import Split
from frog_cli.data.torchvision_data import training_and_test
from frog_cli.ideas.types import Download, Root


@ideas.data(validation=10000)
def mnist(*, root: Root = "data", download: Download = False) -> tuple[Split, Split, int]:
    """60 000 + 10 000 handwritten digits of 28 x 28 pixels, in torchvision's layout."""
    return *_splits("MNIST", root, download), 10


@ideas.data(validation=10000)
def fashion_mnist(*, root: Root = "data", download: Download = False) -> tuple[Split, Split, int]:
    """60 000 + 10 000 pictures of clothes, 28 x 28 pixels, in torchvision's layout."""
    return *_splits("FashionMNIST", root, download), 10


def _splits(name: str, root: str, download: bool) -> tuple[Split, Split]:
    training, test = (
        Split(split.data.unsqueeze(1), split.targets) for split in training_and_test(name, root, download)
    )
    return training, test
