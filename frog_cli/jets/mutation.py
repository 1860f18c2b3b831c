"""Rules for operations in place: the jet takes over the result of the operation that makes a new one."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._mode_utils import no_dispatch

from frog_cli.jets.jet import RULES, Jet, NoRuleError, Rule

aten = torch.ops.aten


def in_place(operation: Any, functional: Any) -> Rule:
    """Make the rule of an operation in place from that of the one that returns the same result."""

    def rule(x: Any, *args: Any, **kwargs: Any) -> Jet:
        if not isinstance(x, Jet):
            raise NoRuleError(f"{operation} would write derivatives into a tensor that has none")
        if x.has_live_alias():
            raise NoRuleError(f"{operation} would write into memory that a view shows, too")
        result = RULES[functional](x, *args, **kwargs)
        x.value, x.terms = (of_result.to(x.dtype) for of_result in (result.value, result.terms))
        return x

    return rule


def transpose_in_place(x: Any, *dims: int) -> Jet:
    """Swap two dimensions of the jet itself."""
    jet: Jet = in_place(aten.transpose_.default, aten.transpose.int)(x, *dims)
    with no_dispatch():  # of the jet's own shape
        aten.transpose_.default(x, *dims)
    return jet
