"""Searched learning rates beside the published ones."""

from __future__ import annotations

from frog_cli.files.csv import Row
from frog_cli.reproduction.targets import Scale, Target, jobs
from frog_cli.search.proposals import end_of_interval
from frog_cli.settings import learning_rates


def rates_beside_published(target: Target, scale: Scale) -> list[Row]:
    """Return searched learning rates beside the published ones: those that a target wants at a scale, found or not.

    At the papers' scale all others that were found come behind them, but for grids, which are of a laptop's.
    """
    found = {row["search_request"]: row for row in learning_rates.rows("searched") if row.get("learning_rate")}
    wanted = [job.words for job in jobs(target, scale) if job.kind == "search"]
    also = [words for words, row in found.items() if row.get("search_method") != "grid"] if scale != "laptop" else []
    table = []
    for words in dict.fromkeys([*wanted, *also]):
        searched = found.get(words, {})
        row: Row = {"request": words, **learning_rates.settings(searched)}
        row["searched"] = searched.get("learning_rate")
        published = learning_rates.find("published", learning_rates.settings(searched)) if searched else []
        if len(published) == 1:
            row["published"] = published[0]["learning_rate"]
            row["ratio"] = float(searched["learning_rate"]) / float(row["published"])
        low, high = (searched.get(f"{learning_rates.OF_THE_SEARCH}{end}") for end in ("low", "high"))
        if low and high:
            row["at_end"] = end_of_interval(float(searched["learning_rate"]), float(low), float(high))
        row |= {name: value for name, value in searched.items() if name.startswith(learning_rates.OF_THE_SEARCH)}
        table.append(row)
    return table
