"""The rows of a target as data frames, and what figures and claims both ask of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame

from frog_cli.files.csv import read_csv
from frog_cli.reproduction import stored_rows
from frog_cli.reproduction.searched_rates import rates_beside_published
from frog_cli.reproduction.targets import Scale, Target

Frames = dict[str, DataFrame]
"""The rows of a target: `runs`, `quality`, `curves`, `searched`, and `costs` of steps; any of them may be empty."""


def read_frames(target: Target, results: Path, scale: Scale = "paper") -> Frames:
    """Return all rows that a target has; a learning rate for each search, if it is made of searches."""
    found = {
        kind: DataFrame(stored_rows.read_current(target, results, kind, scale)).apply(_numbers)
        for kind in stored_rows.KINDS
    }
    of_searches = rates_beside_published(target, scale) if target.name == "learning_rates" else []
    found["searched"] = DataFrame([row for row in of_searches if row["searched"]]).apply(_numbers)
    bench = results / "bench" / "bench.csv"
    measured = read_csv(bench) if target.name == "informed_tangents" and bench.exists() else []
    found["costs"] = DataFrame(measured).apply(_numbers)
    return found


def _numbers(column: Any) -> Any:
    """Return a column as numbers if it has nothing else; an empty cell is none, nor is the loss of a diverged run."""
    filled = column.replace(["", "nan"], np.nan)
    numbers = pd.to_numeric(filled, errors="coerce")
    return numbers if numbers.notna().sum() == filled.notna().sum() else filled


def describe_problem(row: Any) -> str:
    """Return what a row, of runs or of searches, is about: a function, or a network and its data."""
    if isinstance(row.get("function"), str):
        return f"{row['function']}, n = {row['n']:g}"
    width = f", w = {row['width']:g}" if row.get("width", np.nan) > 0 else ""
    return f"{row['model'].replace('_', ' ')}{width}, {row['data']}"


def values_by_run(curves: DataFrame, runs: DataFrame) -> DataFrame:
    """Return the lowest values so far, a row for each step and a column for each run; one that has ended stays."""
    of_method = curves[curves["request"].isin(runs["request"].unique())]
    return of_method.pivot_table(index="step", columns=["request", "seed"], values="best_value").ffill()


def describe_starts(runs: DataFrame) -> str:
    """Return from how many starts there are runs, and with how many seeds of tangents from each."""
    if "start_seed" not in runs or runs["start_seed"].isna().all():
        return f"{runs['seed'].nunique()} starts"
    seeds = runs.groupby("start_seed")["seed"].nunique()
    each = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    return f"{len(seeds)} starts" + (f" with {each} seeds of tangents each" if seeds.max() > 1 else "")


def count_seeds(runs: DataFrame) -> str:
    """Return how many seeds there are of each request, from the fewest to the most."""
    counts = runs.groupby("request")["seed"].nunique()
    return f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
