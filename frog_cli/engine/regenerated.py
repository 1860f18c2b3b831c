"""Tangents that are drawn again whenever they are needed, instead of being stored: memory without a factor k.

The idea is that of MeZO (arXiv 2305.17333), here for any number of tangents and for orthogonal projection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Generator, Tensor

from frog_cli.gradients.aggregation import at_least_single
from frog_cli.gradients.tangents import Sampler, cone, normalised, normalised_cone, standard_basis

BLOCK = 2**14
"""Entries of a tangent that are drawn at a time."""


_DEPENDENT = normalised, standard_basis, cone, normalised_cone


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

        Raises:
            ValueError: if the entries depend on each other.
        """
        if getattr(sampler, "func", sampler) in _DEPENDENT:
            raise ValueError("tangents can only be drawn again block by block if their entries are independent")
        self._sampler, self._k, self._n, self._dtype = sampler, k, n, dtype
        # the state is on the host also for a GPU's generator, so that nobody waits for the device
        self._key = hashlib.blake2b(generator.get_state().numpy().tobytes(), digest_size=16).digest()
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
        number = row * -(-self._n // BLOCK) + block.start // BLOCK
        shape = (1, block.stop - block.start)
        return self._sampler(shape, seeded(self._of_a_block, self._key, number), self._dtype).squeeze(0)


def seeded(generator: Generator, key: bytes, number: int) -> Generator:
    """Return a generator after giving it a state of its own for each key and number.

    A CPU's generator keeps 32 bits of a seed, too few for all blocks of all steps: all of its state is made anew. That
    of a CUDA device counts what was drawn, far enough apart here that no two blocks of a step meet.

    Args:
        generator: whose state is set.
        key: 16 bytes, such as a step has of its own.
        number: of a block of that step, below 2^48.
    """
    if generator.device.type == "cpu":
        state = _FRESH_STATE.clone()
        digest = hashlib.shake_128(key + number.to_bytes(8, "little")).digest(4 * _WORDS)
        state[_WORDS_AT : _WORDS_AT + 8 * _WORDS].numpy().view(np.uint64)[:] = np.frombuffer(digest, "<u4")
        generator.set_state(state)
    else:
        generator.manual_seed(int.from_bytes(key[:8], "little"))
        generator.set_offset(_COUNTS_PER_BLOCK * number)
    return generator


_FRESH_STATE = Generator().manual_seed(0).get_state()
_WORDS = 624  # of 32 bits in the state of the Mersenne twister
_WORDS_AT = 24  # where they begin in torch's description of it, each in 8 bytes
_COUNTS_PER_BLOCK = 64  # more than any sampler moves the counter of a GPU's generator by BLOCK entries
