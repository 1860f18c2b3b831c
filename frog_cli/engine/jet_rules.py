"""Temporary, until the rules are here."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def faster_jets() -> Iterator[None]:
    """Do nothing yet."""
    yield
