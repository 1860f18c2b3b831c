"""The larger convolutional network of the second paper's released code, with normalisation that couples no samples."""

from __future__ import annotations

from itertools import pairwise

from torch.nn import Conv2d, Dropout, Flatten, GroupNorm, Linear, MaxPool2d, Module, ReLU, Sequential

from frog_cli import ideas
from frog_cli.ideas.types import Share
from frog_cli.models.image_shape import channels_height_width

_CHANNELS = 32, 64, 128  # of the three blocks


@ideas.model
def cnn_cifar10(image: tuple[int, ...], classes: int, *, dropout: Share = 0.5) -> Sequential:
    """Six convolutions with layer normalisation, two linear layers with dropout.

    For images of at least 8 x 8 pixels. The CNN for CIFAR10 of the code released with arXiv 2408.10419, where the
    samples of a batch normalise each other; here each sample's channels and pixels are normalised together, as a group
    normalisation of one group does. On CIFAR10 2 396 330 parameters.

    Args:
        image: the shape `(C, H, W)` of an image.
        classes: the number of classes.
        dropout: share of numbers that training sets to zero before each linear layer.
    """
    channels, height, width = channels_height_width(image, "cnn_cifar10", least=8)
    blocks = [_block(*of_block) for of_block in pairwise((channels, *_CHANNELS))]
    features = _CHANNELS[-1] * (height // 8) * (width // 8)
    return Sequential(
        *blocks,
        Sequential(Flatten(), Dropout(dropout), Linear(features, 1024), ReLU()),
        Sequential(Dropout(dropout), Linear(1024, classes)),
    )


def _block(entering: int, leaving: int) -> Module:
    """Return two normalised convolutions, and pooling that halves the sides."""
    first, second = (Conv2d(channels, leaving, 3, padding=1) for channels in (entering, leaving))
    norms = [GroupNorm(1, leaving) for _ in range(2)]
    return Sequential(first, norms[0], ReLU(), second, norms[1], ReLU(), MaxPool2d(2))
