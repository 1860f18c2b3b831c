"""What the second paper claims of its searches on networks, and what the rows say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from pandas import DataFrame, Series

from frog_cli.reproduction.claims.verdicts import (
    SECOND,
    UNKNOWN,
    Claim,
    Verdict,
    count,
    describe_seeds,
    of_shared_seeds,
    series,
)
from frog_cli.reproduction.frames import Frames

_METHODS = {"FGD": ("mean", 1), "FoMoH": ("fomoh", None), "FoMoH-2D": ("fomoh_kd", 2), "FoMoH-3D": ("fomoh_kd", 3)}
_SEARCHES = ("FoMoH", "FoMoH-2D", "FoMoH-3D")
_BACKWARD = {"backprop": "backpropagation", "fomoh_bp": "FoMoH-BP"}
_REGRESSION = "fomoh_logistic_regression"
_LITTLE = 0.01  # relative rise of a loss from which on it has got worse


def dimensions_speed_the_search(frames: dict[str, Frames], target: str) -> Verdict:
    """Ask whether each search takes fewer epochs than the one of a dimension less, to losses that all of them reach."""
    return _judge_epochs(frames[target], _SEARCHES, lambda epochs: bool((epochs.diff().dropna() < 0).all()))


def one_tangent_is_slower(frames: dict[str, Frames], target: str) -> Verdict:
    """Ask whether FGD takes more epochs than each search, to losses that all of them reach."""
    return _judge_epochs(frames[target], [*_METHODS], lambda epochs: epochs["FGD"] > epochs[[*_SEARCHES]].max())


def _judge_epochs(frames: Frames, names: Sequence[str], holds: Callable[[Series], bool]) -> Verdict:
    """Judge how many epochs mean losses take to the highest of the methods' lowest and half way, without schedules."""
    runs = _named_methods(frames["runs"])
    runs = of_shared_seeds(runs[~runs["scheduled"] & runs["method"].isin(names)], "method")
    if {*runs["method"]} != {*names}:
        return UNKNOWN
    curves = frames["curves"].merge(runs[["request", "seed", "method"]], on=["request", "seed"])
    losses = curves.pivot_table(index="epoch", columns="method", values="validation_loss")[[*names]]
    shared = losses.min().max()
    levels = [(losses.iloc[0].mean() + shared) / 2, shared]
    epochs = [(losses <= level).idxmax() for level in levels]
    texts = [f"{level:.4f}, {series(of_level, '{} {:g}')}" for level, of_level in zip(levels, epochs, strict=True)]
    told = f"epochs to a mean validation loss of {'; of '.join(texts)} ({describe_seeds(runs)})"
    return Verdict(all(bool(holds(of_level)) for of_level in epochs), told, count(runs))


def one_tangent_is_competitive(frames: dict[str, Frames], target: str = _REGRESSION) -> Verdict:
    """Ask whether FGD's lowest validation loss is no higher than the highest of the searches'."""
    return _judge_lowest(frames[target]["runs"], lambda losses: losses["FGD"] <= losses[[*_SEARCHES]].max())


def hyperplanes_beat_one_tangent(frames: dict[str, Frames], target: str = "fomoh_cnn") -> Verdict:
    """Ask whether the lowest validation losses of FoMoH-2D and FoMoH-3D are below FGD's."""
    return _judge_lowest(frames[target]["runs"], lambda losses: losses[["FoMoH-2D", "FoMoH-3D"]].max() < losses["FGD"])


def _judge_lowest(runs: DataFrame, holds: Callable[[Series], bool]) -> Verdict:
    """Judge the methods' lowest validation losses without schedule, means over the seeds that all of them have."""
    runs = _named_methods(runs)
    runs = of_shared_seeds(runs[~runs["scheduled"]], "method")
    losses = runs.groupby("method")["best_validation_loss"].mean().reindex([*_METHODS]).dropna()
    if len(losses) < len(_METHODS):
        return UNKNOWN
    text = f"lowest validation loss, {series(losses, '{} {:.4f}')} ({describe_seeds(runs)})"
    return Verdict(bool(holds(losses)), text, count(runs))


def most_dimensions_are_best(frames: dict[str, Frames], target: str = "fomoh_cnn") -> Verdict:
    """Ask whether FoMoH-3D has the lowest validation loss of what goes only forward, with a schedule or without."""
    runs = _named_methods(frames[target]["runs"])
    if {*runs["method"]} != {*_METHODS}:
        return UNKNOWN
    losses = runs.groupby(["method", "scheduled"])["best_validation_loss"].mean().groupby("method").min()
    losses = losses[[*_METHODS]]
    text = f"lowest validation loss, the better of with and without a schedule, {series(losses, '{} {:.4f}')}"
    return Verdict(bool(losses.idxmin() == "FoMoH-3D"), f"{text} ({describe_seeds(runs)})", count(runs))


def fixed_rates_get_worse(frames: dict[str, Frames], target: str = _REGRESSION) -> Verdict:
    """Ask whether the searches end above their lowest validation loss in each run with a fixed rate."""
    runs = _named_methods(frames[target]["runs"])
    runs = runs[~runs["scheduled"] & runs["method"].isin(_SEARCHES)]
    if {*runs["method"]} != {*_SEARCHES}:
        return UNKNOWN
    worse = runs["last_validation_loss"] > (1 + _LITTLE) * runs["best_validation_loss"]
    means = runs.groupby("method")[["best_validation_loss", "last_validation_loss"]].mean()
    pairs = [f"{name} {_loss(best)} and {_loss(last)}" for name, (best, last) in means.iterrows()]
    text = f"in {int(worse.sum())} of {len(runs)} runs; lowest and last validation loss, {', '.join(pairs)}"
    return Verdict(bool(worse.all()), f"{text} ({describe_seeds(runs)})", count(runs))


def schedules_help(frames: dict[str, Frames], target: str) -> Verdict:
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


def _named_methods(runs: DataFrame) -> DataFrame:
    """Return the runs of the second paper's forward-mode methods, with their names and whether they have a schedule."""
    columns = ("request", "gradient", "k", "schedule", "seed", "best_validation_loss", "last_validation_loss")
    runs = runs.reindex(columns=[*columns])
    names = {(gradient, -1 if k is None else k): name for name, (gradient, k) in _METHODS.items()}
    found = [names.get(key, "") for key in zip(runs["gradient"], runs["k"].fillna(-1), strict=True)]
    runs = runs.assign(method=found, scheduled=runs["schedule"].notna())
    return runs[runs["method"] != ""]


CLAIMS = (
    Claim(
        "In logistic regression a search converges the faster the more dimensions it has.",
        f"{SECOND}, 6.2",
        partial(dimensions_speed_the_search, target=_REGRESSION),
        (_REGRESSION,),
    ),
    Claim(
        "In logistic regression FoMoH and FoMoH-KD with a fixed rate get worse after their lowest loss.",
        f"{SECOND}, 6.2",
        fixed_rates_get_worse,
        (_REGRESSION,),
    ),
    Claim(
        "In logistic regression schedules help.",
        f"{SECOND}, 6.2",
        partial(schedules_help, target=_REGRESSION),
        (_REGRESSION,),
    ),
    Claim(
        "In logistic regression FGD is competitive with FoMoH and FoMoH-KD.",
        f"{SECOND}, 6.2",
        one_tangent_is_competitive,
        (_REGRESSION,),
    ),
    Claim(
        "In logistic regression FGD is slower to converge than FoMoH and FoMoH-KD.",
        f"{SECOND}, 6.2",
        partial(one_tangent_is_slower, target=_REGRESSION),
        (_REGRESSION,),
    ),
    Claim(
        "On the convolutional network FoMoH-KD is better than FGD.",
        f"{SECOND}, 6.3",
        hyperplanes_beat_one_tangent,
        ("fomoh_cnn",),
    ),
    Claim(
        "On the convolutional network FGD needs more epochs than all of FoMoH.",
        f"{SECOND}, 6.3",
        partial(one_tangent_is_slower, target="fomoh_cnn"),
        ("fomoh_cnn",),
    ),
    Claim(
        "On the convolutional network the best that goes only forward has the largest K, FoMoH-3D.",
        f"{SECOND}, 6.3",
        most_dimensions_are_best,
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
