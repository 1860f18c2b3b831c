"""Exact derivatives of a function from forward passes alone (arXiv 2408.10419, Section 4.1).

A function takes one tensor x of any shape, n numbers, and returns a number, else it is refused with a ValueError; its
operations are those of jets. Directions have the shape of x behind their own index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import measure_second_order

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
    number = _number(function)
    parts = [forward(lambda point: (number(point), ()), (x,), (directions,))[1] for directions in _basis(x, chunk_size)]
    return torch.cat(parts).view_as(x)


def curvature(function: Function, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the value, the slopes `[K]` and the curvature V H V^T `[K, K]` along directions V `[K, *x.shape]`.

    >>> value, slopes, found = curvature(lambda x: x[0] * x[1], torch.tensor([2.0, 3.0]), torch.eye(2))
    >>> found
    tensor([[0., 1.],
            [1., 0.]])
    """
    return measure_second_order(_number(function), (x,), (directions,))


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
    with_v = (torch.cat([v.unsqueeze(0), directions]) for directions in _basis(x, chunk_size))
    return torch.cat([curvature(function, x, V)[2][0, 1:] for V in with_v]).view_as(x)


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
    n = x.numel()
    found = x.new_zeros(n, n)
    blocks = [slice(start, min(start + chunk_size, n)) for start in range(0, n, chunk_size)]
    basis = [*_basis(x, chunk_size)]
    for number, (rows, of_rows) in enumerate(zip(blocks, basis, strict=True)):
        found[rows, rows] = curvature(function, x, of_rows)[2]
        for columns, of_columns in zip(blocks[number + 1 :], basis[number + 1 :], strict=True):
            both = curvature(function, x, torch.cat([of_rows, of_columns]))[2]
            found[rows, columns] = both[: len(of_rows), len(of_rows) :]
            found[columns, rows] = found[rows, columns].mT
    return found


def _number(function: Function) -> Function:
    """Return a function that is refused unless it returns a number."""

    def checked(x: Tensor) -> Tensor:
        value = function(x)
        if value.ndim:
            raise ValueError(f"needs a function that returns one number, not {list(value.shape)}")
        return value

    return checked


def _basis(x: Tensor, chunk_size: int | None) -> Iterator[Tensor]:
    """Yield the unit vectors of the space of x, `[K, *x.shape]` at a time."""
    n = x.numel()
    for start in range(0, n, chunk_size or n):
        rows = torch.arange(start, min(start + (chunk_size or n), n), device=x.device)
        yield torch.nn.functional.one_hot(rows, n).to(x.dtype).view(-1, *x.shape)
