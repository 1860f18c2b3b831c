"""torchvision's ResNet18 as a sequence of layers; arXiv 2410.17764, Section IV-D."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from torch.nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    GroupNorm,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
)
from torch.nn.init import kaiming_normal_

from frog_cli import ideas
from frog_cli.ideas.types import EvenCount, Grouping
from frog_cli.models.image_shape import channels_height_width
from frog_cli.torchvision_import import torchvision

GROUPS = 32
"""Groups of channels, the number that arXiv 1803.08494 found best; fewer where groups would be of one channel."""


@ideas.model
def resnet18(
    image: tuple[int, ...],
    classes: int,
    *,
    grouping: Grouping = "paper",
    norm: Literal["batch", "group"] = "batch",
    width: EvenCount = 64,
) -> Sequential:
    """ResNet18 of torchvision, its first convolution for any number of channels.

    Its parts are grouped to layers, whose outputs are the activities, and initialised as torchvision does.
    Normalisation by groups of channels (arXiv 1803.08494) couples no samples, as that by the batch does in training.

    Args:
        image: the shape `(C, H, W)` of an image.
        classes: the number of classes.
        grouping: the layers; paper: stem, four stages, head; fine: each residual block; coarse: two halves.
        norm: batch: as torchvision's, couples samples; group: in 32 groups of channels, couples none.
        width: channels of the stem and the first stage; each further stage has twice as many as the one before.
    """
    channels = channels_height_width(image, "resnet18")[0]
    norms: dict[str, Callable[[int], Module]] = {"batch": BatchNorm2d, "group": _group_norm}
    norm_of = norms[norm]
    first = Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
    after = [norm_of(width), ReLU(inplace=True), MaxPool2d(kernel_size=3, stride=2, padding=1)]
    stages = [_stage(width * max(1, 2**number // 2), width * 2**number, norm_of) for number in range(4)]
    head = [AdaptiveAvgPool2d((1, 1)), Flatten(), Linear(width * 8, classes)]
    for module in [first, *(module for stage in stages for module in stage.modules())]:
        if isinstance(module, Conv2d):
            kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if channels != 3:
        first = Conv2d(channels, width, kernel_size=7, stride=2, padding=3, bias=False)
        kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
    stem = [first, *after]
    whole: list[list[Module]] = [[stage] for stage in stages]
    blocks: list[list[Module]] = [[block] for stage in stages for block in stage]
    groups: dict[str, list[list[Module]]] = {
        "fine": [stem, *blocks, head],
        "paper": [stem, *whole, head],
        "coarse": [[*stem, *stages[:2]], [*stages[2:], *head]],
    }
    return Sequential(*(Sequential(*group) for group in groups[grouping]))


def _group_norm(channels: int) -> GroupNorm:
    return GroupNorm(math.gcd(GROUPS, channels // 2), channels)


def _stage(entering: int, planes: int, norm: Callable[[int], Module]) -> Sequential:
    """Return two residual blocks; the first halves the sides of the images if it makes more channels of them."""
    basic, stride, shortcut = torchvision().models.resnet.BasicBlock, 1, None
    if planes != entering:
        stride, shortcut = 2, Sequential(Conv2d(entering, planes, 1, 2, bias=False), norm(planes))
    return Sequential(
        basic(entering, planes, stride, shortcut, norm_layer=norm), basic(planes, planes, norm_layer=norm)
    )
