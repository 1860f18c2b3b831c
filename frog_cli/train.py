"""frog train: one run of anything that is minimised, or a sweep of runs."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from frog_cli import config, runs
from frog_cli.config import Request
from frog_cli.data import locations
from frog_cli.errors import InProgressError, RequestError
from frog_cli.interruption import Interrupted, Interruption
from frog_cli.lock import locked
from frog_cli.memory import keep_freed_memory
from frog_cli.schema import ClassificationRun, FunctionRun, Run

Starter = Callable[[list[Any]], Any]
"""Makes an objective of runs that differ in their seeds alone."""


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

    from frog_cli.objectives import named  # imports torch

    for request in requests:
        named.device(request.runs[0].device)
        named.check_optimizer(request.runs[0])

    results: list[str] = []
    failures: list[str] = []
    for request, name in zip(requests, _names(combinations), strict=True):
        if failures and request.fail_fast:
            print(f"frog: fail_fast ends the sweep before {name}", file=sys.stderr)
            break
        if name:
            print(f"frog train {name}", file=sys.stderr)
        for result in carry_out(request):
            line, failed = _judge(name, result)
            results.append(line)
            failures += [line] if failed else []
            print(f"{line}\n  run      {result.folder.path}\n  picture  {result.folder.path / 'curve.png'}", flush=True)
    if len(requests) > 1:
        print("\n".join(["", "all together:", *results]))
    if failures and len(results) > 1:
        print(f"{len(failures)} of {len(results)} runs did not succeed:", *failures, sep="\n", file=sys.stderr)
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

    keep_freed_memory()
    device = named.device(request.runs[0].device)
    parent = runs.root()
    folders = [runs.RunFolder(parent, run) for run in request.runs]
    waiting = [folder for folder in folders if request.overwrite or folder.finished() is None]
    errors: dict[Path, str] = {}
    with ExitStack() as locks:
        ours = []
        for folder in waiting:
            try:
                locks.enter_context(locked(folder.path))
                ours.append(folder)
            except (InProgressError, OSError) as error:
                print(f"frog: {_first_line(error)}", file=sys.stderr)
                errors[folder.path] = str(error)
        if not request.overwrite:  # another process may have finished one meanwhile
            ours = [folder for folder in ours if folder.finished() is None]
        start, side_by_side = _starter(request.runs[0], ours, device)
        for lanes, states in _with_states(side_by_side, request.overwrite):
            try:
                _run(lanes, states, start, str(device), request.learning_rate)
            except (Interrupted, RequestError):
                raise
            except Exception as error:
                traceback.print_exc()
                errors |= {folder.path: _first_line(error) for folder in lanes}
    return [Result(folder, folder in waiting, errors.get(folder.path)) for folder in folders]


def _with_states(
    side_by_side: list[list[runs.RunFolder]], overwrite: bool
) -> Iterator[tuple[list[runs.RunFolder], list[dict[str, Any]]]]:
    """Yield lanes that go side by side from the same step, each with the state that it goes on from, if any."""
    for lanes in side_by_side:
        groups: dict[int, tuple[list[runs.RunFolder], list[dict[str, Any]]]] = {}
        for folder in lanes:
            state = None if overwrite else folder.checkpoint()
            folders, states = groups.setdefault(-1 if state is None else state["steps"], ([], []))
            folders.append(folder)
            states += [] if state is None else [state]
        yield from groups.values()


def _starter(run: Run, waiting: list[runs.RunFolder], device: Any) -> tuple[Starter, list[list[runs.RunFolder]]]:
    """Return how an objective for some seeds is made, with its data read, and which seeds go side by side."""
    if isinstance(run, FunctionRun):
        from frog_cli.objectives.minimisation import Minimisation

        return lambda seeds: Minimisation(seeds, device), [waiting] if waiting else []
    from frog_cli.data.dataset import load
    from frog_cli.objectives.classification import Classification

    assert isinstance(run, ClassificationRun)
    data: Any = load(run.data, device) if waiting else None
    return lambda seeds: Classification(seeds[0], data, device), [[folder] for folder in waiting]


def _run(
    folders: list[runs.RunFolder],
    states: list[dict[str, Any]],
    start: Starter,
    device: str,
    learning_rate: str,
) -> None:
    """Run the seeds of some folders side by side, from the beginning or from states after the same step."""
    import torch

    from frog_cli.curve import draw_curve
    from frog_cli.progress import Progress
    from frog_cli.training import train

    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = folders[0].run.tf32
    threads = torch.get_num_threads()
    if isinstance(folders[0].run, FunctionRun):
        torch.set_num_threads(1)  # vectors this short gain nothing, and sums would depend on the number of cores
    seeds = [folder.run.seed for folder in folders]
    for folder, state in zip_longest(folders, states):
        if state is None:
            folder.start(device, learning_rate, seeds)
        else:
            folder.resume(device, learning_rate, seeds, state["rows"])
    try:
        with Interruption() as interruption:
            objective = start([folder.run for folder in folders])
            if states:
                objective.restore([state["objective"] for state in states])
                print(f"frog: going on after step {objective.steps}", file=sys.stderr)
            with Progress(objective.epochs, "epoch") as progress:
                train(objective, folders, progress, interruption)
        for folder, outcome, summary in zip(folders, objective.outcomes(), objective.summaries(), strict=True):
            folder.finish({"outcome": outcome, **summary})
            draw_curve(folder.path / "metrics.csv", folder.path.name, folder.path / "curve.png")
    except BaseException as error:
        for folder in folders:
            if folder.finished() is None:
                interrupted = isinstance(error, KeyboardInterrupt | Interrupted)
                with suppress(OSError):  # a full disk, which is what is told then
                    folder.end("interrupted" if interrupted else "failed", _first_line(error))
        raise
    finally:
        torch.set_num_threads(threads)


def _judge(name: str, result: Result) -> tuple[str, bool]:
    """Return the result of a run in one line, under the name of its request, and whether the run failed."""
    title = f"{name} seed {result.folder.run.seed}".strip()
    if result.error is not None:
        return f"{title}: failed, {result.error}", True
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
    return f"{title}: {outcome.replace('_', ' ')}, {text}{already}", outcome in ("diverged", "step_failed")


def _number(value: float | None, form: str) -> str:
    """Write a number of a summary, where null stands for one that is not finite."""
    return "none" if value is None else format(value, form)


def _first_line(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip().partition("\n")[0]
