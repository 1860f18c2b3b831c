"""The multilayer perceptron of arXiv 2410.17764, Section IV-D."""

from __future__ import annotations

import math
from itertools import pairwise

from torch.nn import Flatten, Linear, ReLU, Sequential

from frog_cli import ideas
from frog_cli.ideas.types import Count


@ideas.model
def mlp(image: tuple[int, ...], classes: int, *, width: Count = 256, depth: Count = 2) -> Sequential:
    """A multilayer perceptron: linear layers with ReLU between them.

    Each layer is a linear map with the ReLU that follows it.

    Args:
        image: the shape of an image, any.
        classes: the number of classes.
        width: units per hidden layer.
        depth: hidden layers.
    """
    widths = [math.prod(image), *[width] * depth]
    hidden = [Sequential(Linear(fan_in, fan_out), ReLU()) for fan_in, fan_out in pairwise(widths)]
    layers = [*hidden, Sequential(Linear(widths[-1], classes))]
    layers[0].insert(0, Flatten())
    return Sequential(*layers)
