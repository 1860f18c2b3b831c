"""What the second paper, on second-order forward mode, claims, and what the rows of the targets say of it."""

from __future__ import annotations

from functools import partial

from pandas import DataFrame, Series

from frog_cli.reproduction.frames import Frames, describe_starts, values_by_run
from frog_cli.reproduction.verdicts import (
    SECOND,
    UNKNOWN,
    Claim,
    Verdict,
    count,
    describe_seeds,
    of_shared_seeds,
    series,
)


def methods_order_by_k(frames: dict[str, Frames], target: str = "fomoh_logistic_regression") -> Verdict:
    """Compare the lowest validation losses of the methods without schedule, over the seeds that all of them have."""
    runs = _named_methods(frames[target]["runs"])
    runs = of_shared_seeds(runs[~runs["scheduled"]], "method")
    losses = runs.groupby("method")["best_validation_loss"].mean().reindex([*_METHODS]).dropna()
    if len(losses) < len(_METHODS):
        return UNKNOWN
    text = f"lowest validation loss, {series(losses, '{} {:.4f}')} ({describe_seeds(runs)})"
    return Verdict(bool((losses.diff().dropna() < 0).all()), text, count(runs))


def dimension_orders_the_search(frames: dict[str, Frames]) -> Verdict:
    """Ask whether the medians over all runs of the lowest value end in the order of K, and since which step they do.

    Equal medians are in order: those that have reached the minimum get no lower.
    """
    runs, curves = (frames["fomoh_rosenbrock_10d"][kind] for kind in ("runs", "curves"))
    if runs.empty:
        return UNKNOWN
    searches = runs[runs["gradient"] == "fomoh_kd"]
    medians = DataFrame({k: _medians(curves, group) for k, group in searches.groupby("k")}).sort_index(axis=1)
    higher = medians.diff(axis=1) > 0
    disordered = medians.index[higher.any(axis=1)]
    last = medians.index[-1]
    texts = [f"median lowest value after {last:g} steps: {series(medians.loc[last], 'K = {:g}: {:.3g}')}"]
    if len(disordered):
        step, before = medians.loc[disordered[-1]], medians.shift(axis=1).loc[disordered[-1]]
        above = [f"K = {k:g} ({step[k]:.3g}) above the one before ({before[k]:.3g})" for k in step.index[step > before]]
        texts.append(f"last out of order after {step.name:g} steps: {', '.join(above)}")
    return Verdict(last not in disordered, f"{'; '.join(texts)} ({describe_starts(searches)})", count(searches))


def schedules_help(frames: dict[str, Frames], target: str = "fomoh_logistic_regression") -> Verdict:
    """Compare the last validation losses with and without a schedule, over the seeds that have both."""
    runs = _named_methods(frames[target]["runs"])
    texts, better, judged = [], [], []
    for method, group in runs.groupby("method", sort=False):
        both = of_shared_seeds(group, "scheduled")
        losses = both.groupby("scheduled")["last_validation_loss"].mean()
        if len(losses) == 2:
            better.append(bool(losses[True] < losses[False]))
            pair = f"{_loss(losses[False])} without, {_loss(losses[True])} with"
            texts.append(f"{method}: {pair} ({describe_seeds(both)})")
            judged.append(both)
    return Verdict(all(better), "last validation loss, " + "; ".join(texts), count(*judged)) if better else UNKNOWN


def _loss(value: float) -> str:
    """Return a loss as text, short also if the run has diverged."""
    return f"{value:.4f}" if value < 1e4 else f"{value:.1e}"


def whole_space_is_newton(frames: dict[str, Frames]) -> Verdict:
    """Compare the median curves of K = 10 and of Newton's method."""
    curves, runs = frames["fomoh_rosenbrock_10d"]["curves"], frames["fomoh_rosenbrock_10d"]["runs"]
    if runs.empty:
        return UNKNOWN
    judged = [runs[(runs["gradient"] == "fomoh_kd") & (runs["k"] == 10)], runs[runs["gradient"] == "newton"]]
    search, newton = (_medians(curves, group) for group in judged)
    if search.empty or newton.empty:
        return UNKNOWN
    both = (search > 1e-12) & (newton > 1e-12)
    difference = float(((search - newton).abs() / newton)[both].max())
    text = f"largest relative difference of the medians while above 1e-12: {difference:.2g} ({describe_starts(runs)})"
    return Verdict(difference < 1e-3, text, count(*judged))


_METHODS = {"FGD": ("mean", 1), "FoMoH": ("fomoh", None), "FoMoH-2D": ("fomoh_kd", 2), "FoMoH-3D": ("fomoh_kd", 3)}


def _named_methods(runs: DataFrame) -> DataFrame:
    """Return the runs of the second paper's forward-mode methods, with their names and whether they have a schedule."""
    columns = ("gradient", "k", "schedule", "seed", "best_validation_loss", "last_validation_loss")
    runs = runs.reindex(columns=[*columns])
    names = {(gradient, -1 if k is None else k): name for name, (gradient, k) in _METHODS.items()}
    found = [names.get(key, "") for key in zip(runs["gradient"], runs["k"].fillna(-1), strict=True)]
    runs = runs.assign(method=found, scheduled=runs["schedule"].notna())
    return runs[runs["method"] != ""]


def _medians(curves: DataFrame, runs: DataFrame) -> Series:
    """Return the median over all runs of the lowest value so far, by step; nothing if there are no runs."""
    return Series(dtype=float) if runs.empty else values_by_run(curves, runs).median(axis=1)


def backward_beats_forward(frames: dict[str, Frames]) -> Verdict:
    """Compare the last validation losses of backpropagation and FoMoH-BP with the lowest of the forward-only ones."""
    runs = frames["fomoh_cnn"]["runs"]
    if runs.empty:
        return UNKNOWN
    backward = runs[runs["gradient"].isin([*_BACKWARD])]
    forward = _named_methods(runs).groupby(["method", "scheduled"])["last_validation_loss"].mean()
    losses = backward.groupby("gradient")["last_validation_loss"].mean().rename(_BACKWARD)
    if len(losses) < len(_BACKWARD) or len(forward) < 2 * len(_METHODS) - 1:  # FGD has no schedule
        return UNKNOWN
    (method, scheduled), *_ = forward.sort_values().index
    name = f"{method} with a schedule" if scheduled else method
    text = (
        f"last validation loss, {series(losses, '{} {:.4f}')}; the lowest forward-only one, {name}, {forward.min():.4f}"
    )
    return Verdict(bool((losses < forward.min()).all()), f"{text} ({describe_seeds(runs)})", count(runs))


_BACKWARD = {"backprop": "backpropagation", "fomoh_bp": "FoMoH-BP"}

CLAIMS = (
    Claim(
        "The median search gets the lower the more dimensions it has.",
        f"{SECOND}, 6.1",
        dimension_orders_the_search,
        ("fomoh_rosenbrock_10d",),
    ),
    Claim(
        "With K = n the search is Newton's method.",
        f"{SECOND}, 6.1",
        whole_space_is_newton,
        ("fomoh_rosenbrock_10d",),
    ),
    Claim(
        "FGD, FoMoH, FoMoH-2D, FoMoH-3D: each is better than the one before.",
        f"{SECOND}, 6.2",
        methods_order_by_k,
        ("fomoh_logistic_regression",),
    ),
    Claim("Schedules help.", f"{SECOND}, 6.2", schedules_help, ("fomoh_logistic_regression",)),
    Claim(
        "On the convolutional network, too, each of FGD, FoMoH, FoMoH-2D, FoMoH-3D is better than the one before.",
        f"{SECOND}, 6.3",
        partial(methods_order_by_k, target="fomoh_cnn"),
        ("fomoh_cnn",),
    ),
    Claim(
        "On the convolutional network schedules help.",
        f"{SECOND}, 6.3",
        partial(schedules_help, target="fomoh_cnn"),
        ("fomoh_cnn",),
    ),
    Claim(
        "On the convolutional network FoMoH-BP and backpropagation are better than what goes only forward.",
        f"{SECOND}, 6.3",
        backward_beats_forward,
        ("fomoh_cnn",),
    ),
)
