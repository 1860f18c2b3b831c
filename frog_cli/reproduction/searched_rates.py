"""Searched learning rates beside the published ones."""

from __future__ import annotations

from collections.abc import Sequence

from frog_cli.files.csv import Row
from frog_cli.settings import learning_rates


def rates_beside_published(wanted: Sequence[str]) -> list[Row]:
    """Return searched learning rates beside the published ones: first those that are wanted, found or not."""
    found = {row["search_request"]: row for row in learning_rates.rows("searched")}
    table = []
    for words in dict.fromkeys([*wanted, *found]):
        searched = found.get(words, {})
        row: Row = {"request": words, **learning_rates.settings(searched)}
        row["searched"] = searched.get("learning_rate")
        published = learning_rates.find("published", learning_rates.settings(searched)) if searched else []
        if len(published) == 1:
            row["published"] = published[0]["learning_rate"]
            row["ratio"] = float(searched["learning_rate"]) / float(row["published"])
        row |= {name: value for name, value in searched.items() if name.startswith(learning_rates.OF_THE_SEARCH)}
        table.append(row)
    return table
