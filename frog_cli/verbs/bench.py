"""frog bench: what a step costs, in time and memory, beside a plain forward pass and a step of backpropagation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import yaml

from frog_cli.files.atomic import write_atomically
from frog_cli.files.csv import as_csv
from frog_cli.ranks.command import on_all_ranks
from frog_cli.ranks.shape import shape
from frog_cli.runs.folder import runs_location, runs_root
from frog_cli.runs.identity import digest, slug
from frog_cli.settings import option_help
from frog_cli.settings.requests import BenchRequest, bench_request
from frog_cli.settings.verb_options import Bench
from frog_cli.studies.step_cost_rows import image_of

if TYPE_CHECKING:
    from frog_cli.ranks.ranks import Ranks

HELP = """usage: frog bench [-m] [bench.OPTION=value ...] [option=value ...]
       torchrun --nproc-per-node N --no-python frog bench parallel=tangents ...

Measure what steps cost: their time and its parts, and their peak memory, as ratios to one plain forward pass of the
same network and to one step of backpropagation, taken in turns in the same process. The options are those of frog
train, and -m measures every combination; the data are random numbers. Of several ranks the first one tells what it
took, and how many bytes all of them have exchanged in a step. Examples:
  frog bench -m model=mlp model.width=1024 data=mnist batch_size=64 gradient=mean,projection gradient.k=1,4,16
  frog bench -m model=resnet18 data=cifar10 gradient.k=1,4,16 gradient.measure=forward,simulated
  frog bench -m model=mlp model.depth=2,8,32,128 gradient=mean gradient.k=1

options of bench (frog train --help has the others), their defaults, and in brackets what is allowed:
"""


def help_text() -> str:
    """Return the usage with every option of bench and its default."""
    return HELP + option_help.of_verb("bench", Bench, "bench.")


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog bench` and return its exit status."""
    return on_all_ranks(_bench, arguments)


def _request(arguments: Sequence[str], processes: int = 1) -> BenchRequest:
    """Return what is to be measured, after all checks."""
    request = bench_request(arguments)
    for run in request.runs:
        image_of(run, request.bench)
        shape(run.parallel, processes)
    return request


def _bench(arguments: Sequence[str], ranks: Ranks | None, local_rank: int | None) -> int:
    """Measure, on all ranks if there are several, of which the first one tells."""
    request = ranks.first(lambda: _request(arguments, ranks.size)) if ranks else _request(arguments)
    words = sorted(arguments) + ([f"ranks={ranks.size}"] if ranks else [])
    folder = runs_location() / f"bench-{slug(request.runs[0])}-{digest({'words': words})}"

    import pandas

    from frog_cli.ranks.ranks import ALONE
    from frog_cli.studies.step_cost_pictures import draw_all
    from frog_cli.studies.step_cost_table import as_text
    from frog_cli.studies.step_costs import measure

    rows = measure(request, ranks or ALONE, local_rank)
    if ranks and ranks.rank > 0:
        return 0
    runs_root()
    folder.mkdir(exist_ok=True)
    write_atomically(folder / "words.yaml", yaml.safe_dump(words))
    write_atomically(folder / "bench.csv", as_csv(rows))
    print(as_text(rows))
    print(f"  table    {folder / 'bench.csv'}")
    for path in draw_all(pandas.read_csv(folder / "bench.csv"), folder):
        print(f"  picture  {path}")
    return 0
