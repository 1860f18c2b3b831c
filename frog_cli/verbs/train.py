"""frog train: one run of anything that is minimised, or a sweep of runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import yaml

from frog_cli.ranks.command import on_all_ranks
from frog_cli.runs import execution
from frog_cli.runs.execution import Result
from frog_cli.runs.folder import WEIGHTS, runs_location, runs_root
from frog_cli.settings import composing, option_help
from frog_cli.settings.requests import Request, train_request
from frog_cli.settings.schema import ClassificationRun

if TYPE_CHECKING:
    from frog_cli.ranks.ranks import Ranks

HELP = """usage: frog train [-m] [--cfg] [option=value ...]
       torchrun --nproc-per-node N --no-python frog train parallel=tangents [option=value ...]

Minimise something with the gradient, model and data of your choice. Examples:
  frog train                                        handwritten digits, projected forward gradients
  frog train gradient=backprop                      the same by backpropagation
  frog train objective=rosenbrock objective.n=64 gradient.k=16 seeds=5
  frog train -m gradient.k=4,16,64 seed=0,1         one run for each combination
  frog train gradient=fomoh_kd tangents=cone --help  the options of these choices

  -m, --multirun  several values, separated by commas, mean one run each
  --cfg           print all settings that the options lead to, and stop
"""


def help_text(words: Sequence[str] = ()) -> str:
    """Return the usage with every choice, and every option of the choices among some words."""
    return f"{HELP}\n{option_help.of_training(words)}"


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog train` and return its exit status: 0 done, 1 a run failed or diverged."""
    return on_all_ranks(_train, arguments)


def _train(arguments: Sequence[str], ranks: Ranks | None, local_rank: int | None) -> int:
    """Carry out what is asked for, on all ranks if there are several, of which the first one tells."""
    plan = ranks.first(lambda: _plan(arguments, ranks.size)) if ranks else _plan(arguments)
    requests, parent = [request for _, request in plan], runs_location()
    command = execution.name_of(requests, parent)
    outcomes: list[tuple[str, bool]] = []
    with execution.repetition_ended(requests, parent):
        for name, request in plan:
            failed = any(failed for _, failed in outcomes)
            if request.fail_fast and (ranks.first(lambda: failed) if ranks else failed):  # noqa: B023, called at once
                _tell(ranks, f"frog: fail_fast ends the sweep before {name}")
                break
            for line in ([f"frog train {name}"] if name else []) + [f"frog: {note}" for note in request.notes]:
                _tell(ranks, line)
            results = execution.carry_out(request, parent, local_rank=local_rank, ranks=ranks, command=command)
            outcomes += [_told(name, result) for result in results] if ranks is None or ranks.rank == 0 else []
    if len(plan) > 1 and outcomes:
        print("\n".join(["", "all together:", *(line for line, _ in outcomes)]))
    failures = [line for line, failed in outcomes if failed]
    if failures and len(outcomes) > 1:
        print(f"{len(failures)} of {len(outcomes)} runs did not succeed:", *failures, sep="\n", file=sys.stderr)
    return 1 if failures else 0


def _plan(arguments: Sequence[str], processes: int = 1) -> list[tuple[str, Request]]:
    """Return what is to be carried out, by names in the sweep, after all checks; nothing if --cfg prints it."""
    combinations = composing.combinations([argument for argument in arguments if argument != "--cfg"])
    requests = [train_request(combination) for combination in combinations]
    if "--cfg" in arguments:
        print(yaml.safe_dump_all([request.runs[0].model_dump() for request in requests], sort_keys=False), end="")
        for note in [note for request in requests for note in request.notes]:
            print(f"frog: {note}", file=sys.stderr)
        return []
    runs_root()
    execution.check(requests, processes)
    return list(zip(composing.varying(combinations), requests, strict=True))


def _tell(ranks: Ranks | None, line: str) -> None:
    """Write a line to standard error, of several ranks on the first one."""
    if ranks is None or ranks.rank == 0:
        print(line, file=sys.stderr)


def _told(name: str, result: Result) -> tuple[str, bool]:
    """Print a result with where it is; return it in one line, and whether the run failed."""
    line, failed = _outcome(name, result)
    picture = result.folder.path / "curve.png"  # of a run that has failed there may be none
    drawn = f"\n  picture  {picture}" if picture.exists() else ""
    print(f"{line}\n  run      {result.folder.path}{drawn}", flush=True)
    return line, failed


def _outcome(name: str, result: Result) -> tuple[str, bool]:
    """Return the result of a run in one line, under the name of its request, and whether the run failed."""
    title = f"{name} seed {result.folder.run.seed}".strip()
    if result.error is not None:
        return f"{title}: failed, {result.failure}", True
    summary = result.folder.finished() or {}
    if "best_value" in summary:
        best = _number(summary["best_value"], ".6g")
        text = f"best value {best} at step {summary['best_step']} of {summary['steps']}"
    else:
        best, last = (_number(summary[f"{which}_test_error_percent"], ".2f") for which in ("best", "last"))
        text = f"test error {best} % at best (epoch {summary['best_test_error_epoch']}), "
        text += f"{last} % at the end (epoch {summary['epochs']})"
    already = "" if result.ran else f" (was done already{_without_weights(result)}; overwrite=true repeats it)"
    outcome = summary["outcome"]
    return f"{title}: {outcome.replace('_', ' ')}, {text}{already}", result.failure is not None


def _without_weights(result: Result) -> str:
    """Return that a run which is done has not kept the weights that are wanted now, if so."""
    run = result.folder.run
    wanted = isinstance(run, ClassificationRun) and run.keep_weights
    return ", without keeping its weights" if wanted and not (result.folder.path / WEIGHTS["last"]).exists() else ""


def _number(value: float | None, form: str) -> str:
    """Write a number of a summary, where null stands for one that is not finite."""
    return "none" if value is None else format(value, form)
