"""Tangents that are drawn together: on a sphere, in opposite pairs, orthogonal to each other.

All are unbiased for sum and mean, as normal ones are; the mean length of the estimates is another. Zeroth-order
optimisation calls them smoothing distributions.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from frog_cli import ideas
from frog_cli.gradients.tangents import normal, normalised, rademacher


@ideas.tangents(unbiased=True)
def sphere(shape: tuple[int, ...], generator: Generator, dtype: torch.dtype) -> Tensor:
    """Uniform directions of length √n (Flaxman et al. 2005).

    As `normal`, without the spread of the length.
    """
    return normalised(shape, generator, dtype) * shape[-1] ** 0.5


@ideas.tangents(unbiased=True)
def antithetic(shape: tuple[int, ...], generator: Generator, dtype: torch.dtype) -> Tensor:
    """Pairs of a normal tangent and its opposite (Salimans et al. 2017).

    Also called mirrored sampling (Brockhoff et al. 2010). Slopes by differentiation are opposite as well, so that a
    pair tells no more than one tangent does; slopes by differences at one side of a point would gain. The last of an
    odd number has no opposite.
    """
    k = shape[-2]
    half = normal((*shape[:-2], (k + 1) // 2, shape[-1]), generator, dtype)
    return torch.stack([half, -half], dim=-2).flatten(-3, -2)[..., :k, :]


@ideas.tangents(unbiased=True)
def orthogonal(shape: tuple[int, ...], generator: Generator, dtype: torch.dtype) -> Tensor:
    """Uniform, of length √n, orthogonal to each other (Choromanski et al. 2018).

    The Q of a QR factorisation of normal tangents, by Householder reflections, or for k up to n / 2, where normal
    tangents are well-conditioned, by the Cholesky factor of their Gram matrix, twice (Yamamoto et al. 2015), which is
    several times as fast. Beyond k = n further sets follow, each drawn anew.
    """
    *leading, k, n = shape
    sets, size = math.ceil(k / n), min(k, n)
    V = normal((*leading, sets, size, n), generator, torch.promote_types(dtype, torch.float32))
    if 2 * size <= n:
        for _ in range(2):
            V = torch.linalg.solve_triangular(torch.linalg.cholesky(V @ V.mT), V, upper=False)
    else:
        Q, R = torch.linalg.qr(V.mT)
        V = (Q * R.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)).mT  # signs that make them uniform
    return (V.flatten(-3, -2)[..., :k, :] * n**0.5).to(dtype)


@ideas.tangents(unbiased=True)
def hadamard(shape: tuple[int, ...], generator: Generator, dtype: torch.dtype) -> Tensor:
    """Rows of a Hadamard matrix, random signs of its columns (Choromanski et al. 2018).

    The matrix is Sylvester's of order m, the least power of two of at least k, continued periodically: entry (i, j) is
    -1 where i and j mod m have an odd number of binary digits 1 in common. The rows are orthogonal if m divides n. One
    random bit is drawn for each column, where independent signs take k.
    """
    *leading, k, n = shape
    order = 1 << (k - 1).bit_length()
    index = torch.arange(order, device=generator.device)
    common = index[:k].unsqueeze(1) & index
    odd = torch.zeros_like(common)
    for digit in range(order.bit_length()):
        odd ^= common >> digit & 1
    rows = (1 - 2 * odd).to(dtype).repeat(1, math.ceil(n / order))[:, :n]
    return rademacher((*leading, 1, n), generator, dtype) * rows
