"""What a search tries next: a point of its grid, or what the operators of Propulate breed from frog's own record."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence

from frog_cli.search.propulate_import import propulate
from frog_cli.search.record import Evaluation, Values
from frog_cli.settings.verb_options import Interval, Search

_RANDOM = 0.1  # a share of proposals that owe nothing to earlier ones; Propulate's 0.4 is for spaces of many dimensions
_WIDEST, _NARROWEST = 0.05, 0.004  # how far mutations reach, as a share of the interval: ever closer to the best
_AT_END = 0.02  # of the interval: bred values come close to an end without being on it
_REFINED = 150  # after so many evaluations a tenth as far


def propose(search: Search, searched: str, evaluations: Sequence[Evaluation], number: int) -> Values:
    """Return values to evaluate: of a grid the next ones; else random ones until there is a population, then bred.

    The same evaluations lead to the same proposal of a number; a grid does not depend on them.

    Args:
        search: the settings of the search.
        searched: the option whose interval they bound.
        evaluations: what is known.
        number: of the proposal.
    """
    if search.method == "grid":
        step = (search.high - search.low) / max(1, search.evaluations - 1)
        return {searched: 10 ** (search.low + number * step)}
    propulate_ = propulate()
    space = intervals(search, searched)
    limits = {
        name: _limits(choices) if isinstance(choices, Interval) else tuple(map(json.dumps, choices))
        for name, choices in space.items()
    }
    population = []
    for evaluation in evaluations:
        genes = {name: _gene(choices, evaluation.values[name]) for name, choices in space.items()}
        individual = propulate_.Individual(genes, limits)
        individual.loss = evaluation.loss
        population.append(individual)
    generator = random.Random(f"{search.seed} {number}")
    propagator = propulate_.get_default_propagator(
        search.population,
        limits,
        mutation_prob=_RANDOM,
        random_init_prob=_RANDOM,
        sigma_factor=max(_NARROWEST, _WIDEST * 10 ** (-number / _REFINED)),
        rng=generator,
    )
    proposed = propagator(population)
    return {name: _value(choices, proposed[name]) for name, choices in space.items()}


def intervals(search: Search, searched: str) -> dict[str, Interval | list[bool | int | float | str]]:
    """Return the whole space: the learning rate, or what stands for it, and what is searched with it."""
    return {searched: Interval(low=10**search.low, high=10**search.high, log=True), **search.also}


def end_of_interval(value: float, low: float, high: float) -> str:
    """Return "lower" or "upper" if the best value lies at that end of what was searched, else "".

    A better one may lie beyond.

    Args:
        value: the best value, above zero.
        low: the interval's lower end as a logarithm to base 10, as search.low is.
        high: its upper end.
    """
    near = _AT_END * (high - low)
    if math.log10(value) <= low + near:
        return "lower"
    return "upper" if math.log10(value) >= high - near else ""


def _limits(interval: Interval) -> tuple[float, float]:
    return (math.log10(interval.low), math.log10(interval.high)) if interval.log else (interval.low, interval.high)


def _gene(choices: Interval | list[bool | int | float | str], value: bool | int | float | str) -> float | str:
    """Encode a value for Propulate, which keeps categories as text."""
    if isinstance(choices, list):
        return json.dumps(value)
    return math.log10(value) if choices.log else float(value)  # type: ignore[arg-type]


def _value(choices: Interval | list[bool | int | float | str], gene: float | str) -> bool | int | float | str:
    """Decode what `_gene` encodes."""
    if isinstance(choices, list):
        return json.loads(str(gene))
    return 10 ** float(gene) if choices.log else float(gene)
