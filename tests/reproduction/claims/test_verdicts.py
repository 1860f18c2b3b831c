from __future__ import annotations

from itertools import combinations, permutations, product

import pytest
from pandas import Series

from frog_cli.reproduction.claims.verdicts import chance_of_as_many_apart, ranges_overlap


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
