from __future__ import annotations

from functools import partial

from frog_cli import ideas
from frog_cli.gradients import AGGREGATIONS


def test_a_decorator_leaves_the_function_as_it_is_and_says_what_it_is_of():
    def largest(tangents, slopes, *, count: int = 1):
        return slopes * count

    registered = ideas.aggregation(gram_only=True)(largest)
    assert registered is largest
    assert ideas.registered("aggregation")["largest"].function is largest
    assert ideas.trait(partial(largest, count=2), "gram_only", False)
    assert not ideas.trait(largest, "of_slopes_alone", False)
    assert ideas.trait(largest, "without_branch", None) is None


def test_names_come_from_functions_unless_they_are_given():
    assert ideas.registered("aggregation")["sum"].function is AGGREGATIONS["sum"]


def test_what_frogs_own_aggregations_say():
    says = {name: (one.gram_only, one.of_slopes_alone) for name, one in AGGREGATIONS.items()}
    assert says == {"sum": (True, True), "mean": (True, True), "projection": (True, False)}
