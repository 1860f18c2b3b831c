"""Exchanges among ranks: what they gather, add up, agree on and compare; one process alone needs none of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from frog_cli.errors import RankLostError
from frog_cli.ranks.telling import FirstTells, Value
from frog_cli.ranks.watch import Watch

NO_LIMIT = timedelta(days=365)
"""How long an exchange may take: those that hang are ended by the watch."""

_HASHED_AT_A_TIME = 2**20


class Ranks(FirstTells):
    """Which rank this is, of how many, and what they exchange; by default the only one.

    Every method but `share` and `sizes` must be called by all ranks, in the same order.

    Attributes:
        rank: of this process, from 0.
        size: the number of ranks.
        exchanged: bytes of the results of all exchanges of tensors so far.
    """

    def __init__(
        self, rank: int = 0, size: int = 1, group: dist.ProcessGroup | None = None, watch: Watch | None = None
    ):
        self.rank, self.size, self.exchanged = rank, size, 0
        self._group, self._watch = group, watch
        self._parts: dict[tuple[int, ...], Ranks] = {}
        self._asked: tuple[Tensor, Any] | None = None  # the exchange that the last `agreed` began

    def share(self, total: int, rank: int | None = None) -> slice:
        """Return which of so many things a rank has: neighbours, as many as other ranks have, or one more or less."""
        rank = self.rank if rank is None else rank
        return slice(rank * total // self.size, (rank + 1) * total // self.size)

    def sizes(self, total: int) -> list[int]:
        """Return how many of so many things each rank has."""
        return [len(range(total)[self.share(total, rank)]) for rank in range(self.size)]

    def gathered(self, own: Tensor, sizes: Sequence[int]) -> Tensor:
        """Return the rows of all ranks, in their order.

        Args:
            own: this rank's rows, `[sizes[rank], ...]`.
            sizes: the number of rows of each rank.
        """
        if self.size == 1:
            return own
        missing = max(sizes) - len(own)
        padded = torch.cat([own, own.new_zeros(missing, *own.shape[1:])]) if missing else own.contiguous()
        found = self._of_all(padded)
        self.exchanged += sum(sizes) * padded[0].nbytes
        return torch.cat([rows[:size] for rows, size in zip(found, sizes, strict=True)])

    def summed(self, own: Tensor) -> Tensor:
        """Return the sum over the ranks, in their order, of tensors that are small."""
        if self.size == 1:
            return own
        first, *others = self._of_all(own.contiguous())
        self.exchanged += self.size * own.nbytes
        return sum(others, start=first)

    def reduced(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the sums over the ranks of tensors that may be large, in an order of torch's own."""
        if self.size == 1:
            return tuple(tensors)
        joined = torch.cat([tensor.flatten() for tensor in tensors])
        there = _reachable(joined)
        with self._telling_who_is_lost():
            dist.all_reduce(there, group=self._group)
        self.exchanged += joined.nbytes
        parts = there.to(joined.device).split([tensor.numel() for tensor in tensors])
        return tuple(part.view_as(tensor).to(tensor.dtype) for part, tensor in zip(parts, tensors, strict=True))

    def _told(self, by_first: tuple[Any, bool]) -> tuple[Any, bool]:
        if self.size == 1:
            return by_first
        told = list(by_first)
        with self._telling_who_is_lost():
            dist.broadcast_object_list(told, group_src=0, group=self._group)
        value, refused = told
        return value, refused

    def agreed(self, number: int) -> int:
        """Return the largest number that any rank gave when all were asked the time before; 0 the first time.

        The numbers travel while all go on, so that nobody waits for them.
        """
        if self.size == 1:
            return number
        with self._telling_who_is_lost():
            if self._asked is not None:
                self._asked[1].wait()
            before = 0 if self._asked is None else int(self._asked[0])
            largest = torch.tensor(number)
            self._asked = largest, dist.all_reduce(largest, dist.ReduceOp.MAX, self._group, async_op=True)
        return before

    def objects(self, own: Value) -> list[Value]:
        """Return what each rank has: anything that may travel between processes."""
        found: list[Any] = [own] * self.size
        if self.size > 1:
            with self._telling_who_is_lost():
                dist.all_gather_object(found, own, self._group)
        return found

    def before_exit(self, function: Callable[[], None]) -> None:
        """Call a function before this process is ended because another rank is lost and it cannot end by itself."""
        if self._watch is not None:
            self._watch.before_exit(function)

    def wait(self) -> None:
        """Wait for all ranks."""
        if self.size > 1:
            with self._telling_who_is_lost():
                dist.barrier(group=self._group)

    def check_equal(self, what: str, tensors: Sequence[Tensor]) -> None:
        """Compare tensors between ranks, by a hash of all their bits.

        Raises:
            RuntimeError: naming the first rank whose tensors are not those of rank 0.
        """
        if self.size == 1:
            return
        first, *others = self._of_all(torch.stack([hash_of_bits(tensor).to(tensors[0].device) for tensor in tensors]))
        for rank, other in enumerate(others, start=1):
            if not torch.equal(first, other):
                raise RuntimeError(f"{what} of rank {rank} are not those of rank 0; no result of theirs can be trusted")

    def part(self, members: Sequence[int]) -> Ranks:
        """Return some of the ranks as ranks of their own, of which this one need not be any; each set is made once."""
        key = tuple(members)
        if key not in self._parts:
            group = dist.new_group(list(members), NO_LIMIT)
            rank = members.index(self.rank) if self.rank in members else -1
            self._parts[key] = Ranks(rank, len(members), group, self._watch)
        return self._parts[key]

    def _of_all(self, own: Tensor) -> list[Tensor]:
        """Return the tensors of all ranks, which have the same shape."""
        there = _reachable(own)
        found = [torch.empty_like(there) for _ in range(self.size)]
        with self._telling_who_is_lost():
            dist.all_gather(found, there, group=self._group)
        return [one.to(own.device) for one in found]

    @contextmanager
    def _telling_who_is_lost(self) -> Iterator[None]:
        """Let an exchange that fails name the rank on which it does."""
        try:
            yield
        except RuntimeError as error:
            verdict = self._watch.verdict() if self._watch is not None else None
            if verdict is None:  # it is not for want of others
                raise
            raise RankLostError(verdict) from error


def _reachable(tensor: Tensor) -> Tensor:
    """Return a tensor where it can be exchanged: on the host, or an NVIDIA card."""
    return tensor if tensor.device.type in ("cpu", "cuda") else tensor.cpu()


def hash_of_bits(tensor: Tensor) -> Tensor:
    """Return a number `[]` that depends on all bits of a tensor and their places."""
    numbers = tensor.detach().contiguous().flatten()
    words = numbers.view(torch.int32 if numbers.element_size() % 4 == 0 else torch.uint8)
    odd = torch.arange(1, 2 * _HASHED_AT_A_TIME, 2, device=words.device)
    found = torch.zeros((), dtype=torch.int64, device=words.device)
    for block in words.split(_HASHED_AT_A_TIME):
        found = 31 * found + (block.to(torch.int64) * odd[: len(block)]).sum()
    return found


ALONE = Ranks()
