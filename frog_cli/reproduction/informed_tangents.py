"""Tangents of losses of the layers' own beside random ones and backpropagation: one row for each network and method."""

from __future__ import annotations

import math

import numpy as np
from pandas import DataFrame, Series, concat, to_numeric

from frog_cli.reproduction import targets
from frog_cli.reproduction.frames import Frames, describe_problem
from frog_cli.settings import methods

BACKPROP, RANDOM = "backprop", "projection, k = 16"
"""What the gap that local tangents close lies between."""

CHECKPOINTS = "backprop with checkpoints"

_BENCHMARKS = {
    "mlp": ("mlp256", "mlp256_local", "mlp256_local_lengths"),
    "resnet18": ("resnet18_random", "resnet18_local", "resnet18_greedy"),
}
"""Which of the benchmarks in results/bench are of which network."""

RESULTS = ("best_test_error_percent", "last_training_loss")


def with_results(runs: DataFrame) -> DataFrame:
    """Return runs with the problem that they are on, the method, and whether its steps have a rate."""
    runs = runs.assign(data=runs["data_variant"])
    runs["problem"] = [describe_problem(row) for _, row in runs.iterrows()]
    runs["method"] = [_method(row) for _, row in runs.iterrows()]
    runs["last_training_loss"] = runs["last_training_loss"].where(runs["outcome"] != "diverged", math.inf)
    return runs


def _method(row: Series) -> str:
    """Return what a method is called here; greedy ones follow the layers' own losses, without slopes of another."""
    words = targets.options(row["request"].split())
    name = methods.of_row(row).name_in_papers()
    if words.get("gradient.measure") == "greedy":
        name = "greedy, local"
    return f"{name}, no rate" if words["learning_rate"] == "curvature" else name


def at_best_rates(runs: DataFrame) -> DataFrame:
    """Return the runs of each problem and method at the best of its rates, judged by the seeds that all rates have.

    The best is that with the lowest mean test error for multilayer perceptrons, whose training ends at a loss of almost
    0, else that with the lowest training loss, of which the seeds differ less.
    """
    return concat([_at_best_rate(group) for _, group in runs.groupby(["problem", "method"], sort=False)])


def _at_best_rate(runs: DataFrame) -> DataFrame:
    result = RESULTS[0] if runs["model"].iloc[0] == "mlp" else RESULTS[1]
    seeds = set.intersection(*(set(group["seed"]) for _, group in runs.groupby("learning_rate")))
    means = runs[runs["seed"].isin(seeds)].groupby("learning_rate")[result].mean()
    return runs[runs["learning_rate"] == means.idxmin()].assign(rates=len(means))


def compare(frames: Frames) -> DataFrame:
    """Return a row for each problem and method at its best rate: errors, losses, gaps closed, cosines by layer, passes.

    A gap is closed by the share of the way from 16 random tangents to backpropagation that the means have gone. Cosines
    are means over the epochs, from the first on. What a step costs is that of the full-sized network: multiplications
    and time in units of a plain forward pass, and the peak of its memory in that of backpropagation.
    """
    if frames["runs"].empty:
        return DataFrame()
    best = at_best_rates(with_results(frames["runs"]))
    rows = []
    for _, group in best.groupby(["problem", "method"], sort=False):
        rows.append(_row(group, frames["curves"], frames["costs"]))
        if rows[-1]["method"] == BACKPROP:  # which takes the same steps with checkpoints, at another cost
            cost = cost_of(group.iloc[0], frames["costs"], CHECKPOINTS)
            rows += [] if cost is None else [rows[-1] | {"method": CHECKPOINTS} | {name: cost[name] for name in _COSTS}]
    table = DataFrame(rows)
    for result in ("test_error", "training_loss"):
        closed = f"{result}_gap_closed"
        table[closed] = np.nan
        for _, group in table.groupby("problem"):
            ends = [group.loc[group["method"] == name, f"{result}_mean"] for name in (RANDOM, BACKPROP)]
            if all(map(len, ends)):
                start, end = (float(one.iloc[0]) for one in ends)
                table.loc[group.index, closed] = (start - group[f"{result}_mean"]) / (start - end)
    return table.dropna(axis=1, how="all")


_COSTS = ("plain_multiplications", "plain_passes", "backprop_peaks")


def _row(runs: DataFrame, curves: DataFrame, costs: DataFrame) -> dict[str, object]:
    first = runs.iloc[0]
    row: dict[str, object] = {"problem": first["problem"], "method": first["method"], "seeds": len(runs)}
    row |= {"rates": first["rates"], "best_rate": first["learning_rate"]}
    for name, result in zip(("test_error", "training_loss"), RESULTS, strict=True):
        values = runs[result].astype(float)
        row |= {f"{name}_{what}": getattr(values, what)() for what in ("mean", "min", "max")}
    of_runs = curves_of(runs, curves)
    trained = of_runs[of_runs["epoch"] > 0]
    row |= {name: trained[name].mean() for name in map(str, trained) if name.startswith("cosine")}
    cost = cost_of(first, costs)
    return row if cost is None else row | {column: cost[column] for column in _COSTS}


def curves_of(runs: DataFrame, curves: DataFrame) -> DataFrame:
    """Return the rows of curves that belong to some runs of one method."""
    if curves.empty:
        return DataFrame(columns=["epoch", "test_accuracy_percent", "training_loss"])
    found = curves[curves["request"].isin(runs["request"]) & curves["seed"].isin(runs["seed"])]
    numbers = found.drop(columns="request").apply(to_numeric, errors="coerce")  # that of a loss without bounds is "nan"
    return numbers.assign(request=found["request"])


def cost_of(row: Series, costs: DataFrame, gradient: str | None = None) -> Series | None:
    """Return what a step of a run's method costs, measured forward on the full-sized network; None if nobody measured.

    Args:
        row: a run.
        costs: the rows of `frog bench`, as results/bench has them.
        gradient: what is called otherwise there than in the run.
    """
    if costs.empty or "multiplications" not in costs:
        return None
    method = methods.of_row(row)
    same = costs["benchmark"].isin(_BENCHMARKS.get(row["model"], ()))
    same &= costs["gradient"] == (gradient or method.gradient)
    if method.gradient != BACKPROP:
        same &= costs["tangents"] == method.tangents
        same &= costs["measure"] == ("greedy" if row["method"].startswith("greedy") else "forward")
        same &= costs["k"].isna() if method.k is None else costs["k"] == method.k
        without_rate = row["learning_rate"] == "curvature"
        same &= costs["lengths"] == "curvature" if without_rate else costs["lengths"].isna()
    found = costs[same & costs["multiplications"].notna()]
    return found.iloc[-1] if len(found) else None
