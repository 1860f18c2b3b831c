"""Tangents that are drawn again whenever they are needed, instead of being stored: memory without a factor k.

The idea is that of MeZO (arXiv 2305.17333), here for any number of tangents and for orthogonal projection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import Module

from frog_cli import ideas
from frog_cli.engine.faster_rules import faster_jets
from frog_cli.engine.phases import enter_phase
from frog_cli.gradients.aggregation import at_least_single
from frog_cli.gradients.estimate import ForwardGradient
from frog_cli.gradients.measurement import forward_in_chunks
from frog_cli.gradients.space import Estimate, Measured, SampleLoss, Tensors, without_autocast
from frog_cli.gradients.tangents import Sampler, normal
from frog_cli.gradients.weights import mean_loss, shaped
from frog_cli.modules.calls import parameters_of, take_over
from frog_cli.modules.requirements import check_batch, check_reached_through_modules
from frog_cli.ranks.grid import ONE_RANK, Grid
from frog_cli.ranks.ranks import ALONE, Ranks
from frog_cli.ranks.sharing import Exchange, mean_measured, own_samples, own_share

BLOCK, BLOCK_OF_GPU = 2**14, 2**20
"""Entries of a tangent that are drawn at a time; a GPU takes as long for few as for many."""

LARGEST_OF_GPU = 2**26
"""Entries of all tangents that are in a GPU's memory at a time, at most, as long as blocks need not be smaller."""


@ideas.tangents(unbiased=True, independent_entries=True)
def regenerated(shape: tuple[int, ...], generator: Generator, dtype: torch.dtype) -> Tensor:
    """Normal, drawn again when needed, not stored; gradient.perturb=weights only."""
    return normal(shape, generator, dtype)


def estimate_from_regenerated_weights(
    method: ForwardGradient,
    model: Module,
    loss: SampleLoss,
    inputs: Tensor,
    targets: Tensor,
    generator: Generator,
    grid: Grid = ONE_RANK,
    exchange: Exchange = "slopes",
) -> Estimate:
    """Do the same as `estimate_from_weights`, with tangents that are drawn anew instead of being stored.

    Beside the weights it holds `method.chunk_size` tangents while it measures and the step while it adds them up. Each
    tangent is drawn twice, for a projection three times. For samplers whose entries are independent of each other.
    Ranks that share the tangents draw those that they measure, and then all of them; or, when they exchange steps, of
    all tangents a share of the entries, whose combinations they gather.

    Raises:
        ValueError: if slopes are to be measured otherwise than forward, or the aggregation may depend on the tangents
            otherwise than through V V^T.
    """
    check_batch(inputs)
    if method.measure != "forward":
        raise ValueError(f"regenerated tangents are measured forward, not measure={method.measure!r}")
    if not ideas.trait(method.aggregation, "gram_only", False):
        raise ValueError(
            "regenerated tangents need an aggregation whose coefficients depend on the tangents V through V V^T alone, "
            "which its decorator says with @ideas.aggregation(gram_only=True)"
        )
    parameters = parameters_of(model)
    sizes = [parameter.numel() for parameter in parameters]
    V = RegeneratedTangents(method.tangents, method.k, sum(sizes), generator, parameters[0].dtype)
    own, count = own_share(grid.tangents, method.k)
    own_inputs, own_targets, weight = own_samples(grid.batch, inputs, targets)
    size = method.chunk_size or method.k

    def chunks() -> Iterator[Tensors]:
        for first in range(own.start, own.stop, size):
            enter_phase("tangents")
            rows = shaped(V.rows(first, min(first + size, own.stop)), parameters)
            enter_phase("derivatives")
            yield rows
            del rows  # before there are others

    values = tuple(parameter.detach() for parameter in parameters)
    with faster_jets():
        value, slopes, buffers = forward_in_chunks(mean_loss(model, loss, own_inputs, own_targets), values, chunks)
    value = check_reached_through_modules(value, parameters).detach()
    take_over(model, buffers)
    value, slopes, *_ = mean_measured(Measured(value, slopes), grid.batch, weight)
    slopes = grid.tangents.gathered(slopes[:count], grid.tangents.sizes(method.k))
    enter_phase("aggregation")
    combining = grid.tangents if exchange == "steps" else ALONE
    with without_autocast(slopes.device):
        step = V.combined(_coefficients(method, V, slopes.to(parameters[0].dtype), combining), combining)
    return Estimate(value, tuple(g.view_as(p) for g, p in zip(step.split(sizes), parameters, strict=True)))


def _coefficients(method: ForwardGradient, V: RegeneratedTangents, slopes: Tensor, ranks: Ranks) -> Tensor:
    """Return the coefficients of tangents that are never all there, from their slopes `[k]`."""
    if ideas.trait(method.aggregation, "of_slopes_alone", False):
        stand_in = slopes.new_empty(method.k, 0)
    else:  # coefficients depend on V only through V V^T, which is that of the stand-in, too
        eigenvalues, vectors = torch.linalg.eigh(V.gram(ranks))
        stand_in = vectors * eigenvalues.clamp(min=0).sqrt()
    return method.aggregation(stand_in, slopes.unsqueeze(1)).squeeze(1)


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
        if not ideas.trait(sampler, "independent_entries"):
            raise ValueError(
                "tangents can only be drawn again block by block if their entries are independent, and their sampler "
                "says so with @ideas.tangents(unbiased=True, independent_entries=True)"
            )
        self._sampler, self._k, self._n, self._dtype = sampler, k, n, dtype
        # the state is on the host also for a GPU's generator, so that nobody waits for the device
        self._key = hashlib.blake2b(generator.get_state().numpy().tobytes(), digest_size=16).digest()
        torch.rand(1, generator=generator, device=generator.device)
        self._of_a_block = Generator(generator.device)
        self._block_size = BLOCK
        if generator.device.type != "cpu":
            self._block_size = max(BLOCK, min(BLOCK_OF_GPU, LARGEST_OF_GPU // k))

    def rows(self, first: int, last: int) -> Tensor:
        """Return the tangents from `first` up to `last`, `[last - first, n]`."""
        rows = torch.empty(last - first, self._n, dtype=self._dtype, device=self._of_a_block.device)
        for block in self._blocks():
            for index, row in enumerate(rows, start=first):
                row[block] = self._drawn(index, block)
        return rows

    def gram(self, ranks: Ranks = ALONE) -> Tensor:
        """Return V V^T, `[k, k]`, at least in single precision; each rank draws a share of the entries."""
        own = at_least_single(torch.zeros(self._k, self._k, dtype=self._dtype, device=self._of_a_block.device))
        for _, columns in self._columns(ranks.share(self._number_of_blocks)):
            own = own + at_least_single(columns) @ at_least_single(columns).mT
        return ranks.summed(own)

    def combined(self, coefficients: Tensor, ranks: Ranks = ALONE) -> Tensor:
        """Return the combination `[n]` of the tangents with coefficients `[k]`; each rank draws some of the entries."""
        shares = [self._blocks()[ranks.share(self._number_of_blocks, rank)] for rank in range(ranks.size)]
        sizes = [sum(block.stop - block.start for block in share) for share in shares]
        own = torch.empty(sizes[ranks.rank], dtype=self._dtype, device=self._of_a_block.device)
        start = 0
        for block, columns in self._columns(ranks.share(self._number_of_blocks)):
            torch.mv(columns.mT, coefficients, out=own[start : start + block.stop - block.start])
            start += block.stop - block.start
        return ranks.gathered(own, sizes)

    def _columns(self, share: slice) -> Iterator[tuple[slice, Tensor]]:
        """Yield some blocks of V, `[k, block size]` each, which the next one writes over."""
        blocks = self._blocks()[share]
        held = torch.empty(
            self._k * self._block_size if blocks else 0, dtype=self._dtype, device=self._of_a_block.device
        )
        for block in blocks:
            columns = held[: self._k * (block.stop - block.start)].view(self._k, -1)
            for row, place in enumerate(columns):
                place.copy_(self._drawn(row, block))
            yield block, columns

    @property
    def _number_of_blocks(self) -> int:
        return -(-self._n // self._block_size)

    def _blocks(self) -> list[slice]:
        size = self._block_size
        return [slice(start, min(start + size, self._n)) for start in range(0, self._n, size)]

    def _drawn(self, row: int, block: slice) -> Tensor:
        number = row * self._number_of_blocks + block.start // self._block_size
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
_COUNTS_PER_BLOCK = 2**16  # more than any sampler moves the counter of a GPU's generator by a block's entries
