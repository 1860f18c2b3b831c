"""Data sets as tensors that stay on the device: read once, validation images held out, channels normalised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from frog_cli.data.cifar10 import read_cifar10
from frog_cli.data.digits import read_digits
from frog_cli.data.image_folder import read_image_folder
from frog_cli.data.mnist import read_mnist
from frog_cli.errors import RequestError
from frog_cli.settings.schema import CIFAR10, MNIST, Digits, ImageFolder

READERS: dict[str, Callable[[Any], tuple[Tensor, Tensor, Tensor, Tensor]]] = {
    "digits": read_digits,
    "mnist": read_mnist,
    "cifar10": read_cifar10,
    "image_folder": read_image_folder,
}
"""Each returns training images `[N, C, H, W]` (uint8), their labels `[N]`, test images and test labels."""

_SPLIT_SEED = 0  # the held-out images are the same for every seed of a run


class Split(NamedTuple):
    """Images `[N, C, H, W]`, normalised, and their labels `[N]`."""

    images: Tensor
    labels: Tensor


class ImageData(NamedTuple):
    """The three splits of a data set, and the number of its classes."""

    training: Split
    validation: Split
    test: Split
    classes: int


def load(data: Digits | MNIST | CIFAR10 | ImageFolder, device: torch.device) -> ImageData:
    """Read a data set, hold out its validation images and normalise all by the training images.

    Each channel is shifted and scaled to mean 0 and standard deviation 1 over the training split.

    Raises:
        RequestError: if the validation split would leave nothing to train on.
    """
    images, labels, test_images, test_labels = READERS[data.name](data)
    held_out_count = 0
    if data.validation != "test":
        share = isinstance(data.validation, float)
        held_out_count = max(1, round(data.validation * len(images))) if share else int(data.validation)
    if held_out_count >= len(images):
        raise RequestError(f"data.validation={data.validation}", f"must be below the {len(images)} training images")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(_SPLIT_SEED))
    held_out, kept = order[:held_out_count][: data.limit], order[held_out_count:][: data.limit]
    if data.limit is not None:  # any test images: they may lie in the order of their classes
        some = torch.randperm(len(test_images), generator=torch.Generator().manual_seed(_SPLIT_SEED))[: data.limit]
        test_images, test_labels = test_images[some], test_labels[some]
    mean, deviation = _channel_statistics(images[kept])

    def split(images: Tensor, labels: Tensor) -> Split:
        return Split(images.to(torch.float32).sub_(mean).div_(deviation).to(device), labels.to(device))

    test = split(test_images, test_labels)
    return ImageData(
        training=split(images[kept], labels[kept]),
        validation=test if data.validation == "test" else split(images[held_out], labels[held_out]),
        test=test,
        classes=int(labels.max()) + 1,
    )


def _channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation `[C, 1, 1]` of uint8 images, exactly: from counts of the 256 grey levels."""
    grey = torch.arange(256, dtype=torch.float64)
    counts = torch.stack([images[:, channel].flatten().bincount(minlength=256) for channel in range(images.shape[1])])
    counts = counts.to(torch.float64)
    shares = counts / counts.sum(1, keepdim=True)
    mean = shares @ grey
    deviation = (shares @ grey.square() - mean.square()).sqrt().clamp(min=1)  # a blank channel stays blank
    return mean.float().reshape(-1, 1, 1), deviation.float().reshape(-1, 1, 1)
