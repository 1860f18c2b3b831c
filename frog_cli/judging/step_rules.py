"""The judge of step rules: shape, independence, and where a step leads in planes of known curvature."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from frog_cli.gradients.step_rules import StepRule
from frog_cli.judging.findings import (
    Check,
    Finding,
    Seen,
    as_tensor,
    difference,
    judged,
    leaves_arguments,
    repeats_coefficients,
    same,
    sizes,
)

_NUMBERS = 1, 2, 5


def judge_step_rule(rule: StepRule) -> list[Finding]:
    """Judge a step rule whose options are bound: maps slopes `[..., K]` and curvature `[..., K, K]` to coefficients."""

    def call(slopes: Tensor, curvature: Tensor) -> Tensor:
        return as_tensor(rule(slopes.clone(), curvature.clone()))

    runs = ("shape",)
    same_numbers = (*runs, "same arguments, same numbers")
    return judged(
        [
            Check("shape", lambda: _shape(call)),
            Check("dtype", lambda: _dtype(call), runs),
            Check(
                "leaves its arguments as they are",
                lambda: leaves_arguments(rule, slopes=_slopes(5), curvature=_positive(5)),
                runs,
            ),
            Check("same arguments, same numbers", lambda: repeats_coefficients(call, _slopes(5), _positive(5)), runs),
            Check("leading indices are independent", lambda: _leading(call), same_numbers),
            Check("downhill where the curvature is positive", lambda: _in_valleys(call), runs),
            Check("downhill where the curvature has both signs", lambda: _anywhere(call), runs),
            Check("no number without a step", lambda: _undefined(call), runs),
            Check("beside the stationary point", lambda: _stationary(call), runs),
        ]
    )


def _slopes(K: int, leading: tuple[int, ...] = (), seed: int = 0) -> Tensor:
    return torch.randn(*leading, K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _positive(K: int, leading: tuple[int, ...] = (), seed: int = 1) -> Tensor:
    """Return curvature `[..., K, K]` that is positive definite, with eigenvalues from 0.5 on."""
    factor = torch.randn(*leading, K, K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return factor @ factor.mT + 0.5 * torch.eye(K, dtype=torch.float64)


def _indefinite(K: int, leading: tuple[int, ...] = (), seed: int = 1) -> Tensor:
    """Return curvature `[..., K, K]` with eigenvalues of both signs."""
    factor = torch.randn(*leading, K, K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return factor + factor.mT


def _shape(call: StepRule) -> Seen:
    for K in _NUMBERS:
        for leading in ((), (3,), (2, 3)):
            seen = call(_slopes(K, leading), _positive(K, leading)).shape
            if seen != (*leading, K):
                given = f"slopes {sizes((*leading, K))} and curvature {sizes((*leading, K, K))}"
                return False, f"expected coefficients {sizes((*leading, K))} for {given}, saw {sizes(seen)}"
    return True, "that of the slopes, [..., K]"


def _dtype(call: StepRule) -> Seen:
    for dtype in (torch.float32, torch.float64):
        seen = call(_slopes(2).to(dtype), _positive(2).to(dtype)).dtype
        if seen != dtype:
            return False, f"expected {dtype}, that of the slopes, saw {seen}"
    return True, "that of the slopes, float32 and float64"


def _leading(call: StepRule) -> Seen:
    """Compare a plane among others with the same one beside a copy of itself: a batch of one takes other kernels."""
    for K in _NUMBERS:
        slopes, curvature = _slopes(K, (5,)), torch.cat([_positive(K, (3,)), _indefinite(K, (2,))])
        slopes = slopes * torch.tensor([1, 1e-3, 1e3, 1, -1], dtype=torch.float64).unsqueeze(1)
        together = call(slopes, curvature)
        for index in range(len(slopes)):
            alone = call(slopes[[index, index]], curvature[[index, index]])[0]
            if not same(alone, together[index]):
                far = difference(together[index], alone)
                return False, f"expected the same bits alone as among others, saw {far:.1g} of difference (K = {K})"
    return True, "to the last bit"


def _downhill(call: StepRule, curvature_of: Callable[..., Tensor]) -> tuple[int, int]:
    """Return how many of some steps lead downhill, and how many there are."""
    planes = [(_slopes(K, (100,)), curvature_of(K, (100,))) for K in _NUMBERS]
    found = [(slopes * call(slopes, curvature)).sum(-1) > 0 for slopes, curvature in planes]
    return int(torch.cat(found).sum()), 100 * len(found)


def _in_valleys(call: StepRule) -> Seen:
    downhill, number = _downhill(call, _positive)
    if downhill < number:
        return False, f"expected steps with d c > 0, saw {number - downhill} of {number} that lead uphill"
    return True, f"all of {number} steps"


def _anywhere(call: StepRule) -> Seen:
    downhill, number = _downhill(call, _indefinite)
    return None, f"{downhill} of {number} steps"


def _undefined(call: StepRule) -> Seen:
    """Look at curvature that is not finite, of one plane beside another."""
    slopes, curvature = _slopes(2, (2,)), _positive(2, (2,))
    curvature[1, 0, 0] = torch.nan
    seen = call(slopes, curvature)
    if not seen[0].isfinite().all():
        return False, "expected a step beside a plane whose curvature is not finite, saw none"
    if seen[1].isfinite().all():
        return False, "expected NaN where the curvature is NaN, saw a step"
    return True, "NaN where the curvature is NaN, and nowhere else"


def _stationary(call: StepRule) -> Seen:
    seen = []
    for K in _NUMBERS:
        slopes, curvature = _slopes(K, (100,)), _positive(K, (100,))
        exact = torch.linalg.solve(curvature, slopes)
        steps = call(slopes, curvature)
        ratio = (steps.norm(dim=-1) / exact.norm(dim=-1)).median().item()
        cosine = torch.cosine_similarity(steps, exact).mean().item()
        seen.append(f"cosine {cosine:.2f} and {ratio:.2g} times as far at K = {K}")
    return None, "where the curvature is positive: " + ", ".join(seen)
