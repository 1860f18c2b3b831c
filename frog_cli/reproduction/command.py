"""What frog reproduce is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, get_args

from frog_cli.errors import RequestError
from frog_cli.reproduction import targets
from frog_cli.reproduction.targets import Scale, Target, Work
from frog_cli.runs.folder import runs_root
from frog_cli.runs.identity import WITHOUT_EFFECT

FLAGS = ("--list", "--dry-run", "--only-done")

_OF_ALL_JOBS = (
    *(one for one in WITHOUT_EFFECT if one not in ("parallel", "exchange", "keep_weights")),
    "data.root",
    "data.download",
)
"""Options that do not change what a run is, and that all jobs may have; these keep no weights."""


class Request(NamedTuple):
    """Targets, at which scale, and how their jobs are carried out."""

    flags: set[str]
    targets: list[Target]
    scale: Scale
    workers: int | None  # processes; None: as many as suit the machine
    extra: list[str]  # options for all jobs


def parse(arguments: Sequence[str]) -> Request:
    """Return what the words behind `frog reproduce` ask for.

    Raises:
        RequestError: if a word is wrong.
    """
    scale, words = split_scale(arguments)
    flags = {word for word in words if word.startswith("--")}
    named = [word for word in words if "=" not in word and word not in flags]
    options = targets.options([word for word in words if "=" in word])
    workers = _workers(options.pop("workers", None))
    for option, value in options.items():
        if not option.startswith(_OF_ALL_JOBS):
            raise RequestError(f"{option}={value}", "would make other runs than those of the target")
    for flag in flags - {*FLAGS}:
        raise RequestError(flag, "must be --list, --dry-run or --only-done")
    if not named and "--list" not in flags:
        raise RequestError("frog reproduce", f"needs a target: {', '.join(targets.names())}, all")
    chosen = targets.chosen(named)
    for target in chosen:
        if scale == "smoke" and target.smoke == Work():
            raise RequestError("scale=smoke", f"is for frog's own targets; {target.source} has one size only")
    runs_root()
    return Request(flags, chosen, scale, workers, [f"{name}={value}" for name, value in options.items()])


def split_scale(words: Sequence[str]) -> tuple[Scale, list[str]]:
    """Return the scale that words such as scale=laptop ask for, and all other words.

    Raises:
        RequestError: if there is no such scale.
    """
    given = [word.removeprefix("scale=") for word in words if word.startswith("scale=")] or ["paper"]
    for scale in get_args(Scale):
        if given[-1] == scale:
            return scale, [word for word in words if not word.startswith("scale=")]
    raise RequestError(f"scale={given[-1]}", "must be paper, laptop or smoke")


def _workers(given: str | None) -> int | None:
    if given is not None and (not given.isdecimal() or int(given) < 1):
        raise RequestError(f"workers={given}", "must be a whole number, at least 1")
    return None if given is None else int(given)
