"""frog reproduce: all runs behind a figure or table of the papers that are missing, then its table and picture."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from itertools import chain

from frog_cli.cluster.mpi import parallel
from frog_cli.ranks import launchers
from frog_cli.reproduction import command, missing_jobs, progress, report, stored_rows, tables, targets, workers
from frog_cli.reproduction.targets import Scale, Target

HELP = """usage: frog reproduce TARGET ... [scale=laptop] [workers=N] [device=..] [data.root=..] [checkpoint.minutes=..]
       frog reproduce --list [scale=laptop]
       frog reproduce --dry-run TARGET ...
       mpiexec -n N frog reproduce TARGET ...

Make what is missing of figures and tables of both papers: each run that is done is a row in results/TARGET/ (or below
FROG_RESULTS) and is not repeated; then the table results/TARGET.csv and the picture results/TARGET.png and .pdf.
Stopped at any time, the same command goes on.

  --list       the targets, their state, and what they have cost and will
  --dry-run    what would be run
  --only-done  run nothing: take in the runs in FROG_RUNS that are done
  scale        paper: the papers' settings; laptop: the same methods and seeds on smaller problems, all targets in a
               night on two cores, kept in results/laptop/; smoke: seconds, to see that all works, kept below FROG_RUNS
  workers      processes, which share the cores (default: one for each core, or one with a GPU)

A file such as my_target.yaml is a target of your own, also for frog table and frog plot:
  title: Laplace tangents beside normal ones
  train:    # words behind frog train -m, and as well quality and search
    - ideas=[my_ideas.py] objective=sphere tangents=normal,laplace gradient=mean,projection learning_rate=0.01 seeds=3

targets:
{targets}
  all
"""


def help_text() -> str:
    """Return the usage with all targets."""
    return HELP.format(targets="\n".join(f"  {name:<26} {targets.load(name).title}" for name in targets.names()))


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog reproduce` and return its exit status: 1 if something could not be made."""
    with parallel() as ranks:
        request = ranks.first(lambda: command.parse(arguments))
        if request.scale == "smoke":
            os.environ["FROG_SWEEPS"] = str(stored_rows.results_folder("smoke") / "sweeps")
        if "--list" in request.flags:
            if ranks.rank == 0:
                print(progress.table(request.scale))
            return 0
        orders = ranks.first(lambda: missing_jobs.missing(request))
        if "--dry-run" in request.flags:
            for order in chain(*missing_jobs.phases(orders)) if ranks.rank == 0 else []:
                print(" ".join(["frog", order.job.kind, *order.job.arguments]))
            if ranks.rank == 0 and not orders:
                print("frog: nothing is missing", file=sys.stderr)
            return 0
        launchers.share_cores(ranks.local_size)
        processes = (request.workers or workers.default_number()) if ranks.size == 1 else 1
        failures: list[str] = []
        try:
            while phases := missing_jobs.phases(orders):
                own = phases[0][ranks.rank :: ranks.size]
                for failure in missing_jobs.make(own, request.scale, processes, request.extra, ranks.local_rank):
                    failures.append(failure)
                ranks.wait()
                searched = phases[0][0].job.kind == "search"  # which may have found other rates than earlier runs had
                orders, waiting = ranks.first(lambda: missing_jobs.behind_searches(request)) if searched else ([], [])
                failures += waiting if ranks.rank == 0 else []
            if failures and not missing_jobs.missing(request):  # another command has made them
                failures.clear()
            if ranks.rank == 0:
                _finish(request.targets, request.scale)
        finally:
            for failure in failures:
                print(f"frog: {failure}", file=sys.stderr)
        return 1 if failures else 0


def _finish(chosen: Sequence[Target], scale: Scale) -> None:
    """Make tables, pictures and the report anew, and print where they are."""
    from frog_cli.reproduction.figures import by_target

    for target in chosen:
        own = targets.own_scale(target, scale)
        results = stored_rows.results_folder(own)
        paths = [*tables.write_tables(target, results, own), *by_target.draw(target, results, own)]
        print(f"{target.name}: {progress.describe(target, scale)}", *[f"  {path}" for path in paths], sep="\n")
    for path in report.write_if_about(chosen, scale):
        print(path)
