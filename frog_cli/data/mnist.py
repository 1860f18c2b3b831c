"""MNIST through torchvision: downloaded on request, or an existing root."""

from __future__ import annotations

from torch import Tensor

from frog_cli.errors import RequestError
from frog_cli.schema import MNIST
from frog_cli.torchvision_import import torchvision


def read_mnist(data: MNIST) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return 60 000 training and 10 000 test images `[N, 1, 28, 28]` with their labels.

    Raises:
        RequestError: if the files cannot be downloaded or are damaged.
    """
    try:
        splits = [
            torchvision().datasets.MNIST(data.root, train=train, download=data.download) for train in (True, False)
        ]
    except (RuntimeError, OSError, AssertionError, ValueError) as error:
        raise RequestError(f"data.root={data.root}", f"MNIST cannot be read: {error}") from error
    training, test = ((split.data.unsqueeze(1), split.targets) for split in splits)
    return *training, *test
