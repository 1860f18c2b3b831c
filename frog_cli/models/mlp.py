"""The multilayer perceptron of arXiv 2410.17764, Section IV-D."""

from __future__ import annotations

import math
from itertools import pairwise

from torch.nn import Flatten, Linear, ReLU, Sequential

from frog_cli.settings.schema import MLP


def mlp(options: MLP, image: tuple[int, ...], classes: int) -> Sequential:
    """Return a perceptron for images `(C, H, W)`; each layer is a linear map with the ReLU that follows it."""
    widths = [math.prod(image), *[options.width] * options.depth]
    hidden = [Sequential(Linear(fan_in, fan_out), ReLU()) for fan_in, fan_out in pairwise(widths)]
    layers = [*hidden, Sequential(Linear(widths[-1], classes))]
    layers[0].insert(0, Flatten())
    return Sequential(*layers)
