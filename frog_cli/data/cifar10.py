"""CIFAR10 through torchvision, which checks the files' MD5 sums."""

from __future__ import annotations

import torch
from torch import Tensor

from frog_cli.data.torchvision_data import training_and_test
from frog_cli.settings.schema import CIFAR10


def read_cifar10(data: CIFAR10) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return 50 000 training and 10 000 test images `[N, 3, 32, 32]` with their labels."""
    training, test = (
        (torch.from_numpy(split.data).permute(0, 3, 1, 2), torch.tensor(split.targets))
        for split in training_and_test(data, "CIFAR10")
    )
    return *training, *test
