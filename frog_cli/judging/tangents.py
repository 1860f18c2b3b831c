"""The judge of samplers of tangents: shape, type, source of random numbers, independence, bias."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from frog_cli.gradients.tangents import Sampler
from frog_cli.ideas import trait
from frog_cli.judging.findings import (
    Check,
    Finding,
    Seen,
    as_tensor,
    judged,
    same,
    seed_all_sources,
    sizes,
    states_of_sources,
    told,
)

_SHAPES = (4, 6), (1, 5), (7, 3), (3, 4, 6), (2, 3, 4, 6)
_SET = 4, 16
_SETS = 16  # along each of two leading indices
_DRAWS = 4000
_LIMIT = 6.0  # standard errors: by chance once in 10^8 times, and the seeds are fixed


def judge_tangents(sampler: Sampler, device: torch.device | None = None) -> list[Finding]:
    """Judge a sampler whose options are bound.

    It may declare, as attributes, `unbiased` and `independent_entries`; what it declares it must keep.

    Args:
        sampler: maps a shape `[..., k, n]`, a generator and a dtype to tangents of that shape.
        device: of the generator; None for the CPU.
    """

    def draw(shape: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        seed_all_sources(0)  # whoever draws from these is found by the check of that, and by no other
        return as_tensor(sampler(shape, Generator(device or "cpu").manual_seed(seed), dtype))

    runs = ("shape",)
    draws = (*runs, "same seed, same numbers", "draws from the given generator only")
    statistics = (*draws, "finite")
    return judged(
        [
            Check("shape", lambda: _shape(draw)),
            Check("dtype", lambda: _dtype(draw), runs),
            Check("device", lambda: _device(draw, device or torch.device("cpu")), runs),
            Check("finite", lambda: _finite(draw), runs),
            Check("same seed, same numbers", lambda: _reproducible(draw), runs),
            Check("draws from the given generator only", lambda: _source(sampler, device), draws[:2]),
            Check("different seeds are independent", lambda: _seeds(draw), statistics),
            Check(
                "draws again, other numbers",
                lambda: _moves_on(sampler, device),
                (*draws, "different seeds are independent"),
            ),
            Check("rows differ", lambda: _rows(draw), runs),
            Check(
                "leading indices are independent",
                lambda: _leading(draw),
                (*statistics, "different seeds are independent"),
            ),
            Check(
                "unbiased for sum and mean",
                lambda: _unbiased(draw, trait(sampler, "unbiased")),
                ("leading indices are independent",),
            ),
            Check(
                "entries independent of each other",
                lambda: _independent(draw, trait(sampler, "independent_entries")),
                ("leading indices are independent",),
            ),
        ]
    )


Draw = Callable[..., Tensor]
"""Draws tangents of a shape, from a seed and of a dtype."""


def _shape(draw: Draw) -> Seen:
    for shape in _SHAPES:
        seen = tuple(draw(shape).shape)
        if seen != shape:
            return False, f"expected {sizes(shape)}, saw {sizes(seen)}"
    return True, f"as asked for, such as {sizes(_SHAPES[0])} and {sizes(_SHAPES[-1])}"


def _dtype(draw: Draw) -> Seen:
    for dtype in (torch.float32, torch.float64):
        seen = draw(_SET, dtype=dtype).dtype
        if seen != dtype:
            return False, f"expected {dtype}, saw {seen}"
    return True, "float32 and float64, as asked for"


def _device(draw: Draw, device: torch.device) -> Seen:
    seen = draw(_SET).device
    if seen.type != device.type:
        return False, f"expected tangents on the generator's device, {device.type}, saw {seen.type}"
    return True, f"the generator's, {seen.type}"


def _finite(draw: Draw) -> Seen:
    V = draw((_SETS, *_SET))
    wrong = int((~V.isfinite()).sum())
    if wrong:
        return False, f"expected finite numbers, saw {wrong} of {V.numel()} that are not"
    return True, f"all of {V.numel()}"


def _source(sampler: Sampler, device: torch.device | None) -> Seen:
    drawn = []
    for seed in (0, 1):
        seed_all_sources(seed)
        before = states_of_sources()
        drawn.append(sampler(_SET, Generator(device or "cpu").manual_seed(0), torch.float32))
        after = states_of_sources()
        moved = [name for name in before if before[name] != after[name]]
        if moved:
            return False, f"expected only the given generator to move, saw the global one of {' and '.join(moved)} move"
    if not same(*drawn):
        return False, "expected numbers from the given generator, saw some that follow the global random numbers"
    return True, "the global ones of torch, Python and numpy stay where they are"


def _reproducible(draw: Draw) -> Seen:
    if not same(draw(_SET), draw(_SET)):
        return False, "expected the same numbers from two generators of one seed, saw others"
    return True, "to the last bit"


def _seeds(draw: Draw) -> Seen:
    drawn = torch.stack([draw(_SET, seed) for seed in range(_SETS**2)]).double()
    if (drawn[1:] == drawn[:-1]).flatten(1).all(1).any():
        return False, "expected different numbers from different seeds, saw the same"
    z = _correlation(drawn, drawn.mean(0), 1)
    return _told_by_score(z, "numbers of one seed", "those of the next")


def _moves_on(sampler: Sampler, device: torch.device | None) -> Seen:
    generator = Generator(device or "cpu").manual_seed(0)
    if same(sampler(_SET, generator, torch.float32), sampler(_SET, generator, torch.float32)):
        return False, "expected the generator to move on, saw the same numbers drawn from it twice"
    return True, "the generator moves on"


def _rows(draw: Draw) -> Seen:
    V = draw(_SET)
    for row in range(1, len(V)):
        if (V[:row] == V[row]).all(1).any():
            return False, f"expected different tangents, saw row {row} equal an earlier one"
    return True, f"{len(V)} different ones in {V.shape[1]} dimensions"


def _leading(draw: Draw) -> Seen:
    V = draw((_SETS, _SETS, *_SET)).double().flatten(0, 1)
    for distance in (1, _SETS):
        if (V[distance:] == V[:-distance]).flatten(1).all(1).any():
            return False, "expected a set of its own for each leading index, saw two that are the same"
    mean = torch.stack([draw(_SET, seed) for seed in range(1, _SETS**2 + 1)]).double().mean(0)
    z = max((_correlation(V, mean, distance) for distance in (1, _SETS)), key=abs)
    return _told_by_score(z, "one set", "the next")


def _correlation(sets: Tensor, mean: Tensor, distance: int) -> float:
    """Return by how many standard errors the inner products of sets at a distance differ from 0."""
    centred = (sets - mean).flatten(1)
    return _scores((centred[distance:] * centred[:-distance]).sum(1)).item()


def _scores(samples: Tensor, expected: float = 0.0, others: Tensor | None = None) -> Tensor:
    """Return by how many standard errors the means `[...]` of samples `[S, ...]` are off what is expected.

    Args:
        samples: independent of each other.
        expected: a number, if not the means of others.
        others: more samples, independent of the first.
    """
    distance, variance = samples.mean(0) - expected, samples.var(0) / len(samples)
    if others is not None:
        distance, variance = distance - others.mean(0), variance + others.var(0) / len(others)
    scores = (distance / variance.clamp(min=1e-300).sqrt()).clamp(-999, 999)
    none = distance.abs() <= 1e-5 * samples.abs().mean(0)  # by rounding, where nothing is random: lengths of signs
    return torch.where(none, 0.0, scores)


def _told_by_score(z: float, one: str, other: str) -> Seen:
    if abs(z) < _LIMIT:
        return True, f"{one} and {other} are uncorrelated (z = {z:.1f})"
    return False, f"expected {one} and {other} to be uncorrelated, saw a correlation of {z:.0f} standard errors"


def _unbiased(draw: Draw, promised: bool | None) -> Seen:
    """Look at E[V^T V] / k, which makes of a gradient the expectation of the mean of its forward gradients."""
    multiples = []
    for draws, k, n in ((_DRAWS, 2, 8), (_DRAWS, 2, 16), (_DRAWS, 6, 16), (_DRAWS // 10, 2, 256)):
        V = draw((draws, k, n), dtype=torch.float64)
        diagonal = V.square().mean(1)
        multiple = diagonal.mean(1)
        row, column = torch.triu_indices(min(n, 16), min(n, 16), 1)
        beside = (V[..., row] * V[..., column]).mean(1)
        z = _scores(torch.cat([diagonal - multiple.unsqueeze(1), beside], dim=1)).abs().max().item()
        where = f"n = {n}" if k == 2 else f"k = {k}, n = {n}"
        if z > _LIMIT:
            return False if promised else None, f"no, biased in direction (z = {z:.0f} at {where})"
        multiples.append((where, multiple.mean().item(), _scores(multiple, 1.0).item()))
    if all(abs(z) < _LIMIT for _, _, z in multiples):
        return True if promised else None, f"yes (z = {multiples[1][2]:.1f})"
    saw = " and ".join(f"{multiple:.3g} times the gradient at {where}" for where, multiple, _ in multiples)
    return False if promised else None, f"no, but in the gradient's direction: {saw}"


def _independent(draw: Draw, promised: bool | None) -> Seen:
    """Compare rows with such as are put together from blocks, drawn one by one, as `regenerated` does."""
    whole = draw((_DRAWS, 2, 8), dtype=torch.float64)
    try:
        blocks = [draw((_DRAWS, 1, 4), seed, torch.float64) for seed in range(1, 5)]
    except Exception as error:
        return False if promised else None, f"no, blocks of a row cannot be drawn: {told(error)}"
    together = torch.cat([torch.cat(blocks[:2], dim=1), torch.cat(blocks[2:], dim=1)], dim=2)
    properties = _properties(together)
    for name, samples in _properties(whole).items():
        z = _scores(samples, others=properties[name]).item()
        if abs(z) > _LIMIT:
            reason = f"rows put together from blocks differ in {name} (z = {z:.0f})"
            return False if promised else None, f"no, {reason}: not for tangents=regenerated"
    return True if promised else None, "yes, so that they can be drawn block by block (tangents=regenerated)"


def _properties(V: Tensor) -> dict[str, Tensor]:
    """Return numbers `[S]` of sets `[S, 2, n]` whose expectations tell joint distributions of entries apart."""
    one, other = V.unbind(1)
    first, second = V.chunk(2, dim=2)
    return {
        "the mean": V.mean((1, 2)),
        "the variance": V.square().mean((1, 2)),
        "the mean size": V.abs().mean((1, 2)),
        "the spread of the length": one.square().sum(1).square(),
        "the product of two rows": (one * other).sum(1),
        "the spread of the product of two rows": (one * other).sum(1).square(),
        "the product of two halves": (first * second).sum((1, 2)),
        "the product of the lengths of two halves": (first.square().sum(2) * second.square().sum(2)).sum(1),
        "the product of the lengths of two rows": one.square().sum(1) * other.square().sum(1),
    }
