"""The convolutional network of arXiv 2408.10419, Section 6.3."""

from __future__ import annotations

import torch
from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential

from frog_cli import ideas
from frog_cli.models.image_shape import channels_height_width


@ideas.model
def cnn(image: tuple[int, ...], classes: int) -> Sequential:
    """Two convolutions of 5 x 5, two linear layers; images of at least 16 x 16 pixels.

    On MNIST 431 080 parameters.
    """
    channels, height, width = channels_height_width(image, "cnn", least=16)
    height, width = (((size - 4) // 2 - 4) // 2 for size in (height, width))
    model = Sequential(
        Sequential(Conv2d(channels, 20, 5), ReLU(), MaxPool2d(2)),
        Sequential(Conv2d(20, 50, 5), ReLU(), MaxPool2d(2)),
        Sequential(Flatten(), Linear(50 * height * width, 500), ReLU()),
        Sequential(Linear(500, classes)),
    )
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast on a CPU
