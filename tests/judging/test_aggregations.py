from __future__ import annotations

import ctypes
from functools import partial

import numpy as np
import pytest
import torch

from frog_cli.gradients import AGGREGATIONS
from frog_cli.gradients.aggregation import mean, projection, projection_if_well_conditioned
from frog_cli.judging.aggregations import judge_aggregation
from tests.judging.faults import failed, seen


def declaring(aggregation, **promises):
    aggregation = partial(aggregation)
    vars(aggregation).update(promises)
    return aggregation


def one_for_all_functions(tangents, slopes):
    return slopes.sum(-1, keepdim=True)


def in_double_precision(tangents, slopes):
    return slopes.double()


def mixes_sets(tangents, slopes):
    return slopes if slopes.ndim == 2 else slopes - slopes.mean(0)


def mixes_functions(tangents, slopes):
    return slopes - slopes.mean(-1, keepdim=True)


def writes(tangents, slopes):
    return slopes.mul_(0.5)


def frozen(tangents, slopes):
    """Read values by a way that a recording does not notice."""
    held = slopes.detach().contiguous()
    content = ctypes.string_at(held.data_ptr(), held.nbytes)
    values = np.frombuffer(content, str(slopes.dtype).removeprefix("torch."))
    return torch.from_numpy(np.clip(values, -1, 1)).reshape(slopes.shape)


def by_numpy(tangents, slopes):
    return torch.from_numpy(np.clip(slopes.detach().numpy(), -1, 1))


def random(tangents, slopes):
    return slopes * torch.rand(())


def normalised_without_care(tangents, slopes):
    return slopes / torch.linalg.vector_norm(slopes, dim=-2, keepdim=True)


def by_size_of_entries(tangents, slopes):
    return slopes / tangents.abs().sum(-1, keepdim=True)


def half(tangents, slopes):
    return slopes / 2


FAULTY = [
    (lambda tangents, slopes: -slopes / slopes.shape[-2], ["estimate"]),
    (one_for_all_functions, ["shape"]),
    (lambda tangents, slopes: None, ["shape"]),
    (in_double_precision, ["dtype"]),
    (mixes_sets, ["leading indices are independent"]),
    (mixes_functions, ["functions are independent"]),
    (writes, ["leaves its arguments as they are"]),
    (frozen, ["recordable"]),
    (random, ["same arguments, same numbers"]),
    (normalised_without_care, ["zero slopes, zero coefficients"]),
    (declaring(by_size_of_entries, gram_only=True), ["depends on V through V V^T alone"]),
    (declaring(projection, of_slopes_alone=True), ["depends on the slopes alone"]),
    (declaring(mean, without_branch=half), ["form without a branch"]),
]


@pytest.mark.parametrize(("aggregation", "checks"), FAULTY)
def test_a_fault_is_found_by_the_check_that_names_it(aggregation, checks):
    findings = judge_aggregation(aggregation)
    assert failed(findings) == checks, findings


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_those_that_depend_on_the_gram_matrix_alone_may_say_so(name):
    def undeclared(tangents, slopes):
        return AGGREGATIONS[name](tangents, slopes)

    assert "gram_only=True" in seen(judge_aggregation(undeclared), "depends on V through V V^T alone").seen
    findings = judge_aggregation(declaring(AGGREGATIONS[name], gram_only=True))
    assert seen(findings, "depends on V through V V^T alone").ok


def test_what_depends_on_more_is_told_that_it_cannot_be_regenerated():
    finding = seen(judge_aggregation(by_size_of_entries), "depends on V through V V^T alone")
    assert finding.ok is None
    assert finding.seen.startswith("no")


def test_the_estimate_is_told_beside_the_gradient():
    words = seen(judge_aggregation(projection), "estimate").seen
    assert "1.00 and 1 times its length at k = 8, 1.00 and 1 times its length at k = 16" in words


def clipped_where_large(tangents, slopes):
    return slopes.clamp(-1, 1) if slopes.abs().max() > 1 else slopes


@pytest.mark.parametrize("aggregation", [clipped_where_large, by_numpy])
def test_a_branch_on_values_is_told(aggregation):
    findings = judge_aggregation(aggregation)
    assert failed(findings) == []
    assert seen(findings, "recordable").seen == "no, has a branch on values: runs as it is, slower"
    assert seen(findings, "linear in the slopes").ok is None


def test_numbers_that_are_not_finite_for_dependent_tangents_are_told():
    finding = seen(judge_aggregation(projection_if_well_conditioned), "dependent tangents")
    assert finding.ok is None
    assert "not finite" in finding.seen
