"""torchvision's ResNet18 as a sequence of layers; arXiv 2410.17764, Section IV-D."""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch.nn import BatchNorm2d, Conv2d, Flatten, GroupNorm, Module, Sequential
from torch.nn.init import kaiming_normal_

from frog_cli import ideas
from frog_cli.ideas.types import Grouping
from frog_cli.models.image_shape import channels_height_width
from frog_cli.torchvision_import import torchvision

GROUPS = 32
"""Groups of channels, the number that arXiv 1803.08494 found best."""


@ideas.model
def resnet18(
    image: tuple[int, ...], classes: int, *, grouping: Grouping = "paper", norm: Literal["batch", "group"] = "batch"
) -> Sequential:
    """ResNet18 of torchvision, its first convolution for any number of channels.

    Its parts are grouped to layers, whose outputs are the activities, and initialised as torchvision does.
    Normalisation by groups of channels (arXiv 1803.08494) couples no samples, as that by the batch does in training.

    Args:
        image: the shape `(C, H, W)` of an image.
        classes: the number of classes.
        grouping: the layers; paper: stem, four stages, head; fine: each residual block; coarse: two halves.
        norm: batch: as torchvision's, couples samples; group: in 32 groups of channels, couples none.
    """
    channels = channels_height_width(image, "resnet18")[0]
    norms = {"batch": BatchNorm2d, "group": partial(GroupNorm, GROUPS)}
    network = torchvision().models.resnet18(num_classes=classes, norm_layer=norms[norm])
    if channels != 3:
        network.conv1 = Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    stem = [network.conv1, network.bn1, network.relu, network.maxpool]
    stages = [network.layer1, network.layer2, network.layer3, network.layer4]
    head = [network.avgpool, Flatten(), network.fc]
    groups: dict[str, list[list[Module]]] = {
        "fine": [stem, *([block] for stage in stages for block in stage), head],
        "paper": [stem, *([stage] for stage in stages), head],
        "coarse": [[*stem, *stages[:2]], [*stages[2:], *head]],
    }
    return Sequential(*(Sequential(*group) for group in groups[grouping]))
