"""Rules for largest and smallest entries: the derivatives follow those that are chosen."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from frog_cli.jets.jet import Jet, Rule, value_of
from frog_cli.jets.terms import from_right, jointly_linear

aten = torch.ops.aten


def pooled_extreme(operation: Any) -> Rule:
    """Make the rule of the largest entry of each window of an image or a volume, as the name says, and its place."""
    dims = 3 if "3d" in operation._schema.name else 2

    def rule(x: Any, *args: Any) -> Any:
        args = tuple(map(value_of, args))  # of which random numbers choose windows, and may be jets
        if not isinstance(x, Jet):
            return operation(x, *args)
        value, indices = operation(x.value, *args)
        terms, where, among = x.terms.flatten(-dims), indices.flatten(-dims), -1
        if dims == 2 and indices.is_contiguous(memory_format=torch.channels_last):  # and is to stay so
            terms, where, among = terms.mT, where.mT, -2
        chosen = terms.gather(among, where.expand(len(terms), *where.shape))
        chosen = chosen if among == -1 else chosen.mT
        return Jet(value, chosen.unflatten(-1, indices.shape[-dims:]), x.directions), indices

    return rule


def extreme(operation: Any) -> Rule:
    """Make the rule of the largest or smallest entry along dimensions, none of which means all."""

    def rule(x: Jet, dim: Any = (), keepdim: bool = False) -> Jet:
        dims = list(dim) if dim else list(range(x.value.ndim))
        extreme = operation(x.value, dims, True)
        share = (x.value == extreme).to(x.value.dtype)
        share = share / share.sum(dims, keepdim=True)  # ties share, as in torch's own derivative
        chosen = (x.terms * share).sum(from_right(dims, x.ndim), keepdim)
        return Jet(operation(x.value, dims, keepdim), chosen, x.directions)

    return rule


def extreme_with_index(operation: Any) -> Rule:
    """Make the rule of the largest, smallest, middle or k-th entry along one dimension, and its place."""

    def rule(x: Jet, dim: int = -1, keepdim: bool = False) -> tuple[Jet, Tensor]:
        value, index = operation(x.value, dim=dim, keepdim=keepdim)
        where = index if keepdim else index.unsqueeze(dim)
        dim = from_right(dim, x.ndim)
        chosen = x.terms.gather(dim, where.expand(len(x.terms), *where.shape))
        return Jet(value, chosen if keepdim else chosen.squeeze(dim), x.directions), index

    return rule


def of_two(operation: Any) -> Rule:
    """Make the rule of the larger or smaller one of two entries; equal ones share."""

    def rule(x: Any, y: Any) -> Jet:
        a, b = value_of(x), value_of(y)
        value = operation(a, b)
        chosen = jointly_linear(lambda s, t: torch.where(a == b, s / 2 + t / 2, torch.where(value == a, s, t)), x, y)
        return Jet(value, chosen.terms, chosen.directions)

    return rule


def ordered(operation: Any) -> Rule:
    """Make the rule of entries along a dimension in order, or the largest up to each, and where they were."""

    def rule(x: Jet, *args: Any, **kwargs: Any) -> tuple[Jet, Tensor]:
        value, index = operation(x.value, *args, **kwargs)
        before_dim = 1 if operation is aten.topk.default else 0
        dim = from_right(kwargs.get("dim", args[before_dim] if len(args) > before_dim else -1), x.ndim)
        return Jet(value, x.terms.gather(dim, index.expand(len(x.terms), *index.shape)), x.directions), index

    return rule
