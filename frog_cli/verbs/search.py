"""frog search: the best learning rate, alone or with many processes under mpiexec or srun."""

from __future__ import annotations

from collections.abc import Sequence

from frog_cli.cluster.mpi import parallel
from frog_cli.ranks import launchers
from frog_cli.runs import execution
from frog_cli.runs.folder import runs_root
from frog_cli.search.execution import carry_out
from frog_cli.settings import composing, option_help
from frog_cli.settings.requests import SearchRequest, check_size, search_definition, search_request
from frog_cli.settings.verb_options import Search

HELP = """usage: frog search [-m] [option=value ...]
       mpiexec -n N frog search ...

Search the learning rate with which frog train, given the same options, reaches the lowest validation loss, or the
lowest value of a function. Examples:
  frog search objective=styblinski-tang gradient.k=16
  mpiexec -n 4 frog search experiment=mlp_mnist model.width=256 gradient=mean gradient.k=4 epochs=5
  frog search 'search.also={batch_size: [32, 64, 128]}' search.evaluations=200
  frog search -m gradient.k=1,4,16 gradient=mean        one search for each combination
  frog search search.method=grid search.evaluations=5 search.low=-3 search.high=-1     1e-3, 3.2e-3, 1e-2, 3.2e-2, 1e-1
  frog search learning_rate=curvature search.low=-1     of step.factor, which multiplies lengths from the curvature

The best rate goes to sweeps/searched (or below FROG_SWEEPS), where learning_rate=searched finds it, with a table of
all evaluations and a picture. The same command goes on with a search that was stopped, with any number of processes,
and repeats no evaluation; with more search.evaluations it goes further, but for a grid, which is another one then.

options of the search (frog train --help has the others), their defaults, and in brackets what is allowed:
"""


def help_text(words: Sequence[str] = ()) -> str:
    """Return the usage with every option of a search, whose defaults an experiment may change."""
    given = dict(word.split("=", 1) for word in words if "=" in word)
    return HELP + option_help.of_verb("search", Search, "search.", search_definition(given).get("search"))


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog search` and return its exit status."""
    with parallel() as ranks:
        plans = ranks.first(lambda: _plans(arguments, ranks.size))
        launchers.share_cores(ranks.local_size)
        found = [carry_out(plan, ranks) for plan in plans]
    return 0 if all(found) else 1


def _plans(arguments: Sequence[str], size: int) -> list[SearchRequest]:
    """Return the searches that are asked for, after all checks."""
    from frog_cli.search.propulate_import import propulate

    plans = [search_request(combination) for combination in composing.combinations(arguments)]
    for plan in plans:
        check_size(plan, size)
    execution.check([plan.request for plan in plans])
    runs_root()
    if any(plan.search.method == "evolution" for plan in plans):
        propulate()
    return plans
