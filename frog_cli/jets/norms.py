"""Rules for normalisation layers, and for the variances and norms of tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from frog_cli.jets.jet import Jet, NoRuleError, Rule, value_of
from frog_cli.jets.terms import write_each_term

aten = torch.ops.aten


def layer_norm(x: Any, shape: Any, weight: Any, bias: Any, eps: float) -> tuple[Any, Tensor, Tensor]:
    """Standardise over the last dimensions, then scale and shift."""
    if isinstance(x, Jet) and x.directions.order == 1:
        value, mean, inverse_deviation = aten.native_layer_norm.default(x.value, shape, None, None, eps)
        factor = value.new_ones(()) if weight is None or isinstance(weight, Jet) else weight

        def write(result: Tensor, term: Tensor) -> None:
            # the Jacobian is symmetric, so that torch's kernel for the reverse mode serves
            given = term, x.value, shape, mean, inverse_deviation, None, None, [True, False, False]
            torch.mul(aten.native_layer_norm_backward(*given)[0], factor, out=result)

        result = write_each_term(x, value * factor, write)
        weight = weight if isinstance(weight, Jet) else None  # else it is in the result
    else:
        x = x if x.is_contiguous() else x.clone(memory_format=torch.contiguous_format)  # as torch's result is
        result, mean, inverse_deviation = _standardise(x, list(range(-len(shape), 0)), eps)
    result = result if weight is None else result * weight
    result = result if bias is None else result + bias
    return result, value_of(mean), value_of(inverse_deviation)


def batch_norm(operation: Any) -> Rule:
    """Make the rule of a batch normalisation, which in training updates the running statistics, once."""

    def rule(
        x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool, momentum: float, eps: float
    ) -> tuple[Any, ...]:
        if isinstance(running_mean, Jet) or isinstance(running_var, Jet):
            raise NoRuleError("no forward-mode rule for running statistics that have derivatives")
        value, mean, inverse_deviation, *reserved = operation(  # what cuDNN reserves for its reverse mode
            value_of(x), value_of(weight), value_of(bias), running_mean, running_var, training, momentum, eps
        )
        channels = [1, -1] + [1] * (x.ndim - 2)
        if not training:
            result = (x - running_mean.reshape(channels)) * (running_var.reshape(channels) + eps).rsqrt()
        elif isinstance(x, Jet) and x.directions.order == 1:
            factor = None if isinstance(weight, Jet) else weight
            statistics = running_mean, running_var, mean, inverse_deviation, True, eps, [True, False, False]

            def write(result: Tensor, term: Tensor) -> None:
                # the Jacobian is symmetric, so that torch's kernel for the reverse mode serves
                result.copy_(aten.native_batch_norm_backward(term, x.value, factor, *statistics)[0])

            standardised = (x.value - mean.reshape(channels)) * inverse_deviation.reshape(channels)
            result = write_each_term(x, standardised, write)
            weight = weight if isinstance(weight, Jet) else None  # else it is in the derivatives
        else:
            result, _, _ = _standardise(x, [0, *range(2, x.ndim)], eps)
        result = result if weight is None else result * weight.reshape(channels)
        result = result if bias is None else result + bias.reshape(channels)
        return Jet(value, result.terms, result.directions), mean, inverse_deviation, *reserved

    return rule


def rms_norm(x: Any, shape: Any, weight: Any = None, eps: float | None = None) -> tuple[Any, Tensor]:
    """Divide by the root mean square over the last dimensions, as one operation does on a GPU, then scale."""
    dims = list(range(-len(shape), 0))
    inverse = ((x * x).mean(dims, keepdim=True) + (torch.finfo(x.dtype).eps if eps is None else eps)).rsqrt()
    result = x * inverse
    return result if weight is None else result * weight, value_of(inverse)


def group_norm(
    x: Any, weight: Any, bias: Any, N: int, C: int, HxW: int, groups: int, eps: float
) -> tuple[Any, Any, Any]:
    """Standardise each group of channels of each sample, then scale and shift."""
    result, mean, inverse_deviation = _standardise(x.reshape(N, groups, C // groups * HxW), [-1], eps)
    channels = [1, -1] + [1] * (x.ndim - 2)
    result = result.reshape(x.shape)
    result = result if weight is None else result * weight.reshape(channels)
    result = result if bias is None else result + bias.reshape(channels)
    if isinstance(x, Jet) and not x.is_contiguous():  # torch's result may lie channels last, too
        like = aten.native_group_norm.default(x.value, None, None, N, C, HxW, groups, eps)[0]
        if not like.is_contiguous():
            result = result.clone(memory_format=torch.channels_last)
    return result, mean.reshape(N, groups), inverse_deviation.reshape(N, groups)


def _standardise(x: Any, dims: list[int], eps: float) -> tuple[Any, Any, Any]:
    """Return x with mean 0 and variance 1 over some dimensions, its mean, and 1 / (its deviation)."""
    mean = x.mean(dims, keepdim=True)
    centred = x - mean
    inverse_deviation = ((centred * centred).mean(dims, keepdim=True) + eps).rsqrt()
    return centred * inverse_deviation, mean, inverse_deviation


def variance(x: Jet, dim: Any = None, *, correction: Any = 1, keepdim: bool = False) -> Jet:
    """Take the variance over dimensions, none of which means all."""
    dims = list(dim or range(x.ndim))
    count = math.prod(x.shape[d] for d in dims)
    centred = x - x.mean(dims, keepdim=True)
    return (centred * centred).sum(dims, keepdim) / (count - correction)


def deviation(x: Jet, *args: Any, **kwargs: Any) -> Jet:
    """Take the standard deviation."""
    return _root(x.var(*args, **kwargs))


def with_mean(of_deviations: Callable[..., Any]) -> Rule:
    """Make the rule of a variance or deviation together with the mean over the same dimensions."""

    def rule(x: Any, dim: Any = None, *, correction: Any = 1, keepdim: bool = False) -> tuple[Any, Any]:
        dims = list(dim or range(x.ndim))
        return of_deviations(x, dim, correction=correction, keepdim=keepdim), x.mean(dims, keepdim)

    return rule


def vector_norm(x: Any, order: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Take a norm of any order: the root of a sum of powers, the largest entry, the smallest, how many are not zero."""
    x = x if dtype is None else x.to(dtype)
    dims = list(range(x.ndim)) if dim is None else dim
    if order == 2:
        return _root((x * x).sum(dims, keepdim))
    size = x.abs()
    if order == 1:
        return size.sum(dims, keepdim)
    if math.isinf(order):
        return size.amax(dims, keepdim) if order > 0 else size.amin(dims, keepdim)
    if order == 0:
        return size.sum(dims, keepdim) * 0 + (x.value != 0).sum(dims, keepdim)
    return _root((size**order).sum(dims, keepdim), order)


def distances(x: Any, y: Any, order: float, mode: int | None = None) -> Any:
    """Take the norms of the differences of all rows of two tensors."""
    del mode  # of computing
    return torch.linalg.vector_norm(x.unsqueeze(-2) - y.unsqueeze(-3), order, -1)


def _root(x: Any, order: float = 2) -> Jet:
    """Return the root of a sum of powers, whose derivatives at 0 are 0 as torch has them, where it has a kink."""
    root = x.sqrt() if order == 2 else x ** (1 / order)
    return Jet(root.value, root.terms.masked_fill(root.value == 0, 0), root.directions)
