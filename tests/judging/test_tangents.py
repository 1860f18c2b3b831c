from __future__ import annotations

import random
from functools import cache, partial

import numpy as np
import pytest
import torch

from frog_cli.gradients import TANGENTS
from frog_cli.gradients.tangents import cone, normal, normalised, normalised_cone, rademacher
from frog_cli.judging.tangents import judge_tangents
from tests.judging.faults import failed, seen

BUILT_IN = {**TANGENTS, "cone": partial(cone, angle=30), "normalised_cone": partial(normalised_cone, angle=90)}


@cache
def findings_of_built_in(name):
    return judge_tangents(BUILT_IN[name])


def transposed(shape, generator, dtype):
    return normal(shape, generator, dtype).mT


def in_double_precision(shape, generator, dtype):
    return normal(shape, generator, torch.float64)


def from_torch(shape, generator, dtype):
    return torch.randn(shape, dtype=dtype)


def from_numpy(shape, generator, dtype):
    return torch.from_numpy(np.random.standard_normal(shape)).to(dtype)


def from_python(shape, generator, dtype):
    return normal(shape, generator, dtype) * random.random()


def from_the_clock(shape, generator, dtype):
    return torch.from_numpy(np.random.default_rng().standard_normal(shape)).to(dtype)


def always_the_same(shape, generator, dtype):
    return normal(shape, torch.Generator().manual_seed(3), dtype)


def same_again(shape, generator, dtype):
    return normal(shape, torch.Generator().manual_seed(generator.initial_seed()), dtype)


def neighbouring_seeds_share_a_part(shape, generator, dtype):
    shared = torch.Generator().manual_seed(generator.initial_seed() // 2)
    return normal(shape, generator, dtype) + normal(shape, shared, dtype)


def one_set_for_all(shape, generator, dtype):
    return normal(shape[-2:], generator, dtype).expand(shape)


def sets_share_a_part(shape, generator, dtype):
    return normal(shape, generator, dtype) + normal(shape[-2:], generator, dtype)


def one_row(shape, generator, dtype):
    return normal((*shape[:-2], 1, shape[-1]), generator, dtype).expand(shape)


def not_finite(shape, generator, dtype):
    return 1 / rademacher(shape, generator, dtype).sub(1)


def fails(shape, generator, dtype):
    raise RuntimeError("no such thing\nand more")


FAULTY = [
    (transposed, ["shape"]),
    (fails, ["shape"]),
    (lambda shape, generator, dtype: normal(shape, generator, dtype).numpy(), ["shape"]),
    (in_double_precision, ["dtype"]),
    (from_torch, ["draws from the given generator only"]),
    (from_numpy, ["draws from the given generator only"]),
    (from_python, ["draws from the given generator only"]),
    (from_the_clock, ["same seed, same numbers"]),
    (always_the_same, ["different seeds are independent"]),
    (same_again, ["draws again, other numbers"]),
    (neighbouring_seeds_share_a_part, ["different seeds are independent"]),
    (one_set_for_all, ["leading indices are independent"]),
    (sets_share_a_part, ["leading indices are independent"]),
    (one_row, ["rows differ"]),
    (not_finite, ["finite"]),
]


@pytest.mark.parametrize(("sampler", "checks"), FAULTY)
def test_a_fault_is_found_by_the_check_that_names_it(sampler, checks):
    findings = judge_tangents(sampler)
    assert failed(findings) == checks, findings


def laplace(shape, generator, dtype, *, scale=1.0):
    uniform = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64) - 0.5
    return (-scale * uniform.sign() * torch.log1p(-2 * uniform.abs())).to(dtype)


def first_coordinates_larger(shape, generator, dtype):
    return normal(shape, generator, dtype) * torch.linspace(1, 2, shape[-1], dtype=dtype)


@pytest.mark.parametrize(
    ("sampler", "words"),
    [
        (normal, "yes"),
        (BUILT_IN["cone"], "yes"),
        (partial(laplace, scale=0.5**0.5), "yes"),
        (normalised, "0.125 times the gradient at n = 8 and 0.0625 times"),
        (laplace, "times the gradient at n = 8"),
        (first_coordinates_larger, "biased in direction"),
    ],
)
def test_bias_is_told(sampler, words):
    finding = seen(judge_tangents(sampler), "unbiased for sum and mean")
    assert finding.ok is (True if sampler in (normal, BUILT_IN["cone"]) else None)  # which declare it
    assert words in finding.seen


@pytest.mark.parametrize("name", BUILT_IN)
def test_independent_entries_are_told(name):
    finding = seen(findings_of_built_in(name), "entries independent of each other")
    declared = name in ("normal", "rademacher", "regenerated")
    assert finding.ok is (True if declared else None)
    assert finding.seen.startswith("yes" if declared else "no")


def declaring(sampler, **promises):
    sampler = partial(sampler)
    vars(sampler).update(promises)
    return sampler


def test_what_a_sampler_declares_it_must_keep():
    promises = {"unbiased": True, "independent_entries": True}
    assert failed(judge_tangents(declaring(normalised, **promises))) == [
        "unbiased for sum and mean",
        "entries independent of each other",
    ]
    assert failed(judge_tangents(partial(declaring(laplace, **promises), scale=0.5**0.5))) == []


def wrong_from_the_third_row_on(shape, generator, dtype):
    V = normal(shape, generator, dtype)
    V[..., 2:, :] *= 2
    return V


def nothing_beyond_100_dimensions(shape, generator, dtype):
    V = normal(shape, generator, dtype)
    V[..., 100:] = 0
    return V


@pytest.mark.parametrize("sampler", [wrong_from_the_third_row_on, nothing_beyond_100_dimensions])
def test_a_bias_of_more_tangents_or_dimensions_is_found(sampler):
    assert failed(judge_tangents(declaring(sampler, unbiased=True))) == ["unbiased for sum and mean"]


def test_an_exception_is_a_finding_and_stops_what_would_raise_it_again():
    first, *others = judge_tangents(fails)
    assert first.seen == "RuntimeError: no such thing"
    assert {finding.ok for finding in others} == {None}
    assert all(finding.seen.startswith("not looked at, because of: shape") for finding in others[:5])
