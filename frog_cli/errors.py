"""What can be wrong with a request."""

from __future__ import annotations


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
