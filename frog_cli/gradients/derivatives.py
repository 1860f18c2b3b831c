"""Exact derivatives of a function from forward passes alone (arXiv 2408.10419, Section 4.1).

A function takes one tensor x of any shape, n numbers, and returns a number, else it is refused with a ValueError; its
operations are those of jets. Directions have the shape of x behind their own index. All passes draw the same random
numbers, and see the same attributes and buffers of a function that is a module or another object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import measure_second_order
from frog_cli.modules.random_numbers import random_state, set_random_state
from frog_cli.modules.restoring import attributes_restored

Function = Callable[[Tensor], Tensor]


def gradient(function: Function, x: Tensor, chunk_size: int | None = None) -> Tensor:
    """Return the gradient, in the shape of x: the slopes along all unit vectors.

    Args:
        function: what is differentiated.
        x: where.
        chunk_size: directions per pass, which bounds the memory; None for all at once.

    >>> gradient(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]))
    tensor([ 3., 12.])
    """
    number = _number(function, x)
    parts = [forward(lambda point: (number(point), ()), (x,), (directions,))[1] for directions in _basis(x, chunk_size)]
    return torch.cat(parts).to(x.dtype).view_as(x)  # which autocast makes less precise


def curvature(function: Function, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the value, the slopes `[K]` and the curvature V H V^T `[K, K]` along directions V `[K, *x.shape]`.

    >>> value, slopes, found = curvature(lambda x: x[0] * x[1], torch.tensor([2.0, 3.0]), torch.eye(2))
    >>> found
    tensor([[0., 1.],
            [1., 0.]])
    """
    return _curvature(_number(function, x), x, directions)


def _curvature(number: Function, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if directions.ndim != x.ndim + 1 or directions.shape[1:] != x.shape:
        needed = ", ".join(["K", *map(str, x.shape)])
        raise ValueError(f"needs directions [{needed}] for x {list(x.shape)}, not {list(directions.shape)}")
    return measure_second_order(number, (x,), (directions,))


def hessian_vector_product(function: Function, x: Tensor, v: Tensor, chunk_size: int = 16) -> Tensor:
    """Return H v, in the shape of x: the curvature between v and all unit vectors.

    Args:
        function: what is differentiated.
        x: where.
        v: in the shape of x.
        chunk_size: unit vectors per pass, whose memory and work grow with its square.

    >>> hessian_vector_product(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0]))
    tensor([ 6., 12.])
    """
    if v.shape != x.shape:
        raise ValueError(f"needs v in the shape of x, {list(x.shape)}, not {list(v.shape)}")
    number = _number(function, x)
    with_v = (torch.cat([v.unsqueeze(0), directions]) for directions in _basis(x, chunk_size))
    return torch.cat([_curvature(number, x, V)[2][0, 1:] for V in with_v]).to(x.dtype).view_as(x)


def hessian(function: Function, x: Tensor, chunk_size: int = 16) -> Tensor:
    """Return the Hessian `[n, n]`, block by block: the curvature between all pairs of unit vectors.

    Args:
        function: what is differentiated.
        x: where; n numbers.
        chunk_size: rows and columns of a block; a pass measures along the directions of both.

    >>> hessian(lambda x: x[0] ** 2 * x[1], torch.tensor([1.0, 3.0]))
    tensor([[6., 2.],
            [2., 0.]])
    """
    n, number = x.numel(), _number(function, x)
    found, basis = x.new_zeros(n, n), [*_basis(x, chunk_size)]
    blocks = [slice(start, min(start + chunk_size, n)) for start in range(0, n, chunk_size)]
    for index, (rows, of_rows) in enumerate(zip(blocks, basis, strict=True)):
        found[rows, rows] = _curvature(number, x, of_rows)[2]
        for columns, of_columns in zip(blocks[index + 1 :], basis[index + 1 :], strict=True):
            both = _curvature(number, x, torch.cat([of_rows, of_columns]))[2]
            found[rows, columns] = both[: len(of_rows), len(of_rows) :]
            found[columns, rows] = found[rows, columns].mT
    return found


def _number(function: Function, x: Tensor) -> Function:
    """Return a function that does the same at each call, and is refused unless it returns a number."""
    if not x.numel():
        raise ValueError(f"needs an x with at least one number, not {list(x.shape)}")
    random_numbers, restore = random_state(x.device), attributes_restored(None, function)

    def checked(point: Tensor) -> Tensor:
        set_random_state(x.device, random_numbers)
        restore()
        value = function(point)
        if value.ndim:
            raise ValueError(f"needs a function that returns one number, not {list(value.shape)}")
        return value

    return checked


def _basis(x: Tensor, chunk_size: int | None) -> Iterator[Tensor]:
    """Yield the unit vectors of the space of x, `[K, *x.shape]` at a time."""
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"chunk_size={chunk_size} must be at least 1")
    n = x.numel()
    for start in range(0, n, chunk_size or n):
        rows = torch.arange(start, min(start + (chunk_size or n), n), device=x.device)
        yield torch.nn.functional.one_hot(rows, n).to(x.dtype).view(-1, *x.shape)
