"""LeNet-5 (LeCun et al. 1998) with ReLU and max-pooling, as in the released code of arXiv 2410.17764."""

from __future__ import annotations

from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential

from frog_cli import ideas
from frog_cli.models.image_shape import channels_height_width


@ideas.model
def lenet5(image: tuple[int, ...], classes: int) -> Sequential:
    """LeNet-5: two convolutions of 5 x 5, three linear layers.

    For images of at least 12 x 12 pixels. On MNIST 61 706 parameters. Each layer ends with its nonlinearity, or the
    pooling behind it.
    """
    channels, height, width = channels_height_width(image, "lenet5", least=12)
    height, width = ((size // 2 - 4) // 2 for size in (height, width))
    return Sequential(
        Sequential(Conv2d(channels, 6, 5, padding=2), ReLU(), MaxPool2d(2)),
        Sequential(Conv2d(6, 16, 5), ReLU(), MaxPool2d(2)),
        Sequential(Flatten(), Linear(16 * height * width, 120), ReLU()),
        Sequential(Linear(120, 84), ReLU()),
        Sequential(Linear(84, classes)),
    )
