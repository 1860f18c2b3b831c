"""CIFAR10 and CIFAR100 through torchvision, which checks the files' MD5 sums."""

from __future__ import annotations

import torch

from frog_cli import ideas
from frog_cli.data.dataset import Split
from frog_cli.data.torchvision_data import training_and_test
from frog_cli.ideas.types import Download, Root


@ideas.data(validation=10000)
def cifar10(*, root: Root = "data", download: Download = False) -> tuple[Split, Split, int]:
    """50 000 + 10 000 colour photographs of 32 x 32 pixels, in torchvision's layout."""
    return *_splits("CIFAR10", root, download), 10


@ideas.data(validation=10000)
def cifar100(*, root: Root = "data", download: Download = False) -> tuple[Split, Split, int]:
    """50 000 + 10 000 photographs of 100 classes, 32 x 32, in torchvision's layout."""
    return *_splits("CIFAR100", root, download), 100


def _splits(name: str, root: str, download: bool) -> tuple[Split, Split]:
    training, test = (
        Split(torch.from_numpy(split.data).permute(0, 3, 1, 2), torch.tensor(split.targets))
        for split in training_and_test(name, root, download)
    )
    return training, test
