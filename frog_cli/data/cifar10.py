"""CIFAR10 through torchvision, which checks the files' MD5 sums: downloaded on request, or an existing root."""

from __future__ import annotations

import torch
from torch import Tensor

from frog_cli.errors import RequestError
from frog_cli.schema import CIFAR10
from frog_cli.torchvision_import import torchvision


def read_cifar10(data: CIFAR10) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return 50 000 training and 10 000 test images `[N, 3, 32, 32]` with their labels.

    Raises:
        RequestError: if the files cannot be downloaded or are damaged.
    """
    try:
        splits = [
            torchvision().datasets.CIFAR10(data.root, train=train, download=data.download) for train in (True, False)
        ]
    except (RuntimeError, OSError) as error:
        raise RequestError(f"data.root={data.root}", f"CIFAR10 cannot be read: {error}") from error
    training, test = (
        (torch.from_numpy(split.data).permute(0, 3, 1, 2), torch.tensor(split.targets)) for split in splits
    )
    return *training, *test
