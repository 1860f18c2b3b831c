"""Rules for softmax, its logarithm and normalisation, and the loss that picks of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from frog_cli.jets.jet import Jet, NoRuleError, Rule, pairs
from frog_cli.jets.terms import from_right, write_each_term

aten = torch.ops.aten


def softmax(operation: Any) -> Rule:
    """Make the rule of a softmax that is the exponential of `log_softmax`, wherever its derivatives are used."""

    def rule(x: Jet, dim: int, *args: Any) -> Any:
        if x.directions.order == 1:
            p = operation(x.value, dim, *args)
            # the Jacobian is symmetric, so that torch's kernel for the reverse mode serves
            backward = aten._softmax_backward_data.out
            return write_each_term(x, p, lambda result, term: backward(term, p, dim, p.dtype, grad_input=result))
        return log_softmax(x, dim).exp()

    return rule


def safe_softmax(x: Jet, dim: int, *args: Any) -> Any:
    """Take the softmax, which is 0 where there is nothing to choose."""
    result = softmax(aten._safe_softmax.default)(x, dim, *args)
    if x.directions.order == 1:
        return result
    return result.masked_fill((x.value == -torch.inf).all(dim, keepdim=True), 0)


def log_softmax(x: Jet, dim: int, half_to_float: bool = False) -> Jet:
    """Subtract the derivatives of logsumexp: with softmax p, p.x_i, and p.x_ij + cov_p(x_i, x_j)."""
    value = aten._log_softmax.default(x.value, dim, half_to_float)
    p = value.exp()
    dim = from_right(dim, value.ndim)  # the same for all terms
    means = (p * x.terms).sum(dim, keepdim=True)
    if x.directions.order == 1:
        return Jet(value, x.terms - means, x.directions)
    i, j = pairs(x.K, value.device)
    first = x.first - means[: x.K]
    covariance = (p * first[i] * first[j]).sum(dim, keepdim=True)  # of what is centred, so that nothing cancels
    if x.second is None:
        return Jet(value, torch.cat([first, (-covariance).expand(-1, *value.shape)]), x.directions)
    return Jet(value, torch.cat([first, x.second - means[x.K :] - covariance]), x.directions)


def logsumexp(x: Jet, dim: Any, keepdim: bool = False) -> Jet:
    """Take the logarithm of sums of exponentials: with softmax p, p.x_i, and p.x_ij + cov_p(x_i, x_j).

    Where all numbers are -inf there is nothing to weigh, and the derivatives are 0.
    """
    if x.ndim == 0:
        return Jet(x.value.clone(), x.terms, x.directions)
    value = aten.logsumexp.default(x.value, dim, True)
    p = (x.value - value.masked_fill(value.isinf(), 0)).exp()
    dims = tuple(from_right(one, x.value.ndim) for one in (dim if isinstance(dim, list | tuple) else [dim]))
    terms = (p * x.terms).sum(dims, keepdim=True)
    if x.directions.order > 1:
        i, j = pairs(x.K, value.device)
        first = x.first - terms[: x.K]
        covariance = (p * first[i] * first[j]).sum(dims, keepdim=True)
        second = covariance if x.second is None else terms[x.K :] + covariance
        terms = torch.cat([terms[: x.K], second])
    if keepdim:
        return Jet(value, terms, x.directions)
    flat = aten.logsumexp.default(x.value, dim, False)
    return Jet(flat, terms.view(len(terms), *flat.shape), x.directions)


def nll_loss(operation: Any) -> Rule:
    """Make the rule of the negative log-likelihood, which is linear, of samples or of pixels."""

    def rule(x: Jet, *args: Any) -> tuple[Jet, Tensor]:
        if not isinstance(x, Jet) or any(isinstance(one, Jet) for one in args):
            raise NoRuleError("no forward-mode rule for weights of classes that have derivatives")
        loss, total_weight = operation(x.value, *args)
        terms = torch.stack([operation(term, *args)[0] for term in x.terms])
        return Jet(loss, terms, x.directions), total_weight

    return rule
