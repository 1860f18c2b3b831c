"""What other code bases have, side by side: one row for each method, at its best rate and without one."""

from __future__ import annotations

import math

from pandas import DataFrame, Series

from frog_cli.reproduction import targets
from frog_cli.reproduction.frames import Frames
from frog_cli.reproduction.informed_tangents import RESULTS, at_best_rates, curves_of

NO_RATE = "curvature"


def with_methods(runs: DataFrame) -> DataFrame:
    """Return runs with the method, and with the space of its tangents, each of which counts as a problem."""
    spaces = [_space(row) for _, row in runs.iterrows()]
    runs = runs.assign(space=spaces, problem=spaces, method=[_method(row) for _, row in runs.iterrows()])
    runs["last_training_loss"] = runs["last_training_loss"].where(runs["outcome"] != "diverged", math.inf)
    return runs


def _method(row: Series) -> str:
    """Return what a method is called here: aggregation or step rule, tangents unless normal, and what else it has."""
    words = targets.options(row["request"].split())
    tangents = row.get("tangents")
    named = [row["gradient"], None if tangents != tangents or tangents == "normal" else str(tangents)]
    named += ["corrected" if words.get("gradient.corrected") == "true" else None]
    named += ["absolute" if words.get("gradient.eigenvalues") == "absolute" else None]
    named += [words.get("gradient.measure") if words.get("gradient.measure") in ("greedy", "difference") else None]
    named += [f"k = {words['gradient.k']}" if words.get("gradient.k", "16") != "16" else None]
    return ", ".join(one.replace("_", " ") for one in named if one)


def _space(row: Series) -> str:
    """Return where a method's tangents live; second-order steps are made in the space of weights."""
    if row["gradient"] == "backprop":
        return ""
    return row["perturb"] if isinstance(row.get("perturb"), str) else "weights"


def compare(frames: Frames) -> DataFrame:
    """Return a row for each method, the best first within each space: results at its best rate, and without one.

    Cosines to the gradient are means over the epochs, from the first on.
    """
    if frames["runs"].empty:
        return DataFrame()
    runs = with_methods(frames["runs"])
    without_rate = runs["learning_rate"].astype(str) == NO_RATE
    groups = ["space", "method"]
    others = dict(iter(runs[without_rate].groupby(groups)))
    best = at_best_rates(_with_most_seeds(runs[~without_rate]))
    rows = [_row(of_one, others.get(key), frames["curves"]) for key, of_one in best.groupby(groups, sort=False)]
    return DataFrame(rows).sort_values(["space", "test_error_mean"], kind="stable").dropna(axis=1, how="all")


def _with_most_seeds(runs: DataFrame) -> DataFrame:
    """Return the runs of each method at those rates that have the most seeds, and how many rates were tried."""
    groups = ["space", "method"]
    tried = runs.groupby(groups)["learning_rate"].transform("nunique")
    seeds = runs.groupby([*groups, "learning_rate"])["seed"].transform("nunique")
    most = seeds.groupby([runs[name] for name in groups]).transform("max")
    return runs.assign(tried=tried)[seeds == most]


def _row(runs: DataFrame, without_rate: DataFrame | None, curves: DataFrame) -> dict[str, object]:
    first = runs.iloc[0]
    row: dict[str, object] = {"space": first["space"], "method": first["method"], "seeds": len(runs)}
    row |= {"rates": first["tried"], "best_rate": first["learning_rate"]}
    for name, result in zip(("test_error", "training_loss"), RESULTS, strict=True):
        row |= _spread(name, runs[result])
    trained = curves_of(runs, curves)
    trained = trained[trained["epoch"] > 0]
    row["cosine"] = trained["cosine"].mean() if "cosine" in trained else None
    return row if without_rate is None else row | _spread("test_error_no_rate", without_rate[RESULTS[0]])


def _spread(name: str, values: Series) -> dict[str, object]:
    return {f"{name}_{what}": getattr(values.astype(float), what)() for what in ("mean", "min", "max")}
