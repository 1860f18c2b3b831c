"""Tangents for many steps, drawn ahead: one large draw is faster than many small ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from frog_cli.gradients.tangents import Sampler

_ALIGNMENT = 8  # elements: 64 bytes of float64, and a multiple of any vector register in float32
_SAMPLED_AHEAD = 2**17  # elements per seed
_STEPS_AHEAD = 2**10


class TangentStream:
    """An endless stream of tangents `[S, k, n]`, those of each seed independent of the other seeds.

    Drawn for many steps ahead. How many depends on k and n alone, as the numbers do.
    """

    def __init__(self, tangents: Sampler, seeds: Sequence[int], points: Tensor, k: int, after: int):
        n, dtype, device = points.shape[-1], points.dtype, points.device
        self._tangents = tangents
        self._generators = [Generator(device).manual_seed(seed) for seed in seeds]
        self._shape = (min(max(1, _SAMPLED_AHEAD // (k * n)), _STEPS_AHEAD), k, n)
        aligned = -(-k * n // _ALIGNMENT) * _ALIGNMENT
        self._drawn = torch.empty(self._shape[0], len(seeds), aligned, dtype=dtype, device=device)
        self._steps = self._drawn[..., : k * n].unflatten(-1, (k, n)).unbind()
        self._next = self._shape[0]
        for _ in range(-(-after // self._shape[0])):  # what was drawn for the steps before
            self._draw()
        if after % self._shape[0]:
            self._next = after % self._shape[0]

    def peek(self) -> Tensor:
        """Return the next step's tangents without taking them."""
        tangents = next(self)
        self._next -= 1
        return tangents

    def __next__(self) -> Tensor:
        """Return the next step's tangents; their memory is written again many steps later."""
        if self._next == len(self._steps):
            self._draw()
            self._next = 0
        self._next += 1
        return self._steps[self._next - 1]

    def _draw(self) -> None:
        _, k, n = self._shape
        for index, generator in enumerate(self._generators):
            drawn = self._tangents(self._shape, generator, self._drawn.dtype)
            self._drawn[:, index, : k * n] = drawn.flatten(1)
