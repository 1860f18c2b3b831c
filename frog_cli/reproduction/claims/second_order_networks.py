"""What the second paper claims of its searches on networks, and what the rows say of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from pandas import DataFrame, Series

from frog_cli.reproduction.claims.verdicts import (
    SECOND,
    UNKNOWN,
    Claim,
    Verdict,
    all_hold,
    count,
    describe_seeds,
    is_lower,
    of_shared_seeds,
    series,
)
from frog_cli.reproduction.frames import Frames

_METHODS = {"FGD": ("mean", 1), "FoMoH": ("fomoh", None), "FoMoH-2D": ("fomoh_kd", 2), "FoMoH-3D": ("fomoh_kd", 3)}
_SEARCHES = ("FoMoH", "FoMoH-2D", "FoMoH-3D")
_BACKWARD = {"backprop": "backpropagation", "fomoh_bp": "FoMoH-BP"}
_REGRESSION = "fomoh_logistic_regression"
_LITTLE = 0.01  # relative rise of a loss from which on it has got worse
_AT_THE_END = 0.05  # share of a run's epochs that are its end


def dimensions_speed_the_search(frames: dict[str, Frames], target: str) -> Verdict:
    """Ask whether each search takes fewer epochs than the one of a dimension less, to a loss that all of them reach."""
    return _judge_epochs(frames[target], _SEARCHES, lambda epochs: bool((epochs.diff().dropna() < 0).all()))


def one_tangent_is_slower(frames: dict[str, Frames], target: str) -> Verdict:
    """Ask whether FGD takes more epochs than each search, to a loss that all of them reach."""
    return _judge_epochs(frames[target], [*_METHODS], lambda epochs: epochs["FGD"] > epochs[[*_SEARCHES]].max())


def _judge_epochs(frames: Frames, names: Sequence[str], holds: Callable[[Series], bool]) -> Verdict:
    """Judge how many epochs mean losses take to the highest of the methods' lowest ones, without schedules."""
    runs, curves = _unscheduled_with_curves(frames, names)
    if runs.empty:
        return UNKNOWN
    losses = curves.pivot_table(index="epoch", columns="method", values="validation_loss")[[*names]]
    shared = losses.min().max()
    epochs = (losses <= shared).idxmax()
    told = f"epochs to a mean validation loss of {shared:.4f}, {series(epochs, '{} {:g}')} ({describe_seeds(runs)})"
    return Verdict(bool(holds(epochs)), told + _resolution(curves), count(runs))


def one_tangent_converges_later(frames: dict[str, Frames], target: str = _REGRESSION) -> Verdict:
    """Ask whether FGD comes within a hundredth of its lowest loss in later epochs than each search, in all seeds."""
    runs, curves = _unscheduled_with_curves(frames[target], [*_METHODS])
    if runs.empty:
        return UNKNOWN
    lowest = curves.groupby(["method", "seed"])["validation_loss"].transform("min")
    near = curves[curves["validation_loss"] <= (1 + _LITTLE) * lowest]
    epochs = near.groupby(["method", "seed"])["epoch"].min()
    texts = [f"{name} {epochs[name].min():g} to {epochs[name].max():g}" for name in _METHODS]
    told = f"epochs to within 1 % of a run's lowest validation loss: {', '.join(texts)} ({describe_seeds(runs)})"
    later = all_hold(is_lower(epochs[name], epochs["FGD"]) for name in _SEARCHES)
    return Verdict(later, told + _resolution(curves), count(runs))


def _unscheduled_with_curves(frames: Frames, names: Sequence[str]) -> tuple[DataFrame, DataFrame]:
    """Return methods' runs without schedule of the seeds that all have, and their curves; none if one is missing."""
    runs = _named_methods(frames["runs"])
    runs = of_shared_seeds(runs[~runs["scheduled"] & runs["method"].isin(names)], "method")
    if {*runs["method"]} != {*names}:
        return runs[:0], DataFrame()
    return runs, frames["curves"].merge(runs[["request", "seed", "method"]], on=["request", "seed"])


def _resolution(curves: DataFrame) -> str:
    """Return how far apart the epochs are that are kept, if not every epoch is."""
    apart = Series(sorted(curves["epoch"].unique())).diff().max()
    return f"; later epochs are kept {apart:g} apart" if apart > 1 else ""


def one_tangent_is_competitive(frames: dict[str, Frames], target: str = _REGRESSION) -> Verdict:
    """Ask whether FGD's lowest validation losses are not all above those of the search with the highest."""
    return _judge_lowest(
        frames[target]["runs"], lambda losses: is_lower(losses[_highest(losses, _SEARCHES)], losses["FGD"]) is not True
    )


def hyperplanes_beat_one_tangent(frames: dict[str, Frames], target: str = "fomoh_cnn") -> Verdict:
    """Ask whether the lowest validation losses of FoMoH-2D and FoMoH-3D are below FGD's."""
    return _judge_lowest(
        frames[target]["runs"],
        lambda losses: all_hold(is_lower(losses[name], losses["FGD"]) for name in ("FoMoH-2D", "FoMoH-3D")),
    )


def _highest(losses: dict[str, Series], names: Sequence[str]) -> str:
    return max(names, key=lambda name: losses[name].mean())


def _judge_lowest(runs: DataFrame, holds: Callable[[dict[str, Series]], bool | None]) -> Verdict:
    """Judge the methods' lowest validation losses without schedule, of the seeds that all of them have."""
    runs = _named_methods(runs)
    runs = of_shared_seeds(runs[~runs["scheduled"]], "method")
    losses = {name: runs[runs["method"] == name]["best_validation_loss"] for name in _METHODS}
    if not all(map(len, losses.values())):
        return UNKNOWN
    text = f"lowest validation loss, {', '.join(f'{name} {_range(one)}' for name, one in losses.items())}"
    return Verdict(holds(losses), f"{text} ({describe_seeds(runs)})", count(runs))


def _range(losses: Series) -> str:
    """Return the mean of losses and their range."""
    return _loss(losses.mean()) + (f" ({_loss(losses.min())} to {_loss(losses.max())})" if len(losses) > 1 else "")


def most_dimensions_are_best(frames: dict[str, Frames], target: str = "fomoh_cnn") -> Verdict:
    """Ask whether FoMoH-3D has the lowest validation losses of what goes only forward, with a schedule or without."""
    runs = _named_methods(frames[target]["runs"])
    if {*runs["method"]} != {*_METHODS}:
        return UNKNOWN
    losses = {}
    for name in _METHODS:
        of_name = runs[runs["method"] == name].groupby("scheduled")["best_validation_loss"]
        losses[name] = min((group for _, group in of_name), key=Series.mean)
    lowest = all_hold(is_lower(losses["FoMoH-3D"], losses[name]) for name in _METHODS if name != "FoMoH-3D")
    told = ", ".join(f"{name} {_range(losses[name])}" for name in _METHODS)
    text = f"lowest validation loss, the better of with and without a schedule, {told}"
    return Verdict(lowest, f"{text} ({describe_seeds(runs)})", count(runs))


def fixed_rates_get_worse(frames: dict[str, Frames], target: str = _REGRESSION) -> Verdict:
    """Ask whether the searches end above their lowest validation loss in each run with a fixed rate that has had it."""
    runs = _named_methods(frames[target]["runs"])
    runs = runs[~runs["scheduled"] & runs["method"].isin(_SEARCHES)]
    if {*runs["method"]} != {*_SEARCHES}:
        return UNKNOWN
    passed = runs[_has_passed_its_lowest(runs)]
    worse = passed["last_validation_loss"] > (1 + _LITTLE) * passed["best_validation_loss"]
    means = runs.groupby("method")[["best_validation_loss", "last_validation_loss"]].mean()
    pairs = [f"{name} {_loss(best)} and {_loss(last)}" for name, (best, last) in means.iterrows()]
    text = f"in {int(worse.sum())} of {len(passed)} runs" + _still_falling(len(runs) - len(passed))
    text += f"; lowest and last validation loss, {', '.join(pairs)}"
    holds = bool(worse.all()) if len(passed) else None
    return Verdict(holds, f"{text} ({describe_seeds(runs)})", count(runs))


def schedules_help(frames: dict[str, Frames], target: str) -> Verdict:
    """Ask whether each seed that gets worse with a fixed rate ends lower with a schedule, for each method.

    Runs of one seed are one until the schedule sets in.
    """
    runs = _named_methods(frames[target]["runs"])
    texts, helped, judged = [], [], []
    for method, group in runs.groupby("method", sort=False):
        both = of_shared_seeds(group, "scheduled").set_index("seed")
        with_, without = (both[both["scheduled"] == scheduled] for scheduled in (True, False))
        if not (len(with_) and len(without)):
            continue
        passed = without[_has_passed_its_lowest(without)]
        lower = with_["last_validation_loss"].reindex(passed.index) < passed["last_validation_loss"]
        helped.append(None if lower.empty or 0 < lower.sum() < len(lower) else bool(lower.all()))
        losses = [_loss(one["last_validation_loss"].mean()) for one in (without, with_)]
        seeds = f"lower in {int(lower.sum())} of {len(lower)} seed{'s' * (len(lower) > 1)}"
        seeds += _still_falling(len(without) - len(passed))
        told = seeds if len(lower) else "without one the loss still falls at the end in all seeds"
        texts.append(
            f"{method}: {told}, {losses[0]} without and {losses[1]} with ({describe_seeds(both.reset_index())})"
        )
        judged.append(both.reset_index())
    told = "last validation loss with a schedule, " + "; ".join(texts)
    return Verdict(all_hold(helped), told, count(*judged)) if texts else UNKNOWN


def _has_passed_its_lowest(runs: DataFrame) -> Series:
    """Return which runs had their lowest loss before their last epochs: of the others nobody knows what comes."""
    return runs["best_validation_loss_epoch"] < (1 - _AT_THE_END) * runs["epochs"]


def _still_falling(number: int) -> str:
    if not number:
        return ""
    return f" ({number} more {'has' if number == 1 else 'have'} the lowest loss at the end)"


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
    columns = ["request", "gradient", "k", "schedule", "seed", "epochs"]
    losses = ["best_validation_loss", "last_validation_loss"]
    runs = runs.reindex(columns=[*columns, *losses, "best_validation_loss_epoch"])
    runs[losses] = runs[losses].fillna(math.inf)  # what is no number, or infinite, is empty in rows
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
        one_tangent_converges_later,
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
