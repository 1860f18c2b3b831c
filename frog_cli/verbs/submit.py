"""frog submit: hand another verb to Slurm, a sweep as an array of jobs, without what is done."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from frog_cli.cluster import slurm, srun
from frog_cli.data import locations
from frog_cli.errors import RequestError
from frog_cli.files.atomic import write_atomically
from frog_cli.ideas import sources
from frog_cli.ranks.shape import shape
from frog_cli.reproduction import command, stored_rows
from frog_cli.runs.folder import RunFolder, runs_location, runs_root
from frog_cli.runs.identity import digest
from frog_cli.settings import composing, idea_groups, learning_rates, option_help
from frog_cli.settings.requests import check_size, search_request, slurm_settings, train_request
from frog_cli.settings.schema import ClassificationRun
from frog_cli.settings.verb_options import Slurm

HELP = """usage: frog submit [--dry-run] [slurm.option=value ...] VERB [words of the verb ...]

Write a batch script for a verb of frog and submit it with sbatch. A sweep (train -m, search -m) becomes an array of
jobs, one for each combination; runs that are done are left out, and searches that are done end at once. A job that
reaches its time limit saves its state, goes back into the queue and goes on where it was. Examples:
  frog submit slurm.time=02:00:00 train -m experiment=mlp_mnist gradient.k=4,16 seed=0,1,2
  frog submit slurm.tasks=4 slurm.cpus=8 search experiment=mlp_mnist gradient=mean gradient.k=4
  frog submit slurm.tasks=8 train experiment=mlp_mnist gradient.k=64 parallel=tangents learning_rate=0.01
  frog submit --dry-run 'slurm.setup=[module load mpi]' slurm.gpus=1 train experiment=table1

  --dry-run    print the script, submit nothing

options, their defaults, and in brackets what is allowed:
"""

VERBS = ("train", "search", "reproduce")  # which save their state on a signal


def help_text() -> str:
    """Return the usage with every option and its default."""
    return HELP + option_help.of_verb("slurm", Slurm, "slurm.")


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog submit` and return its exit status."""
    settings = slurm_settings([word for word in arguments if word.startswith("slurm.")])
    words = [word for word in arguments if not word.startswith("slurm.") and word != "--dry-run"]
    if not words or words[0] not in VERBS:
        given = f"frog submit {words[0]}" if words else "frog submit"
        raise RequestError(given, f"needs one of the verbs {', '.join(VERBS)}")
    verb = words[0]
    if settings.notice >= slurm.seconds(settings.time):
        raise RequestError(f"slurm.notice={settings.notice}", f"must be shorter than slurm.time={settings.time}")
    if settings.tasks > 1 and verb not in ("train", "search"):
        raise RequestError(f"slurm.tasks={settings.tasks}", f"train and search run as several processes, not {verb}")
    commands, done, alike = _commands(verb, words[1:], settings.tasks)
    if done:
        print(f"{done} of {done + len(commands)} jobs are done already", file=sys.stderr)
    if alike:
        print(f"{alike} more would make the runs of others", file=sys.stderr)
    if not commands:
        print("nothing to submit")
        return 0
    if settings.tasks > 1 and settings.mpi is None:  # which training needs none of
        settings = settings.model_copy(update={"mpi": srun.mpi_type() if verb == "search" else "none"})
    logs = runs_root().resolve() / "slurm"
    if odd := slurm.UNWRITABLE & {*str(logs)}:
        raise RequestError(f"FROG_RUNS={runs_location()}", f"is in a path with {min(odd)!r}, which Slurm cannot take")
    name = f"frog-{verb}"
    here, environment = str(Path.cwd()), _environment(settings)
    text = slurm.script(settings, name, sys.executable, commands, here, str(logs), environment)
    if "--dry-run" in arguments:
        print(text, end="")
        return 0
    logs.mkdir(exist_ok=True)
    path = logs / f"{name}-{digest({'script': text})}.sh"
    write_atomically(path, text)
    job = slurm.submit(path)
    print(f"job {job}, {len(commands)} to run\n  script   {path}\n  output   {logs}/{name}-{job}*.log")
    return 0


def _environment(settings: Slurm) -> dict[str, str]:
    """Return the variables with which a job finds the same folders and ideas as here, and uses the cores it has."""
    environment = {
        "FROG_DATA": str(Path(os.environ.get("FROG_DATA") or "data").resolve()),
        "FROG_RUNS": str(runs_location().resolve()),
        "FROG_SWEEPS": str(learning_rates.searched().parent.resolve()),
        "FROG_RESULTS": str(stored_rows.results_folder().resolve()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(settings.cpus),
    }
    if sources.always():
        environment["FROG_IDEAS"] = ",".join(sources.from_anywhere(name) for name in sources.always())
    return environment


def _commands(verb: str, words: Sequence[str], tasks: int) -> tuple[list[list[str]], int, int]:
    """Return the commands of the jobs that are not done, after all checks; how many are, and how many are superfluous.

    Args:
        verb: of each command.
        words: behind it.
        tasks: how many processes carry out each.
    """
    if verb not in ("train", "search"):
        command.parse(words)
        return [[verb, *words]], 0, 0
    combinations = composing.combinations(words)
    missing: dict[tuple[str, ...], list[str]] = {}  # by runs: two commands of the same would be in each other's way
    done = alike = 0
    for combination in combinations:
        searching = verb == "search"
        if searching:
            plan = search_request(combination)
            check_size(plan, tasks)
            request = plan.request
        else:
            request = train_request(combination)
            shape(getattr(request.runs[0], "parallel", None), tasks)
        if isinstance(request.runs[0], ClassificationRun):
            locations.check(request.runs[0].data)
        folders = [RunFolder(runs_location(), run) for run in request.runs]
        if searching or request.overwrite or any(folder.finished() is None for folder in folders):
            runs = (*(folder.path.name for folder in folders), *(combination if searching else ()))
            alike += runs in missing
            missing[runs] = [verb, *map(idea_groups.from_anywhere, combination)]
        else:
            done += 1
    return [*missing.values()], done, alike
