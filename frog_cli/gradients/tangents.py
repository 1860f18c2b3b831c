"""Distributions of tangents: which directions are measured.

Every function samples tangents `[..., k, n]`: k rows of dimension n, for each leading index independently.
They draw from the given generator only, on its device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Generator, Tensor

from frog_cli import ideas
from frog_cli.ideas.types import Angle

Sampler = Callable[[tuple[int, ...], Generator, torch.dtype], Tensor]


@ideas.tangents(unbiased=True, independent_entries=True)
def normal(shape: tuple[int, ...], generator: Generator, dtype: torch.dtype) -> Tensor:
    """Independent standard normal entries: unbiased for sum and mean.

    They are drawn in single precision, which is six times faster on a CPU, and then hold in any precision:
    what is measured along a tangent does not depend on how finely its entries were drawn.
    """
    return torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float32).to(dtype)


@ideas.tangents(unbiased=True, independent_entries=True)
def rademacher(shape: tuple[int, ...], generator: Generator, dtype: torch.dtype) -> Tensor:
    """Independent entries, -1 or 1: unbiased for sum and mean.

    Each is a random bit, so that they take less time to draw than any others.
    """
    count = math.prod(shape)
    words = torch.empty(-(-count // 64), dtype=torch.int64, device=generator.device)
    words.random_(-(2**63), None, generator=generator)
    entries = _signs_of_bytes(dtype, generator.device).index_select(0, words.view(torch.uint8).int())
    return entries.flatten()[:count].view(shape)


@cache
def _signs_of_bytes(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return for each byte what its bits stand for, -1 or 1, `[256, 8]`."""
    bits = torch.arange(256).unsqueeze(1) >> torch.arange(8) & 1
    return (1 - 2 * bits).to(device, dtype)


@ideas.tangents
def normalised(shape: tuple[int, ...], generator: Generator, dtype: torch.dtype) -> Tensor:
    """Normal, scaled to unit length: uniform directions (set W of arXiv 2410.17764)."""
    tangents = normal(shape, generator, dtype)
    return tangents / torch.linalg.vector_norm(tangents, dim=-1, keepdim=True)


@ideas.tangents
def standard_basis(shape: tuple[int, ...], generator: Generator, dtype: torch.dtype) -> Tensor:
    """Unit vectors of random coordinates; beyond k = n the same ones come again."""
    k, n = shape[-2:]
    order = torch.rand(*shape[:-2], n, generator=generator, device=generator.device).argsort(dim=-1)
    coordinates = order[..., torch.arange(k, device=generator.device) % n]
    return torch.zeros(shape, dtype=dtype, device=generator.device).scatter_(-1, coordinates.unsqueeze(-1), 1)


@ideas.tangents(unbiased=True)
def cone(shape: tuple[int, ...], generator: Generator, dtype: torch.dtype, *, angle: Angle = 45) -> Tensor:
    """Normal, all but the first rotated to one angle to the first.

    Each is rotated in the plane that it spans with the first tangent and keeps its length
    (the cone of arXiv 2410.17764, Section IV-C).

    Args:
        shape: `[..., k, n]` with n of at least 2.
        generator: the source of randomness.
        dtype: of the tangents.
        angle: in degrees, in (0, 90].

    Raises:
        ValueError: if n is 1, where every angle is 0 or 180 degrees.
    """
    if shape[-1] < 2:
        raise ValueError("tangents on a cone need at least 2 dimensions")
    tangents = normal(shape, generator, dtype)
    first, others = tangents[..., :1, :], tangents[..., 1:, :]
    axis = first / torch.linalg.vector_norm(first, dim=-1, keepdim=True)
    across = others - (others * axis).sum(-1, keepdim=True) * axis
    across = across / torch.linalg.vector_norm(across, dim=-1, keepdim=True)
    length = torch.linalg.vector_norm(others, dim=-1, keepdim=True)
    radians = math.radians(angle)
    return torch.cat([first, length * (math.cos(radians) * axis + math.sin(radians) * across)], dim=-2)


@ideas.tangents
def normalised_cone(shape: tuple[int, ...], generator: Generator, dtype: torch.dtype, *, angle: Angle = 45) -> Tensor:
    """As `cone`, all of length 1.

    The published learning rates for tangents on a cone (arXiv 2410.17764, Fig. 5) fit these: with the lengths of normal
    tangents they are too large by a factor of about n.
    """
    tangents = cone(shape, generator, dtype, angle=angle)
    return tangents / torch.linalg.vector_norm(tangents, dim=-1, keepdim=True)
