from __future__ import annotations

from itertools import combinations, permutations, product

import pytest
from pandas import Series

from frog_cli.reproduction.claims.verdicts import (
    all_hold,
    chance_of_as_many,
    chance_of_as_many_apart,
    is_lower,
    ranges_overlap,
    sign_test,
)


@pytest.mark.parametrize(
    ("groups", "overlap"),
    [
        (([1, 3], [2, 4]), True),
        (([1, 2], [3, 4]), False),
        (([1, 2], [2, 4]), True),
        (([1, 9], [3, 4]), True),
        (([1, 3], [2, 5], [4, 6]), False),
    ],
)
def test_ranges_that_overlap_have_a_value_in_common(groups, overlap):
    for order in permutations(groups):
        assert ranges_overlap([Series(values) for values in order]) is overlap


@pytest.mark.parametrize("seeds", [(2,), (3,), (1, 2), (3, 3), (2, 3, 2)])
def test_the_chance_is_that_of_all_orders_of_the_values(seeds):
    """Each pair's values are ranks, of which any half may be one sample's: all are counted."""
    splits = [[{*low} in ({*range(s)}, {*range(s, 2 * s)}) for low in combinations(range(2 * s), s)] for s in seeds]
    cases = [sum(case) for case in product(*splits)]
    for apart in range(len(seeds) + 1):
        expected = sum(case >= apart for case in cases) / len(cases)
        assert chance_of_as_many_apart(apart, seeds) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("trials", [0, 1, 5, 9])
def test_the_chance_of_signs_is_that_of_all_signs(trials):
    cases = [sum(signs) for signs in product((0, 1), repeat=trials)]
    for successes in range(trials + 1):
        expected = sum(case >= successes for case in cases) / len(cases)
        assert chance_of_as_many(successes, trials) == pytest.approx(expected, rel=1e-12)
    assert sign_test(trials, trials) is (True if trials >= 5 else None)
    assert sign_test(0, trials) is (False if trials >= 5 else None)


def test_what_cannot_be_told():
    one, other = Series([1.0, 2.0]), Series([2.0, 3.0])
    assert is_lower(one, other) is None
    assert is_lower(one, other + 1) is True
    assert is_lower(other + 1, one) is False
    assert [all_hold(found) for found in ([True, True], [True, None], [None, False], [])] == [True, None, False, None]
