"""Tangents that are drawn again whenever they are needed, instead of being stored: memory without a factor k.

The idea is that of MeZO (arXiv 2305.17333), here for any number of tangents and for orthogonal projection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from frog_cli.gradients.aggregation import at_least_single
from frog_cli.gradients.tangents import Sampler

BLOCK = 2**14
"""Entries of a tangent that are drawn at a time."""


class RegeneratedTangents:
    """Tangents V `[k, n]` of which any part can be had at any time: each block of each row has a seed of its own."""

    def __init__(self, sampler: Sampler, k: int, n: int, generator: Generator, dtype: torch.dtype):
        """Take the seed of all of V from a generator, which moves on.

        Args:
            sampler: one whose entries are independent of each other, such as `normal` or `rademacher`.
            k: number of tangents.
            n: their dimension.
            generator: the source of randomness.
            dtype: of the tangents.
        """
        self._sampler, self._k, self._n, self._dtype = sampler, k, n, dtype
        # the state is on the host also for a GPU's generator, so that nobody waits for the device
        state = hashlib.blake2b(generator.get_state().numpy().tobytes(), digest_size=7)
        self._seed = int.from_bytes(state.digest(), "big")
        torch.rand(1, generator=generator, device=generator.device)
        self._of_a_block = Generator(generator.device)

    def rows(self, first: int, last: int) -> Tensor:
        """Return the tangents from `first` up to `last`, `[last - first, n]`."""
        rows = torch.empty(last - first, self._n, dtype=self._dtype, device=self._of_a_block.device)
        for block in self._blocks():
            for index, row in enumerate(rows, start=first):
                row[block] = self._drawn(index, block)
        return rows

    def gram(self) -> Tensor:
        """Return V V^T, `[k, k]`, at least in single precision."""
        blocks = (at_least_single(columns) for _, columns in self._columns())
        return sum(columns @ columns.mT for columns in blocks)  # type: ignore[return-value]

    def combined(self, coefficients: Tensor) -> Tensor:
        """Return the combination `[n]` of the tangents with coefficients `[k]`."""
        combination = torch.empty(self._n, dtype=self._dtype, device=self._of_a_block.device)
        for block, columns in self._columns():
            torch.mv(columns.mT, coefficients, out=combination[block])
        return combination

    def _columns(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield V block by block, `[k, BLOCK]`."""
        for block in self._blocks():
            yield block, torch.stack([self._drawn(row, block) for row in range(self._k)])

    def _blocks(self) -> list[slice]:
        return [slice(start, min(start + BLOCK, self._n)) for start in range(0, self._n, BLOCK)]

    def _drawn(self, row: int, block: slice) -> Tensor:
        seed = self._seed + (row * self._n + block.start)  # no two the same
        shape = (1, block.stop - block.start)
        return self._sampler(shape, self._of_a_block.manual_seed(seed), self._dtype).squeeze(0)
