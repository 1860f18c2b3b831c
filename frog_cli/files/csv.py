"""Tables as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

Row = dict[str, Any]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(rows: Sequence[Row]) -> str:
    """Return rows as CSV with all their columns; text that a spreadsheet would take for a formula starts with '."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows({name: _safe(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file, none if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_csv_once(path: Path) -> Sequence[Mapping[str, str]]:
    """Return the rows of a CSV file that is replaced only as a whole; the same file is read once."""
    found = path.stat()
    return _read_once(path, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=1024)
def _read_once(path: Path, *_identity: int) -> Sequence[Mapping[str, str]]:
    return tuple(map(MappingProxyType, read_csv(path)))


def _safe(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(_FORMULA) and not _number(value):
        return f"'{value}"
    return value


def _number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False
