"""Recordings as CUDA graphs: a GPU is given all operations of a step at once, instead of one after the other.

The host needs about 10 us to launch an operation; most operations of small networks take a GPU less than that.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from frog_cli.engine.phases import are_timed
from frog_cli.errors import first_line
from frog_cli.gradients.space import Tensors

LARGEST = 2**26
"""Bytes of arguments: copying more to where a graph reads them takes longer than launching operations does."""


class _Graph(NamedTuple):
    """Operations that read and write where they did when they were captured."""

    launch: Callable[[], None]
    arguments: Tensors
    results: Tensors

    def takes(self, arguments: Sequence[Tensor]) -> bool:
        """Return whether it was captured for arguments like these."""
        return [*map(_kind, arguments)] == [*map(_kind, self.arguments)]

    def __call__(self, *arguments: Tensor) -> Tensors:
        for place, argument in zip(self.arguments, arguments, strict=True):
            place.copy_(argument)
        self.launch()
        results = [torch.empty_like(result) for result in self.results]
        torch._foreach_copy_(results, self.results)  # the next launch writes there again
        return tuple(results)


def as_cuda_graph(function: Callable[..., Tensors]) -> Callable[..., Tensors]:
    """Return the same function of tensors on a CUDA device, which runs as a graph from its first call on.

    The function must be one whose operations and whose memory beside its arguments are always the same, without random
    numbers. Operations run one by one where arguments are large or others than those of the first call, where a graph
    cannot be captured, beside the main thread and the default stream, and while somebody watches them, such as a clock,
    a counter of multiplications, or `one_by_one`.
    """
    graph: _Graph | None = None
    possible = True

    def run(*arguments: Tensor) -> Tensors:
        nonlocal graph, possible
        watched = _are_watched or are_timed() or is_in_torch_dispatch_mode()
        if not possible or watched or _is_elsewhere(arguments[0]):
            return function(*arguments)
        if graph is None:
            possible = sum(argument.nbytes for argument in arguments) <= LARGEST
            graph = _captured(function, arguments) if possible else None
            possible = graph is not None
        return graph(*arguments) if graph is not None and graph.takes(arguments) else function(*arguments)

    return run


_are_watched = False


@contextmanager
def one_by_one() -> Iterator[None]:
    """Launch all operations one by one while the body runs."""
    global _are_watched
    before, _are_watched = _are_watched, True
    try:
        yield
    finally:
        _are_watched = before


def _kind(argument: Tensor) -> tuple[object, ...]:
    return argument.shape, argument.dtype, argument.device


def _is_elsewhere(argument: Tensor) -> bool:
    """Return whether this is not where graphs are launched, one after the other: the device, its stream, the thread."""
    return (
        argument.device.index != torch.cuda.current_device()
        or torch.cuda.current_stream() != torch.cuda.default_stream()
        or threading.current_thread() is not threading.main_thread()
        or torch.is_inference_mode_enabled()  # whose tensors cannot be written to elsewhere
    )


def _captured(function: Callable[..., Tensors], arguments: Sequence[Tensor]) -> _Graph | None:
    """Return a graph of a function's operations; None, with a warning, if the device does not allow one."""
    device = arguments[0].device
    places = tuple(argument.clone() for argument in arguments)
    graph, stream = torch.cuda.CUDAGraph(), _stream(device)
    generator = torch.cuda.default_generators[device.index]
    random_numbers = generator.clone_state()
    stream.wait_stream(torch.cuda.current_stream())
    try:
        with torch.cuda.stream(stream):  # also where a capture fails, after which torch would stay on its stream
            function(*places)  # libraries fetch their memory at the first call
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # one of torch where a capture fails: that the graph is empty
                with torch.cuda.graph(graph, _pool(device), stream, capture_error_mode="thread_local"):
                    results = function(*places)
    except RuntimeError as error:
        generator.graphsafe_set_state(random_numbers)  # a capture that fails keeps the one that it found
        with suppress(AttributeError, RuntimeError):  # and the allocator, unless torch has seen to it
            torch._C._cuda_endAllocateToPool(device.index, _pool(device))
        _FAILED.append((graph, _pool(device)))
        _pool.cache_clear()
        warnings.warn(f"operations run one by one, slower: {first_line(error)}", SlowOnGpuWarning, 1)
        return None
    finally:
        torch.cuda.synchronize()
    return _Graph(graph.replay, places, results)


class SlowOnGpuWarning(UserWarning):
    """Operations cannot be given to a GPU all at once; they are launched one by one, which changes no number."""


_FAILED: list[Any] = []
"""Captures that failed, with their memory, which the allocator may still know."""


@cache
def _pool(device: torch.device) -> Any:
    """Return the memory that all graphs share, which is safe since their results are copied before the next launch."""
    with torch.cuda.device(device):
        return torch.cuda.graph_pool_handle()


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream that all graphs are captured on, as those that share their memory must be."""
    return torch.cuda.Stream(device)
