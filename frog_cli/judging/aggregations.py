"""The judge of aggregations: shape, independence, the estimate beside the gradient, and what the engine asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from frog_cli.gradients.aggregation import Aggregation
from frog_cli.ideas import trait
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
from frog_cli.judging.recordings import recorded_otherwise

_N = 8
_NUMBERS = _N // 2, _N, 2 * _N
"""Of tangents: below, at and above n."""

_ROUNDING = 1e-8  # of a few operations in double precision on well-conditioned tangents


class _Case(NamedTuple):
    """Tangents `[..., k, n]`, the slopes `[..., k, m]` along them of m functions, and their gradients `[..., n, m]`."""

    V: Tensor
    slopes: Tensor
    gradients: Tensor


def judge_aggregation(aggregation: Aggregation) -> list[Finding]:
    """Judge an aggregation whose options are bound.

    It may declare, as attributes, `without_branch`, `of_slopes_alone` and `gram_only`; what it declares it must keep.
    """

    def call(V: Tensor, slopes: Tensor) -> Tensor:
        return as_tensor(aggregation(V.clone(), slopes.clone()))

    runs = ("shape",)
    same_numbers = (*runs, "same arguments, same numbers")
    return judged(
        [
            Check("shape", lambda: _shape(call)),
            Check("dtype", lambda: _dtype(call), runs),
            Check("leaves its arguments as they are", lambda: _writes(aggregation), runs),
            Check("finite", lambda: _finite(call), runs),
            Check("same arguments, same numbers", lambda: _repeatable(call), runs),
            Check("zero slopes, zero coefficients", lambda: _zero(call), (*runs, "finite")),
            Check("leading indices are independent", lambda: _leading(call), same_numbers),
            Check("functions are independent", lambda: _columns(call), same_numbers),
            Check("linear in the slopes", lambda: _linear(call), same_numbers),
            Check("estimate", lambda: _estimate(call), runs),
            Check("dependent tangents", lambda: _dependent(call), runs),
            Check(
                "depends on V through V V^T alone",
                lambda: _gram_only(call, trait(aggregation, "gram_only")),
                same_numbers,
            ),
            Check(
                "depends on the slopes alone",
                lambda: _of_slopes_alone(call, trait(aggregation, "of_slopes_alone")),
                same_numbers,
            ),
            Check(
                "form without a branch",
                lambda: _without_branch(call, trait(aggregation, "without_branch")),
                same_numbers,
            ),
            Check(
                "recordable",
                lambda: _recordable(trait(aggregation, "without_branch") or aggregation),
                (*same_numbers, "leaves its arguments as they are"),
            ),
        ]
    )


def _case(k: int, leading: tuple[int, ...] = (), m: int = 2, seed: int = 0, n: int = _N) -> _Case:
    """Return well-conditioned tangents in double precision with the slopes of random gradients."""
    generator = torch.Generator().manual_seed(seed)
    V = torch.randn(*leading, k, n, generator=generator, dtype=torch.float64)
    U, S, Wh = torch.linalg.svd(V, full_matrices=False)
    V = (U * S.clamp(min=0.5).unsqueeze(-2)) @ Wh
    gradients = torch.randn(*leading, n, m, generator=generator, dtype=torch.float64)
    return _Case(V, V @ gradients, gradients)


def _shape(call: Aggregation) -> Seen:
    for k in (1, *_NUMBERS):
        for leading in ((), (3,), (2, 3)):
            for m in (1, 5):
                V, slopes, _ = _case(k, leading, m)
                seen = call(V, slopes).shape
                if seen != slopes.shape:
                    given = f"tangents {sizes(V.shape)} and slopes {sizes(slopes.shape)}"
                    return False, f"expected coefficients {sizes(slopes.shape)} for {given}, saw {sizes(seen)}"
    return True, "that of the slopes, [..., k, m]"


def _dtype(call: Aggregation) -> Seen:
    V, slopes, _ = _case(_N // 2)
    for dtype in (torch.float32, torch.float64):
        seen = call(V.to(dtype), slopes.to(dtype)).dtype
        if seen != dtype:
            return False, f"expected {dtype}, that of the slopes, saw {seen}"
    return True, "that of the slopes, float32 and float64"


def _writes(aggregation: Aggregation) -> Seen:
    V, slopes, _ = _case(_N // 2, (2,))
    return leaves_arguments(aggregation, tangents=V, slopes=slopes)


def _finite(call: Aggregation) -> Seen:
    for k in _NUMBERS:
        coefficients = call(*_case(k, (5,))[:2])
        wrong = int((~coefficients.isfinite()).sum())
        if wrong:
            return False, f"expected finite coefficients, saw {wrong} of {coefficients.numel()} that are not (k = {k})"
    return True, f"for k = {', '.join(map(str, _NUMBERS))} in {_N} dimensions"


def _repeatable(call: Aggregation) -> Seen:
    V, slopes, _ = _case(_N // 2, (2,))
    return repeats_coefficients(call, V, slopes)


def _zero(call: Aggregation) -> Seen:
    for k in _NUMBERS:
        V, slopes, _ = _case(k, (2,))
        seen = call(V, torch.zeros_like(slopes))
        if not (seen == 0).all():
            return False, f"expected coefficients that are 0, saw {_unlike_zero(seen)} (k = {k})"
    return True, "exactly"


def _unlike_zero(coefficients: Tensor) -> str:
    return f"{coefficients[coefficients != 0][0].item():.3g}"


def _leading(call: Aggregation) -> Seen:
    """Compare a set among others with the same set beside a copy of itself, for a batch of one takes other kernels."""
    for dtype in (torch.float32, torch.float64):
        for k in _NUMBERS:
            V, slopes, _ = _case(k, (5,))
            scales = torch.tensor([1, 1e-3, 1e3, 1, -1], dtype=torch.float64).reshape(5, 1, 1)
            V, slopes = V.to(dtype), (slopes * scales).to(dtype)
            together = call(V, slopes)
            for index in range(len(V)):
                alone = call(V[[index, index]], slopes[[index, index]])[0]
                if not same(alone, together[index]):
                    far = difference(together[index], alone)
                    return False, f"expected the same bits alone as among others, saw {far:.1g} of difference (k = {k})"
    return True, "to the last bit"


def _columns(call: Aggregation) -> Seen:
    for k in _NUMBERS:
        V, slopes, _ = _case(k, (3,), m=4)
        slopes = slopes * torch.tensor([1, 1e-3, 1e3, -1], dtype=torch.float64)
        together = call(V, slopes)
        for column in range(slopes.shape[-1]):
            far = difference(together[..., [column]], call(V, slopes[..., [column]]))
            if far > _ROUNDING:
                return False, f"expected the same coefficients for each of m functions alone, saw {far:.1g} (k = {k})"
    return True, "each of m functions has the coefficients that it has alone"


def _linear(call: Aggregation) -> Seen:
    V, slopes, _ = _case(_N // 2)
    others = _case(_N // 2, seed=1).slopes
    doubled = difference(call(V, 2 * slopes), 2 * call(V, slopes))
    if doubled > _ROUNDING:
        return None, f"no, doubling the slopes does not double the coefficients (differs by {doubled:.1g})"
    summed = difference(call(V, slopes + others), call(V, slopes) + call(V, others))
    if summed > _ROUNDING:
        return None, f"no, but doubling the slopes doubles the coefficients (sums differ by {summed:.1g})"
    return True, "yes"


def _estimate(call: Aggregation) -> Seen:
    seen = []
    for k in _NUMBERS:
        V, slopes, gradients = _case(k, (64,))
        estimates = V.mT @ call(V, slopes)
        cosines = torch.cosine_similarity(estimates, gradients, dim=-2).flatten()
        cosine = cosines.mean().item()
        if cosine < -3 * cosines.std().item() / len(cosines) ** 0.5:
            return (
                False,
                f"expected estimates along the gradient, saw a cosine of {cosine:.2f} to it (k = {k})",
            )
        ratio = (estimates.norm(dim=-2) / gradients.norm(dim=-2)).mean().item()
        seen.append(f"{cosine:.2f} and {ratio:.3g} times its length at k = {k}")
    return None, f"cosine to the gradient of {_N} dimensions " + ", ".join(seen)


def _dependent(call: Aggregation) -> Seen:
    for k in _NUMBERS:
        V, _, gradients = _case(k, (3,))
        V[1, -1] = V[1, 0]
        coefficients = call(V, V @ gradients)
        if not coefficients[[0, 2]].isfinite().all():
            return False, f"expected finite coefficients beside a set of dependent tangents, saw others (k = {k})"
        if not coefficients[1].isfinite().all():
            return None, f"coefficients that are not finite where two tangents are the same (k = {k})"
    return True, "finite coefficients where two tangents are the same"


def _gram_only(call: Aggregation, promised: bool | None) -> Seen:
    far = 0.0
    for k in _NUMBERS[:2]:
        V, slopes, _ = _case(k)
        given = call(V, slopes)
        generator = torch.Generator().manual_seed(1)
        Q, _ = torch.linalg.qr(torch.randn(_N, _N, generator=generator, dtype=torch.float64))
        eigenvalues, vectors = torch.linalg.eigh(V @ V.mT)
        for stand_in in (V @ Q, vectors * eigenvalues.clamp(min=0).sqrt()):
            far = max(far, difference(call(stand_in, slopes), given))
    if far <= _ROUNDING:
        return True if promised else None, "yes" if promised else "yes, and may declare it: gram_only=True"
    if promised:
        return False, f"expected what is declared, saw {far:.1g} of difference for another V of the same V V^T"
    return None, f"no, differs by {far:.1g} for another V of the same V V^T: not for tangents=regenerated"


def _of_slopes_alone(call: Aggregation, promised: bool | None) -> Seen:
    V, slopes, _ = _case(_N // 2)
    far = difference(call(_case(_N // 2, seed=1).V, slopes), call(V, slopes))
    if not promised:
        return None, "yes" if far == 0 else "no"
    if far == 0:
        far = difference(call(V[:, :0], slopes), call(V, slopes))
    if far > 0:
        return False, f"expected what is declared, saw {far:.1g} of difference for other tangents"
    return True, "yes"


def _without_branch(call: Aggregation, form: Aggregation | None) -> Seen:
    if form is None:
        return None, "none is declared"
    for k in _NUMBERS:
        V, slopes, _ = _case(k, (3,))
        seen, expected = form(V.clone(), slopes.clone()), call(V, slopes)
        finite = seen.isfinite()
        far = difference(torch.where(finite, seen, 0), torch.where(finite, expected, 0))
        if far > _ROUNDING:
            return False, f"expected the same coefficients where they are finite, saw {far:.1g} of difference (k = {k})"
    return True, "the same coefficients where they are finite"


def _recordable(aggregation: Aggregation) -> Seen:
    def function(V: Tensor, slopes: Tensor) -> tuple[Tensor]:
        return (aggregation(V, slopes),)

    for k in _NUMBERS:
        V, slopes, _ = _case(k, (3,))
        seen = recorded_otherwise(function, (V, slopes), _other_arguments(k))
        if seen[0] is not True:
            return seen
    return seen


def _other_arguments(k: int) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Yield tangents and slopes unlike those of `_case(k, (3,))`, with what they are."""
    V, slopes, _ = _case(k, (3,), seed=1)
    yield "other numbers", (V, slopes)
    for scale in (1e-3, 1e3):
        yield f"slopes of {scale:g} times the size", (V, slopes * scale)
        yield f"tangents of {scale:g} times the size", (V * scale, slopes)
    yield "slopes of another sign", (V, -slopes)
    yield "positive slopes", (V, slopes.abs())
    yield "negative slopes", (V, -slopes.abs())
    yield "slopes that are 0", (V, torch.zeros_like(slopes))
    single = torch.zeros_like(slopes)
    single[..., 0, :] = 1
    yield "a single slope", (V, single)
    yield "tangents in another order", (V.flip(-2), slopes.flip(-2))
