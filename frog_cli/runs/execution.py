"""From a request to runs that are done: locks, checkpoints to go on from, seeds side by side, data read once."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from frog_cli.data import locations
from frog_cli.engine.memory import keep_freed_memory
from frog_cli.errors import GivenUpError, InProgressError, Interrupted, RankLostError, RequestError, first_line
from frog_cli.files.csv import Row
from frog_cli.ranks.shape import shape
from frog_cli.runs import events
from frog_cli.runs.folder import FolderOfOthers, RunFolder
from frog_cli.runs.identity import digest
from frog_cli.runs.interruption import Interruption
from frog_cli.runs.lock import is_locked, locked
from frog_cli.settings.requests import Request
from frog_cli.settings.schema import ClassificationRun, Data, FunctionRun, Run

if TYPE_CHECKING:
    import torch

    from frog_cli.data.dataset import ImageData
    from frog_cli.ranks.ranks import Ranks

Starter = Callable[[list[Any]], Any]
"""Makes an objective of runs that differ in their seeds alone."""

GiveUp = Callable[[Sequence[RunFolder], Sequence[Row | None]], bool]
"""Asked after each row of metrics whether runs that go side by side are given up."""

_last_read: list[tuple[Data, torch.device, ImageData]] = []


class Result(NamedTuple):
    """A run that is done, or why it is not."""

    folder: RunFolder
    ran: bool
    error: Exception | None

    @property
    def failure(self) -> str | None:
        """Why the run has not ended well, in one line; None if it has."""
        outcome = (self.folder.finished() or {}).get("outcome")
        if self.error is not None:
            return first_line(self.error)
        return str(outcome).replace("_", " ") if outcome in ("diverged", "step_failed") else None


def check(requests: Sequence[Request], processes: int = 1) -> None:
    """Refuse requests whose data, device, optimiser or ideas this machine does not have, before any work begins.

    Args:
        requests: all of them.
        processes: how many ranks carry each of them out together.
    """
    for request in requests:
        shape(getattr(request.runs[0], "parallel", None), processes)
        if isinstance(request.runs[0], ClassificationRun):
            locations.check(request.runs[0].data)

    from frog_cli.objectives import devices, estimators, optimiser_and_schedule  # imports torch

    for request in requests:
        devices.device(request.runs[0].device)
        events.check(request.runs[0].tensorboard)
        optimiser_and_schedule.check_optimizer(request.runs[0])
        estimators.check_ideas(request.runs[0])


def carry_out(
    request: Request,
    parent: Path,
    give_up: GiveUp | None = None,
    local_rank: int | None = None,
    quiet: bool = False,
    ranks: Ranks | None = None,
    command: str | None = None,
) -> list[Result]:
    """Carry out the runs of a request that are not done yet; a run that raises does not keep others from running.

    Of several ranks that carry it out together the first keeps folders and locks, and a run that raises ends them all.

    Args:
        request: runs that differ in their seeds alone.
        parent: where their folders are.
        give_up: whether to stop runs before their end.
        local_rank: which of the processes on this host this one is; they take CUDA devices in turn.
        quiet: show no progress and draw no pictures.
        ranks: those that carry it out together; None for this process alone.
        command: what `name_of` says of all requests that are carried out one after the other, if there are several.
    """
    from frog_cli.objectives import devices  # imports torch
    from frog_cli.ranks.ranks import ALONE

    keep_freed_memory()
    ranks = ranks or ALONE
    device = devices.chosen(request.runs[0].device, local_rank, own=ranks.size > 1)
    folders = [RunFolder(parent, run) for run in request.runs]
    name = command or name_of([request], parent)
    pending = [
        folder
        for folder in folders
        if folder.finished() is None or (request.overwrite and not folder.is_repeated_by(name))
    ]
    errors: dict[Path, Exception] = {}
    with (
        repetition_ended([request], parent) if command is None else nullcontext(),
        Interruption(ranks.agreed if ranks.size > 1 else None) as interruption,
        ExitStack() as locks,
    ):

        def hold() -> list[RunFolder]:
            """Lock the folders; return those that are free and not done yet."""
            held = []
            for folder in pending:
                try:
                    locks.enter_context(locked(folder.path))
                    held.append(folder)
                except (InProgressError, OSError) as error:
                    print(f"frog: {first_line(error)}", file=sys.stderr)
                    errors[folder.path] = error
            for folder in held:
                if request.overwrite and not folder.is_repeated_by(name):
                    folder.repeat(name)
            return [folder for folder in held if folder.finished() is None]  # by another process, meanwhile

        ranks.before_exit(locks.close)
        held = ranks.first(hold)
        with interruption.nothing_to_save():
            start, side_by_side = _starter(request.runs[0], held, device, ranks)
        for together, states in _with_states(side_by_side, ranks):
            _stop_if_asked(interruption)
            try:
                _run(together, states, start, str(device), request.learning_rate, give_up, quiet, ranks, interruption)
            except (Interrupted, RequestError, RankLostError):
                raise
            except Exception as error:
                if ranks.size > 1:  # the others do not know, and would wait for this one
                    raise
                if not isinstance(error, GivenUpError):
                    traceback.print_exc()
                errors |= {folder.path: error for folder in together}
                if isinstance(error, GivenUpError):
                    errors |= {folder.path: error for folder in held if folder.finished() is None}
                    break
            _stop_if_asked(interruption)  # of a signal in the last step or measurement
    return [Result(folder, folder in pending, errors.get(folder.path)) for folder in folders]


def name_of(requests: Sequence[Request], parent: Path) -> str:
    """Return a name of some requests together, by which a run is known that is repeated when they go on."""
    paths = [str(RunFolder(parent, run).path) for request in requests for run in request.runs]
    return digest({"runs": sorted(paths)})


@contextmanager
def repetition_ended(requests: Sequence[Request], parent: Path) -> Iterator[None]:
    """Let runs be repeated when asked for again, once all of some requests are carried out or one is refused.

    Results that are still there count then. Runs that another process is carrying out are left to it.
    """
    refused: RequestError | None = None
    try:
        yield
    except RequestError as error:
        refused = error
    for folder in (RunFolder(parent, run) for request in requests for run in request.runs):
        if not is_locked(folder.path):
            folder.end_repetition()
    if refused is not None:
        raise refused


def _stop_if_asked(interruption: Interruption) -> None:
    """Begin no further run after a signal.

    Raises:
        Interrupted: if one has come.
    """
    if interruption():
        assert interruption.number is not None
        raise Interrupted(interruption.number)


def _with_states(
    side_by_side: list[list[RunFolder]], ranks: Ranks
) -> Iterator[tuple[list[RunFolder], list[dict[str, Any]]]]:
    """Yield folders of runs that go side by side from the same step, each with the state to go on from, if any."""
    for together in side_by_side:
        for folders, states in ranks.first(lambda: _groups(together)):  # noqa: B023, called at once
            yield (
                [folder if ranks.rank == 0 else FolderOfOthers(folder.path.parent, folder.run) for folder in folders],
                states,
            )


def _groups(together: list[RunFolder]) -> list[tuple[list[RunFolder], list[dict[str, Any]]]]:
    """Return the folders of which states are after the same step, with these."""
    groups: dict[int, tuple[list[RunFolder], list[dict[str, Any]]]] = {}
    for folder in together:
        state = folder.checkpoint()
        folders, states = groups.setdefault(-1 if state is None else state["steps"], ([], []))
        folders.append(folder)
        states += [] if state is None else [state]
    return list(groups.values())


def _starter(
    run: Run, pending: list[RunFolder], device: torch.device, ranks: Ranks
) -> tuple[Starter, list[list[RunFolder]]]:
    """Return how an objective for some seeds is made, with its data read, and which seeds go side by side."""
    if isinstance(run, FunctionRun):
        from frog_cli.objectives.minimisation import Minimisation

        return lambda seeds: Minimisation(seeds, device), [pending] if pending else []
    from frog_cli.objectives.classification import Classification

    assert isinstance(run, ClassificationRun)
    data: Any = _load_on_all(run.data, device, ranks) if pending else None
    return lambda seeds: Classification(seeds[0], data, device, ranks), [[folder] for folder in pending]


def _load_on_all(settings: Data, device: torch.device, ranks: Ranks) -> ImageData:
    """Read a data set on all ranks, on the first one first, which may have to fetch it; end them if theirs differ."""
    if ranks.rank == 0:
        _load(settings, device)
    ranks.wait()
    data = _load(settings, device)
    ranks.check_equal("the data", [tensor for split in data[:3] for tensor in split])
    return data


def _load(settings: Data, device: torch.device) -> ImageData:
    """Read a data set; the last one is kept for the next request."""
    from frog_cli.data.dataset import load

    if not _last_read or _last_read[0][:2] != (settings, device):
        _last_read[:] = [(settings, device, load(settings, device))]
    return _last_read[0][2]


def _run(
    folders: list[RunFolder],
    states: list[dict[str, Any]],
    start: Starter,
    device: str,
    learning_rate: str,
    give_up: GiveUp | None,
    quiet: bool,
    ranks: Ranks,
    interruption: Interruption,
) -> None:
    """Run the seeds of some folders side by side, from the beginning or from states after the same step."""
    import torch

    from frog_cli.objectives import devices
    from frog_cli.runs.curve import draw_curve
    from frog_cli.runs.progress import Progress
    from frog_cli.runs.training import train

    devices.set_precision(folders[0].run.tf32)
    threads = torch.get_num_threads()
    if isinstance(folders[0].run, FunctionRun):
        torch.set_num_threads(1)  # vectors this short gain nothing, and sums would depend on the number of cores
    seeds = [folder.run.seed for folder in folders]

    def begin(folder: RunFolder, state: dict[str, Any] | None) -> None:
        if state is None:
            folder.start(device, learning_rate, seeds, ranks.size)
        else:
            folder.resume(device, learning_rate, seeds, state["rows"], ranks.size)

    quiet = quiet or ranks.rank > 0
    begun: list[RunFolder] = []
    try:
        for folder, state in zip_longest(folders, states):
            if not folder.has_results():  # else they stay until it is known that the run can be repeated
                begin(folder, state)
                begun.append(folder)
        objective = start([folder.run for folder in folders])
        for folder in folders:
            if folder not in begun:
                begin(folder, None)
                begun.append(folder)
        if states:
            objective.restore([state["objective"] for state in states])
            if ranks.rank == 0:
                print(f"frog: going on after step {objective.steps}", file=sys.stderr)
        with Progress(objective.epochs, "epoch", silent=quiet) as progress:
            train(objective, folders, progress, interruption, give_up)
        ends = zip(folders, objective.outcomes(), objective.summaries(), objective.weights(), strict=True)
        for folder, outcome, summary, weights in ends:
            folder.keep(weights)
            folder.finish({"outcome": outcome, **summary})
            if not quiet:
                try:
                    draw_curve(folder.path / "metrics.csv", folder.path.name, folder.path / "curve.png")
                except OSError as error:  # such as a full disk: the run is done all the same
                    print(f"frog: no picture: {first_line(error)}", file=sys.stderr)
    except BaseException as error:
        for folder in begun:
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
