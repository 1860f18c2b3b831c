"""From a request to runs that are done: locks, checkpoints to go on from, seeds side by side, data read once."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import TypeAdapter

from frog_cli.data import locations
from frog_cli.engine.memory import keep_freed_memory
from frog_cli.errors import GivenUpError, InProgressError, Interrupted, RequestError
from frog_cli.files.csv import Row
from frog_cli.runs.folder import RunFolder
from frog_cli.runs.interruption import Interruption
from frog_cli.runs.lock import locked
from frog_cli.settings.config import Request
from frog_cli.settings.schema import CIFAR10, MNIST, ClassificationRun, Digits, FunctionRun, ImageFolder, Run

if TYPE_CHECKING:
    import torch

    from frog_cli.data.dataset import ImageData

Starter = Callable[[list[Any]], Any]
"""Makes an objective of runs that differ in their seeds alone."""

GiveUp = Callable[[Sequence[RunFolder], Sequence[Row | None]], bool]
"""Asked after each row of metrics whether runs that go side by side are given up."""

_DATA: TypeAdapter[Digits | MNIST | CIFAR10 | ImageFolder] = TypeAdapter(Digits | MNIST | CIFAR10 | ImageFolder)


class Result(NamedTuple):
    """A run that is done, or why it is not."""

    folder: RunFolder
    ran: bool
    error: Exception | None


def check(requests: Sequence[Request]) -> None:
    """Refuse requests whose data, device or optimiser this machine does not have, before any work begins."""
    for request in requests:
        if isinstance(request.runs[0], ClassificationRun):
            locations.check(request.runs[0].data)

    from frog_cli.objectives import named  # imports torch

    for request in requests:
        named.device(request.runs[0].device)
        named.check_optimizer(request.runs[0])


def carry_out(
    request: Request,
    parent: Path,
    give_up: GiveUp | None = None,
    local_rank: int | None = None,
    quiet: bool = False,
) -> list[Result]:
    """Carry out the runs of a request that are not done yet; a run that raises does not keep others from running.

    Args:
        request: runs that differ in their seeds alone.
        parent: where their folders are.
        give_up: whether to stop runs before their end.
        local_rank: which of the processes on this host this one is; they take CUDA devices in turn.
        quiet: show no progress and draw no pictures.
    """
    from frog_cli.objectives import named  # imports torch

    keep_freed_memory()
    device = named.device(request.runs[0].device, local_rank)
    folders = [RunFolder(parent, run) for run in request.runs]
    waiting = [folder for folder in folders if request.overwrite or folder.finished() is None]
    errors: dict[Path, Exception] = {}
    with ExitStack() as locks:
        ours = []
        for folder in waiting:
            try:
                locks.enter_context(locked(folder.path))
                ours.append(folder)
            except (InProgressError, OSError) as error:
                print(f"frog: {first_line(error)}", file=sys.stderr)
                errors[folder.path] = error
        if not request.overwrite:  # another process may have finished one meanwhile
            ours = [folder for folder in ours if folder.finished() is None]
        start, side_by_side = _starter(request.runs[0], ours, device)
        for lanes, states in _with_states(side_by_side, request.overwrite):
            try:
                _run(lanes, states, start, str(device), request.learning_rate, give_up, quiet)
            except (Interrupted, RequestError):
                raise
            except Exception as error:
                if not isinstance(error, GivenUpError):
                    traceback.print_exc()
                errors |= {folder.path: error for folder in lanes}
                if isinstance(error, GivenUpError):
                    errors |= {folder.path: error for folder in ours if folder.finished() is None}
                    break
    return [Result(folder, folder in waiting, errors.get(folder.path)) for folder in folders]


def first_line(error: BaseException) -> str:
    """Return an exception's type and the first line of its message."""
    return traceback.format_exception_only(error)[-1].strip().partition("\n")[0]


def _with_states(
    side_by_side: list[list[RunFolder]], overwrite: bool
) -> Iterator[tuple[list[RunFolder], list[dict[str, Any]]]]:
    """Yield lanes that go side by side from the same step, each with the state that it goes on from, if any."""
    for lanes in side_by_side:
        groups: dict[int, tuple[list[RunFolder], list[dict[str, Any]]]] = {}
        for folder in lanes:
            state = None if overwrite else folder.checkpoint()
            folders, states = groups.setdefault(-1 if state is None else state["steps"], ([], []))
            folders.append(folder)
            states += [] if state is None else [state]
        yield from groups.values()


def _starter(run: Run, waiting: list[RunFolder], device: torch.device) -> tuple[Starter, list[list[RunFolder]]]:
    """Return how an objective for some seeds is made, with its data read, and which seeds go side by side."""
    if isinstance(run, FunctionRun):
        from frog_cli.objectives.minimisation import Minimisation

        return lambda seeds: Minimisation(seeds, device), [waiting] if waiting else []
    from frog_cli.objectives.classification import Classification

    assert isinstance(run, ClassificationRun)
    data: Any = _load(json.dumps(run.data.model_dump()), str(device)) if waiting else None
    return lambda seeds: Classification(seeds[0], data, device), [[folder] for folder in waiting]


@lru_cache(maxsize=1)
def _load(settings: str, device: str) -> ImageData:
    """Read the data set that settings in JSON describe; the last one read is kept for the next request."""
    import torch

    from frog_cli.data.dataset import load

    return load(_DATA.validate_json(settings), torch.device(device))


def _run(
    folders: list[RunFolder],
    states: list[dict[str, Any]],
    start: Starter,
    device: str,
    learning_rate: str,
    give_up: GiveUp | None,
    quiet: bool,
) -> None:
    """Run the seeds of some folders side by side, from the beginning or from states after the same step."""
    import torch

    from frog_cli.runs.curve import draw_curve
    from frog_cli.runs.progress import Progress
    from frog_cli.runs.training import train

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
            with Progress(objective.epochs, "epoch", silent=quiet) as progress:
                train(objective, folders, progress, interruption, give_up)
        for folder, outcome, summary in zip(folders, objective.outcomes(), objective.summaries(), strict=True):
            folder.finish({"outcome": outcome, **summary})
            if not quiet:
                draw_curve(folder.path / "metrics.csv", folder.path.name, folder.path / "curve.png")
    except BaseException as error:
        for folder in folders:
            if folder.finished() is None:
                with suppress(OSError):  # a full disk, which is what is told then
                    folder.end(_status(error), first_line(error))
        raise
    finally:
        torch.set_num_threads(threads)


def _status(error: BaseException) -> str:
    """Return what run.json says of a run that ended with an exception."""
    if isinstance(error, GivenUpError):
        return "given up"
    return "interrupted" if isinstance(error, KeyboardInterrupt | Interrupted) else "failed"
