"""Rules for bilinear operations, by the product rule, and for quotients and affine maps, which are made of them.

Terms are added where they end up, so that a step holds its operands and its result, and no third set of terms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement
from typing import Any

import torch
from torch import Tensor

from frog_cli.jets.jet import Jet, Rule, value_of
from frog_cli.jets.terms import (
    aligned_terms,
    empty_terms,
    for_each_sample,
    in_one_batch,
    shared_by_batch,
    with_zero_second,
)

aten = torch.ops.aten

Bilinear = Callable[[Tensor, Tensor], Tensor]

MATRIX_PRODUCTS = aten.mm.default, aten.bmm.default, aten.matmul.default, aten.mv.default, aten.dot.default
"""The operations of `matrix_products`."""


def bilinear(x: Any, y: Any, multiply: Bilinear, add_product: Callable[..., Any]) -> Jet:
    """Return the jet of a bilinear operation.

    Args:
        x: the first factor.
        y: the second factor; one of the two may be a plain tensor, which does not vary.
        multiply: the operation, which treats a leading dimension of one factor independently.
        add_product: adds to its first argument alpha times the operation on the other two.
    """
    value = multiply(value_of(x), value_of(y))
    if not isinstance(y, Jet):
        return Jet(value, multiply(aligned_terms(x, value.ndim), y), x.directions)
    if not isinstance(x, Jet):
        return Jet(value, multiply(value_of(x), aligned_terms(y, value.ndim)), y.directions)
    x_first, y_terms = aligned_terms(x, value.ndim)[: x.K], aligned_terms(y, value.ndim)
    scaled = multiply(aligned_terms(x, value.ndim), y.value)
    scaled = scaled.contiguous() if shared_by_batch(scaled) else scaled  # it is written to
    needs_second = x.directions.order == 2 and x.second is None
    terms = with_zero_second(scaled, x.K) if needs_second else scaled
    for term, y_term in zip(terms, y_terms, strict=False):  # y may have no second ones
        add_product(term, x.value, y_term, alpha=1)
    for term, (i, j) in zip(terms[x.K :], combinations_with_replacement(range(x.K), 2), strict=False):  # if any
        add_product(term, x_first[i], y_terms[j], alpha=2 if i == j else 1)
        if i != j:
            add_product(term, x_first[j], y_terms[i], alpha=1)
    return Jet(value, terms, x.directions)


def matrix_products(product: Bilinear) -> Rule:
    """Make the rule of all `MATRIX_PRODUCTS` from one that takes two matrices or two batches of them.

    Args:
        product: of matrices; one of the two factors may have a further leading dimension.
    """

    def rule(x: Any, y: Any) -> Any:
        if x.ndim == 1:
            return (x.unsqueeze(0) @ y).squeeze(-2 if y.ndim > 1 else -1)
        if y.ndim == 1:
            return (x @ y.unsqueeze(-1)).squeeze(-1)
        if x.ndim > y.ndim == 2:
            return (x.flatten(0, -2) @ y).unflatten(0, x.shape[:-1])
        if x.ndim > 3 or x.shape[:-2] != y.shape[:-2]:
            batch = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
            count = math.prod(batch)
            x, y = (factor.expand(*batch, *factor.shape[-2:]).reshape(count, *factor.shape[-2:]) for factor in (x, y))
            return (x @ y).view(*batch, x.shape[-2], y.shape[-1])
        if x.ndim > 2:
            return bilinear(x, y, product, Tensor.baddbmm_)
        return bilinear(x, y, of_matrices, Tensor.addmm_)

    def of_matrices(left: Tensor, right: Tensor) -> Tensor:
        if left.ndim > 2:
            return for_each_sample(lambda terms: product(terms, right), left)
        return product(left, right)

    return rule


def affine(x: Any, weight: Any, bias: Any = None) -> Any:
    """Multiply by weights, and add a bias."""
    product = x @ weight.t()
    return product if bias is None else _add_to(product, bias)


def add_product(bias: Any, x: Any, y: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Add a multiple of a matrix product to a multiple of a bias."""
    product = x @ y
    if not beta:  # then the bias is not read, and may be anything
        return product * alpha
    return product * alpha + bias * beta if (beta, alpha) != (1, 1) else _add_to(product, bias)


def multiply(x: Any, y: Any) -> Jet:
    """Multiply entry by entry, or by a number."""
    if not (isinstance(x, Tensor) and isinstance(y, Tensor)):
        jet, factor = (x, y) if isinstance(x, Jet) else (y, x)
        return Jet(jet.value * factor, jet.terms * factor, jet.directions)
    return bilinear(x, y, torch.mul, lambda term, a, b, alpha: term.addcmul_(a, b, value=alpha))


def divide(x: Any, y: Any) -> Jet:
    """Divide entry by entry, or by a number."""
    if isinstance(y, Jet):
        return multiply(x, y.reciprocal())
    value = x.value / y  # not times the reciprocal, which is rounded to the precision of y
    return Jet(value, aligned_terms(x, value.ndim) / y, x.directions)


def product(x: Any) -> Any:
    """Multiply all entries."""
    return product_along(x.reshape([x.numel()]), 0)


def product_along(x: Any, dim: int, keepdim: bool = False) -> Any:
    """Multiply the entries along a dimension, in pairs, so that none is divided by."""
    if not x.ndim or not x.shape[dim]:
        return x * 1 if not x.ndim else x.sum(dim, keepdim) + 1
    while (count := x.shape[dim]) > 1:
        half = count // 2
        pairs = x.narrow(dim, 0, half) * x.narrow(dim, half, half)
        x = pairs if count == 2 * half else torch.cat([pairs, x.narrow(dim, 2 * half, 1)], dim)
    return x if keepdim else x.squeeze(dim)


def cumulative_product(x: Any, dim: int) -> Any:
    """Multiply each entry along a dimension by those before it, over twice as many at each step."""
    done = 1
    while x.ndim and done < (count := x.shape[dim]):
        joined = x.narrow(dim, done, count - done) * x.narrow(dim, 0, count - done)
        x = torch.cat([x.narrow(dim, 0, done), joined], dim)
        done *= 2
    return x


def trilinear(
    x: Any, y: Any, z: Any, of_x: Sequence[int], of_y: Sequence[int], of_z: Sequence[int], summed: list[int], _: int = 1
) -> Any:
    """Multiply three tensors, each with further dimensions of size 1, and sum over some dimensions."""
    factors = [x, y, z]
    for index, dims in enumerate((of_x, of_y, of_z)):
        for dim in dims:
            factors[index] = factors[index].unsqueeze(dim)
    return (factors[0] * factors[1] * factors[2]).sum(summed)


def convolution(
    x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int,
) -> Jet:  # fmt: skip
    """Convolve, and add a bias for each channel."""

    def convolve(x: Tensor, weight: Tensor) -> Tensor:
        alike = torch.empty_like(value_of(jet_or_weight)).copy_(weight)  # so that all results have one memory layout
        options = stride, padding, dilation, transposed, output_padding, groups
        return aten.convolution.default(x, alike, None, *options)

    def convolve_all(x: Tensor, weight: Tensor) -> Tensor:
        """Convolve where one of the two may have a leading dimension of terms."""
        if x.ndim > images:
            return for_each_sample(lambda terms: in_one_batch(lambda batch: convolve(batch, weight), terms), x)
        if weight.ndim == images:
            return convolve(x, weight)
        convolved = [convolve(x, one) for one in weight]  # faster than with all as one weight
        terms = empty_terms(len(weight), convolved[0])
        for term, one in zip(terms, convolved, strict=True):
            term.copy_(one)
        return terms

    images, jet_or_weight = x.ndim, weight
    if not (isinstance(x, Jet) or isinstance(weight, Jet)):
        product: Any = convolve(x, weight)
    else:
        product = bilinear(
            x, weight, convolve_all, lambda term, x, weight, alpha: term.add_(convolve(x, weight), alpha=alpha)
        )
    return product if bias is None else _add_to(product, bias.reshape(-1, *[1] * (images - 2)))


def _add_to(result: Any, x: Tensor) -> Jet:
    """Add a tensor, which broadcasts to a result that nobody else holds, in place where it has all of its terms."""
    if isinstance(x, Jet):
        if not isinstance(result, Jet) or len(x.terms) > len(result.terms) or shared_by_batch(result.terms):
            return result + x
        result.terms[: len(x.terms)] += aligned_terms(x, result.ndim)
    result.value.add_(value_of(x))
    return result
