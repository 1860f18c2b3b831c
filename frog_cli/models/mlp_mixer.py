"""MLP-Mixer (Tolstikhin et al. 2021, arXiv 2105.01601), as in the released code of arXiv 2410.17764."""

from __future__ import annotations

from torch import Tensor
from torch.nn import GELU, Conv2d, LayerNorm, Linear, Module, Sequential

from frog_cli import ideas
from frog_cli.errors import RequestError
from frog_cli.ideas.types import Count
from frog_cli.models.image_shape import channels_height_width


class Embedding(Module):
    """Images `[B, C, H, W]` to tokens `[B, patches, hidden]`."""

    def __init__(self, channels: int, patch: int, hidden: int):
        super().__init__()
        self.projection = Conv2d(channels, hidden, kernel_size=patch, stride=patch)

    def forward(self, images: Tensor) -> Tensor:
        """Embed a batch."""
        return self.projection(images).flatten(2).mT


class Mixing(Module):
    """Tokens `[B, patches, hidden]` mixed by a perceptron over patches, then by one over hidden units, with residuals.

    Both see tokens that are normalised.
    """

    def __init__(self, patches: int, hidden: int, token_mlp: int, channel_mlp: int):
        super().__init__()
        self.before_patches, self.before_channels = LayerNorm(hidden), LayerNorm(hidden)
        self.over_patches = _perceptron(patches, token_mlp)
        self.over_channels = _perceptron(hidden, channel_mlp)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix a batch."""
        tokens = tokens + self.over_patches(self.before_patches(tokens).mT).mT
        return tokens + self.over_channels(self.before_channels(tokens))


class Head(Module):
    """Tokens `[B, patches, hidden]` to logits `[B, classes]`, from their mean."""

    def __init__(self, hidden: int, classes: int):
        super().__init__()
        self.norm, self.classify = LayerNorm(hidden), Linear(hidden, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Classify a batch."""
        return self.classify(self.norm(tokens).mean(1))


@ideas.model
def mlp_mixer(
    image: tuple[int, ...],
    classes: int,
    *,
    patch: Count = 4,
    depth: Count = 4,
    hidden: Count = 128,
    token_mlp: Count = 64,
    channel_mlp: Count = 256,
) -> Sequential:
    """MLP-Mixer: perceptrons over patches and over hidden units in turn.

    The embedding is a part of the first layer, the head one of the last.

    Args:
        image: the shape `(C, H, W)` of an image.
        classes: the number of classes.
        patch: pixels of a patch on a side.
        depth: mixer layers.
        hidden: numbers of a token.
        token_mlp: hidden units of the perceptrons over patches.
        channel_mlp: hidden units of the perceptrons over the numbers of a token.

    Raises:
        RequestError: if the patches do not tile the image.
    """
    channels, height, width = channels_height_width(image, "mlp_mixer")
    if height % patch or width % patch:
        raise RequestError(f"model.patch={patch}", f"must divide images of {height} x {width} pixels without rest")
    patches = (height // patch) * (width // patch)
    layers: list[list[Module]] = [[Mixing(patches, hidden, token_mlp, channel_mlp)] for _ in range(depth)]
    layers[0].insert(0, Embedding(channels, patch, hidden))
    layers[-1].append(Head(hidden, classes))
    return Sequential(*(Sequential(*layer) for layer in layers))


def _perceptron(size: int, hidden: int) -> Sequential:
    return Sequential(Linear(size, hidden), GELU(), Linear(hidden, size))
