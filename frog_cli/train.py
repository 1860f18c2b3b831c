"""frog train: one run of anything that is minimised, or a sweep of runs."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from frog_cli import config, runs
from frog_cli.config import Request
from frog_cli.data import locations
from frog_cli.errors import RequestError
from frog_cli.schema import ClassificationRun, FunctionRun


class Result(NamedTuple):
    """A run that is done, or why it is not."""

    folder: runs.RunFolder
    ran: bool
    error: str | None


HELP = """usage: frog train [-m] [--cfg] [option=value ...]

Minimise something with the gradient, model and data of your choice. Examples:
  frog train                                        handwritten digits, projected forward gradients
  frog train gradient=backprop                      the same by backpropagation
  frog train objective=rosenbrock objective.n=64 gradient.k=16 seeds=5
  frog train -m gradient.k=4,16,64 seed=0,1         one run for each combination

  -m, --multirun  several values, separated by commas, mean one run each
  --cfg           print all settings that the options lead to, and stop
"""


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog train` and return its exit status: 0 done, 1 a run failed or diverged."""
    flags = {argument for argument in arguments if argument in ("-m", "--multirun", "--cfg")}
    overrides = [argument for argument in arguments if argument not in flags]
    combinations = list(config.sweep(overrides)) if flags & {"-m", "--multirun"} else [overrides]
    requests = [config.train_request(combination) for combination in combinations]
    if "--cfg" in flags:
        for request in requests:
            print(yaml.safe_dump(request.runs[0].model_dump(), sort_keys=False), end="")
        return 0
    for request in requests:
        if isinstance(request.runs[0], ClassificationRun):
            locations.check(request.runs[0].data)
    runs.root()

    results = []
    for request, name in zip(requests, _names(combinations), strict=True):
        if name:
            print(f"frog train {name}", file=sys.stderr)
        results += [(name, result) for result in carry_out(request)]
    failures = [failure for name, result in results if (failure := _report(name, result))]
    if len(results) > 1 and failures:
        print("\n".join([f"{len(failures)} of {len(results)} runs did not succeed:", *failures]), file=sys.stderr)
    return 1 if failures else 0


def _names(combinations: list[list[str]]) -> list[str]:
    """Name each combination of a sweep by the options in which it differs from others."""
    varying = [position for position, values in enumerate(zip(*combinations, strict=True)) if len(set(values)) > 1]
    return [" ".join(combination[position] for position in varying) for combination in combinations]


def help_text() -> str:
    """Return the usage with every group, and every option with its default."""
    lines = [HELP, "groups, chosen as in model=mlp:"]
    lines += [f"  {group:<12} {', '.join(names)}" for group, names in config.groups("train").items()]
    settings = yaml.safe_dump(config.compose_settings("train", [])[1], sort_keys=False, default_flow_style=None)
    return "\n".join(
        [*lines, "", "options and defaults with these choices (others with other choices: --cfg):", settings]
    )


def carry_out(request: Request) -> list[Result]:
    """Carry out the runs of a request that are not done yet; a run that raises does not keep others from running."""
    from frog_cli.objectives import named  # imports torch

    device = named.device(request.runs[0].device)
    parent = runs.root()
    folders = [runs.RunFolder(parent, run) for run in request.runs]
    waiting = [folder for folder in folders if request.overwrite or folder.finished() is None]
    if isinstance(request.runs[0], FunctionRun):
        side_by_side = [waiting] if waiting else []
    else:
        side_by_side = [[folder] for folder in waiting]
    errors: dict[Path, str] = {}
    for lanes in side_by_side:
        try:
            _run(lanes, device, request.learning_rate)
        except RequestError:
            raise
        except Exception as error:
            traceback.print_exc()
            errors |= {folder.path: _first_line(error) for folder in lanes}
    return [Result(folder, folder in waiting, errors.get(folder.path)) for folder in folders]


def _run(folders: list[runs.RunFolder], device: Any, learning_rate: str) -> None:
    """Run the seeds of some folders side by side."""
    import torch

    from frog_cli.curve import draw_curve
    from frog_cli.objectives import named
    from frog_cli.progress import Progress
    from frog_cli.training import train

    run = folders[0].run
    named.optimizer(run, [torch.zeros(1, requires_grad=True)])  # refused before anything is loaded
    torch.backends.cudnn.allow_tf32 = False
    if isinstance(run, FunctionRun):
        torch.set_num_threads(1)  # vectors this short gain nothing, and sums would depend on the number of cores
    for folder in folders:
        folder.start(str(device), learning_rate, [other.run.seed for other in folders])
    try:
        objective = _objective(folders, device)
        with Progress(objective.epochs, "epoch") as progress:
            train(objective, folders, progress)
    except BaseException as error:
        for folder in folders:
            folder.end("interrupted" if isinstance(error, KeyboardInterrupt) else "failed", _first_line(error))
        raise
    for folder, outcome, summary in zip(folders, objective.outcomes(), objective.summaries(), strict=True):
        draw_curve(folder.path / "metrics.csv", folder.path.name, folder.path / "curve.png")
        folder.finish({"outcome": outcome, **summary})


def _objective(folders: list[runs.RunFolder], device: Any) -> Any:
    """Return the objective of runs that differ in their seeds alone."""
    run = folders[0].run
    if isinstance(run, ClassificationRun):
        from frog_cli.data.dataset import load
        from frog_cli.objectives.classification import Classification

        return Classification(run, load(run.data, device), device)
    from frog_cli.objectives.minimisation import Minimisation

    return Minimisation([folder.run for folder in folders if isinstance(folder.run, FunctionRun)], device)


def _report(name: str, result: Result) -> str | None:
    """Print the result of a run under the name of its request; return what is wrong with it."""
    title = f"{name} seed {result.folder.run.seed}".strip()
    if result.error is not None:
        print(f"{title}: failed, {result.error}")
        print(f"  run      {result.folder.path}")
        return f"{title} failed, {result.error}"
    summary = result.folder.finished() or {}
    outcome = summary["outcome"].replace("_", " ")
    if "best_value" in summary:
        text = f"best value {summary['best_value']:.6g} at step {summary['best_step']} of {summary['steps']}"
    else:
        best, last = summary["best_test_error_percent"], summary["last_test_error_percent"]
        text = f"test error {best:.2f} % at best (epoch {summary['best_test_error_epoch']}), "
        text += f"{last:.2f} % at the end (epoch {summary['epochs']})"
    already = "" if result.ran else " (was done already; overwrite=true repeats it)"
    print(f"{title}: {outcome}, {text}{already}")
    print(f"  run      {result.folder.path}")
    print(f"  picture  {result.folder.path / 'curve.png'}")
    return f"{title} {outcome}" if outcome in ("diverged", "step failed") else None


def _first_line(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip().partition("\n")[0]
