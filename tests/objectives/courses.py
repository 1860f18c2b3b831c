"""The course of an objective, whole and interrupted."""

from __future__ import annotations

from collections.abc import Callable

from frog_cli.objectives.objective import Objective


def remaining_rows(objective: Objective) -> list:
    """Take all epochs that are left and return what is measured after each."""
    found = []
    for _ in range(objective.epochs):
        objective.epoch()
        found.append(objective.measure())
    return found


def check_that_it_goes_on_bitwise(make: Callable[[], Objective]) -> list:
    """Interrupt an objective after its first step and go on with another one: it must end as one that was not.

    Returns what is measured after each epoch.
    """
    whole = make()
    whole.measure()
    expected = remaining_rows(whole)
    first = make()
    first.measure()
    left = iter([False, True])
    assert not first.epoch(lambda: next(left))
    states = first.states()
    second = make()
    second.restore(states)
    found = remaining_rows(second)
    assert found == expected
    assert second.summaries() == whole.summaries()
    return found
