"""MNIST through torchvision."""

from __future__ import annotations

from torch import Tensor

from frog_cli.data.torchvision_data import training_and_test
from frog_cli.settings.schema import MNIST


def read_mnist(data: MNIST) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return 60 000 training and 10 000 test images `[N, 1, 28, 28]` with their labels."""
    training, test = ((split.data.unsqueeze(1), split.targets) for split in training_and_test(data, "MNIST"))
    return *training, *test
