"""frog train: one run of anything that is minimised, or a sweep of runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import yaml

from frog_cli.runs import execution
from frog_cli.runs.execution import Result
from frog_cli.runs.folder import runs_root
from frog_cli.settings import composing, option_help
from frog_cli.settings.requests import train_request

HELP = """usage: frog train [-m] [--cfg] [option=value ...]

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
    combinations = composing.combinations([argument for argument in arguments if argument != "--cfg"])
    requests = [train_request(combination) for combination in combinations]
    if "--cfg" in arguments:
        print(yaml.safe_dump_all([request.runs[0].model_dump() for request in requests], sort_keys=False), end="")
        for note in [note for request in requests for note in request.notes]:
            print(f"frog: {note}", file=sys.stderr)
        return 0
    parent = runs_root()
    execution.check(requests)

    results: list[str] = []
    failures: list[str] = []
    for request, name in zip(requests, composing.varying(combinations), strict=True):
        if failures and request.fail_fast:
            print(f"frog: fail_fast ends the sweep before {name}", file=sys.stderr)
            break
        if name:
            print(f"frog train {name}", file=sys.stderr)
        for note in request.notes:
            print(f"frog: {note}", file=sys.stderr)
        for result in execution.carry_out(request, parent):
            line, failed = _outcome(name, result)
            results.append(line)
            failures += [line] if failed else []
            picture = result.folder.path / "curve.png"  # of a run that has failed there may be none
            drawn = f"\n  picture  {picture}" if picture.exists() else ""
            print(f"{line}\n  run      {result.folder.path}{drawn}", flush=True)
    if len(requests) > 1:
        print("\n".join(["", "all together:", *results]))
    if failures and len(results) > 1:
        print(f"{len(failures)} of {len(results)} runs did not succeed:", *failures, sep="\n", file=sys.stderr)
    return 1 if failures else 0


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
    already = "" if result.ran else " (was done already; overwrite=true repeats it)"
    outcome = summary["outcome"]
    return f"{title}: {outcome.replace('_', ' ')}, {text}{already}", result.failure is not None


def _number(value: float | None, form: str) -> str:
    """Write a number of a summary, where null stands for one that is not finite."""
    return "none" if value is None else format(value, form)
