"""A vision transformer of torchvision's building blocks, as a sequence of layers; arXiv 2410.17764, Section IV-D."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import Conv2d, Module, Sequential
from torch.nn.init import trunc_normal_, zeros_

from frog_cli import ideas
from frog_cli.errors import RequestError
from frog_cli.ideas.types import Count, Grouping, Share
from frog_cli.jets.attention import self_attention
from frog_cli.models.image_shape import channels_height_width
from frog_cli.torchvision_import import torchvision


class Embedding(Module):
    """Images `[B, C, H, W]` to tokens `[B, 1 + patches, hidden]`, the class token first, with their positions."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.projection = network.conv_proj
        self.class_token = network.class_token
        self.positions = network.encoder.pos_embedding
        self.dropout = network.encoder.dropout

    def forward(self, images: Tensor) -> Tensor:
        """Embed a batch."""
        patches = self.projection(images).flatten(2).mT
        tokens = torch.cat([self.class_token.expand(len(images), -1, -1), patches], dim=1)
        return self.dropout(tokens + self.positions)


class Head(Module):
    """Tokens `[B, 1 + patches, hidden]` to logits `[B, classes]`, from the class token."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.norm = network.encoder.ln
        self.classify = network.heads

    def forward(self, tokens: Tensor) -> Tensor:
        """Classify a batch."""
        return self.classify(self.norm(tokens)[:, 0])


class Attention(Module):
    """The first half of torchvision's encoder layer: attention with a residual connection.

    `torch.nn.MultiheadAttention` holds the weights, but tokens stay where they are in memory, with the batch first.
    Only the first tokens that are `kept` attend, to all of them, and are returned.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.norm, self.attention, self.dropout = block.ln_1, block.self_attention, block.dropout
        self.kept: int | None = None

    def forward(self, tokens: Tensor) -> Tensor:
        """Attend."""
        attention = self.attention
        weights = attention.in_proj_weight, attention.in_proj_bias
        dropout = attention.dropout if self.training else 0.0
        attended = self_attention(self.norm(tokens), *weights, attention.num_heads, self.kept, dropout)
        return tokens[:, : self.kept] + self.dropout(attention.out_proj(attended))


class FeedForward(Module):
    """The second half of torchvision's encoder layer: a perceptron with a residual connection, for each token.

    Only the first tokens that are `kept` are transformed, and returned.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.norm, self.perceptron = block.ln_2, block.mlp
        self.kept: int | None = None

    def forward(self, tokens: Tensor) -> Tensor:
        """Transform each token."""
        kept = tokens[:, : self.kept]
        return kept + self.perceptron(self.norm(kept))


@ideas.model
def vit(
    image: tuple[int, ...],
    classes: int,
    *,
    patch: Count = 4,
    depth: Count = 6,
    heads: Count = 4,
    hidden: Count = 256,
    mlp: Count = 512,
    dropout: Share = 0.0,
    grouping: Grouping = "paper",
) -> Sequential:
    """The vision transformer of the first paper, from torchvision's building blocks.

    Its parts are grouped to layers, whose outputs are the activities, with the embedding in the first and the head in
    the last, and initialised as torchvision does.

    Args:
        image: the shape `(C, H, H)` of an image.
        classes: the number of classes.
        patch: pixels of a patch on a side.
        depth: encoder layers.
        heads: heads of attention in each encoder layer.
        hidden: numbers of a token.
        mlp: hidden units of each encoder layer's perceptron.
        dropout: share of numbers that training sets to zero.
        grouping: the layers; paper: the encoder layers; fine: attention and perceptron apart; coarse: pairs of encoder
            layers.

    Raises:
        RequestError: if the patches do not tile the image or the heads do not share the hidden units.
    """
    channels, height, width = channels_height_width(image, "vit")
    if height != width or height % patch:
        raise RequestError(f"model.patch={patch}", f"must divide square images without rest, not {height} x {width}")
    if hidden % heads:
        raise RequestError(f"model.heads={heads}", f"must divide model.hidden={hidden}")
    network = torchvision().models.VisionTransformer(
        image_size=height,
        patch_size=patch,
        num_layers=depth,
        num_heads=heads,
        hidden_dim=hidden,
        mlp_dim=mlp,
        dropout=dropout,
        attention_dropout=dropout,
        num_classes=classes,
    )
    if channels != 3:
        network.conv_proj = Conv2d(channels, hidden, kernel_size=patch, stride=patch)
        trunc_normal_(network.conv_proj.weight, std=math.sqrt(1 / (channels * patch**2)))
        zeros_(network.conv_proj.bias)
    halves = [half for block in network.encoder.layers for half in (Attention(block), FeedForward(block))]
    together = {"fine": 1, "paper": 2, "coarse": 4}[grouping]
    halves[-min(together, 2)].kept = 1  # the class token, which alone is classified, from within the last layer
    layers: list[list[Module]] = [[*halves[first : first + together]] for first in range(0, len(halves), together)]
    layers[0].insert(0, Embedding(network))
    layers[-1].append(Head(network))
    return Sequential(*(Sequential(*layer) for layer in layers))
