"""The exceptions that end a request, or a run before its end."""

from __future__ import annotations

import signal
import traceback


class RequestError(ValueError):
    """A request that cannot be carried out as asked: told in one line, exit status 2.

    Args:
        given: the option and the value as the user wrote them, such as `gradient.k=0`.
        allowed: what would be right instead.
    """

    def __init__(self, given: str, allowed: str):
        super().__init__(f"{given}: {allowed}")
        self.given, self.allowed = given, allowed

    def __reduce__(self) -> tuple[type[RequestError], tuple[str, str]]:  # a process may hand it to another
        return RequestError, (self.given, self.allowed)


class GivenUpError(Exception):
    """Runs were stopped before their end because they are not worth going on with."""


class InProgressError(RuntimeError):
    """Another process is carrying out the same run."""


class Interrupted(Exception):  # noqa: N818
    """A run has saved its state and stopped because a signal asked for it."""

    def __init__(self, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name}, state saved")
        self.status = 128 + number


class RankLostError(Exception):
    """Another rank of the same command has ended or no longer answers, so that this one ends as well."""


class WorkerLostError(Exception):
    """A worker process was killed, which ends the command; what is done is kept."""

    def __init__(self) -> None:
        super().__init__("a worker was killed, for want of memory perhaps; the same command goes on")


def in_one_line(error: RequestError | Interrupted) -> str:
    """Return what a person is told of a wrong request, or of runs that were stopped."""
    if isinstance(error, Interrupted):
        return f"frog: {error}; the same command goes on"
    return " ".join(f"frog: {error}".split())


def first_line(error: BaseException) -> str:
    """Return an exception's type and the first line of its message."""
    return traceback.format_exception_only(error)[-1].strip().partition("\n")[0]
