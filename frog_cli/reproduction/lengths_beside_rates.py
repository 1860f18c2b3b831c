"""Steps whose lengths come from the curvature beside those with learning rates: one row for each problem and method."""

from __future__ import annotations

import numpy as np
from pandas import DataFrame, Series

from frog_cli.reproduction import targets
from frog_cli.reproduction.frames import Frames, describe_problem

LOWEST = {"sphere": 0.0, "rosenbrock": 0.0, "styblinski-tang": -39.16616570377142}
"""The lowest value of each function, for each of its variables."""

KEY = ["problem", "gradient", "k"]


def with_results(runs: DataFrame) -> DataFrame:
    """Return runs with what they were on, where their rate is from, and one result for all problems.

    The result is the lowest test error in percent, or how far the lowest value of a function is above its minimum.
    """
    runs = runs.reindex(
        columns=[*dict.fromkeys([*runs, "function", "n", "k", "best_value", "best_test_error_percent"])]
    )
    asked = [targets.options(words.split())["learning_rate"] for words in runs["request"]]
    runs["rate"] = [word if word in ("published", "searched", "curvature") else "fixed" for word in asked]
    runs["problem"] = [describe_problem(row) for _, row in runs.iterrows()]
    above = runs["best_value"] - runs["function"].map(LOWEST) * runs["n"]
    runs["result"] = runs["best_test_error_percent"].fillna(above.clip(lower=0))  # but for rounding
    return runs


def compare(frames: Frames) -> DataFrame:
    """Return for each problem and method the results of published, best and no learning rate, means over the seeds.

    The best rate is that with the lowest mean of all that were run, the published and the searched one among them.
    """
    if frames["runs"].empty:
        return DataFrame()
    runs = with_results(frames["runs"])
    return DataFrame([_compared(group, frames["curves"]) for _, group in runs.groupby(KEY, sort=False, dropna=False)])


def _compared(runs: DataFrame, curves: DataFrame) -> Series:
    """Return the row of one problem and method."""
    by_curvature, by_rate = runs[runs["rate"] == "curvature"], runs[runs["rate"] != "curvature"]
    row = runs.iloc[0][KEY].to_dict() | {"seeds": runs["seed"].nunique()}
    results = (
        by_rate.assign(learning_rate=by_rate["learning_rate"].astype(float)).groupby("learning_rate")["result"].mean()
    )
    published = by_rate[by_rate["rate"] == "published"]
    row |= {"rates": len(results), "published_rate": _rate(published), "published_result": published["result"].mean()}
    row |= {"best_rate": results.idxmin() if len(results) else np.nan, "best_result": results.min()}
    row |= {"median_length": _lengths(curves, by_curvature).median(), "result": by_curvature["result"].mean()}
    row["ratio"] = row["result"] / row["best_result"] if row["best_result"] else np.nan
    row["failed_steps"] = by_curvature["failed_steps"].mean() if "failed_steps" in by_curvature else np.nan
    return Series(row)


def _rate(runs: DataFrame) -> float:
    return float(runs["learning_rate"].iloc[0]) if len(runs) else np.nan


def _lengths(curves: DataFrame, runs: DataFrame) -> Series:
    """Return the median lengths of steps in the rows that are kept of some runs."""
    return curves[curves["request"].isin(runs["request"])]["step_length_median"] if len(curves) else Series(dtype=float)
