"""What the second paper claims of its searches on the Rosenbrock function, and what the rows say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame, Series

from frog_cli.reproduction.claims.verdicts import SECOND, UNKNOWN, Claim, Verdict, count, describe_seeds, series
from frog_cli.reproduction.frames import Frames, describe_starts, values_by_run
from frog_cli.settings import methods

_CERTAIN = 3  # standard errors from which on a difference is no chance
_SECOND_ORDER = ("fomoh", "fomoh_bp", "fomoh_kd")


def a_step_in_two_directions_is_newtons(frames: dict[str, Frames]) -> Verdict:
    """Compare the mean and the spread of the steps of FoMoH-2D from one point with Newton's step."""
    runs = frames["fomoh_step"]["runs"]
    if runs.empty or not {"newton", "fomoh_kd"} <= {*runs["gradient"]}:
        return UNKNOWN
    points = {gradient: _points(runs[runs["gradient"] == gradient], "last") for gradient in ("newton", "fomoh_kd")}
    newton = points["newton"].mean(axis=0)
    length = float(np.linalg.norm(newton - _points(runs, "first")[0]))
    apart = float(np.linalg.norm(points["fomoh_kd"].mean(axis=0) - newton)) / length
    spread = float(np.linalg.norm(points["fomoh_kd"].std(axis=0))) / length
    text = f"as shares of the length of Newton's step, the mean step ends {apart:.1g} away from it, with a standard "
    text += f"deviation of {spread:.1g} ({describe_seeds(runs)})"
    return Verdict(max(apart, spread) < 1e-3, text, count(runs[runs["gradient"].isin([*points])]))


def the_mean_step_along_one_tangent_is_along_the_gradient(frames: dict[str, Frames]) -> Verdict:
    """Ask whether the mean step of FGD from one point leads along FoMoH-BP's, but for three standard errors across."""
    return _judge_direction(frames, "mean", lambda errors: errors <= _CERTAIN)


def the_mean_step_of_a_line_search_is_not_along_the_gradient(frames: dict[str, Frames]) -> Verdict:
    """Ask whether the mean step of FoMoH from one point leads elsewhere, by three standard errors across."""
    return _judge_direction(frames, "fomoh", lambda errors: errors > _CERTAIN)


def _judge_direction(frames: dict[str, Frames], method: str, holds: Callable[[float], bool]) -> Verdict:
    """Judge how many standard errors a method's mean step leads across FoMoH-BP's."""
    runs = frames["fomoh_step"]["runs"]
    steps = {gradient: _steps(runs, gradient) for gradient in (method, "fomoh_bp")}
    if not len(steps["fomoh_bp"]) or len(steps[method]) < 2:
        return UNKNOWN
    backward = steps["fomoh_bp"].mean(axis=0)
    along = backward / np.linalg.norm(backward)
    forward, across = steps[method] @ along, steps[method] @ np.array([-along[1], along[0]])
    angle, error = (np.degrees(np.arctan2(one, forward.mean())) for one in (across.mean(), _standard_error(across)))
    errors = abs(across.mean()) / _standard_error(across)
    text = f"the mean step is {abs(angle):.2g} degrees from the gradient's direction, {errors:.2g} standard errors of "
    text += f"{error:.2g} degrees ({describe_seeds(runs)})"
    judged = runs[runs["gradient"].isin([*steps])]
    return Verdict(bool(forward.mean() > 0 and holds(errors)), text, count(judged))


def steps_of_a_line_search_vary_less(frames: dict[str, Frames]) -> Verdict:
    """Ask whether FGD's steps from one point spread more, as a share of the mean step's length, than FoMoH's.

    The difference must be three standard errors, which are found from resamples of the runs.
    """
    runs = frames["fomoh_step"]["runs"]
    steps = [_steps(runs, gradient) for gradient in ("mean", "fomoh")]
    if min(map(len, steps)) < 2:
        return UNKNOWN
    spreads = [_relative_spread(one) for one in steps]
    draw = np.random.default_rng(0)
    resampled = [[_relative_spread(one[draw.integers(len(one), size=len(one))]) for _ in range(1000)] for one in steps]
    error = float(np.hypot(*np.std(resampled, axis=1)))
    text = (
        f"standard deviation over the length of the mean step: FGD {spreads[0]:.2f}, FoMoH {spreads[1]:.2f}, standard "
    )
    text += f"error of the difference {error:.2f} ({describe_seeds(runs)})"
    apart = (spreads[0] - spreads[1]) / error
    holds = True if apart > _CERTAIN else (False if apart < 0 else None)
    return Verdict(holds, text, count(runs[runs["gradient"].isin(["mean", "fomoh"])]))


def _steps(runs: DataFrame, gradient: str) -> NDArray[np.float64]:
    """Return the steps of a method's runs on two variables, `[runs, 2]`."""
    of_one = runs[runs["gradient"] == gradient] if len(runs) else runs
    return _points(of_one, "last") - _points(of_one, "first") if len(of_one) else np.zeros((0, 2))


def _standard_error(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5)


def _relative_spread(steps: NDArray[np.float64]) -> float:
    """Return the standard deviation of steps over the length of their mean."""
    return float(np.linalg.norm(steps.std(axis=0, ddof=1)) / np.linalg.norm(steps.mean(axis=0)))


def _points(runs: DataFrame, at: Literal["first", "last"]) -> NDArray[np.float64]:
    """Return where runs on two variables begin or end, `[runs, 2]`."""
    return runs[[f"{at}_point_0", f"{at}_point_1"]].to_numpy(dtype=float)


def forward_beats_backward_in_two_dimensions(frames: dict[str, Frames]) -> Verdict:
    """Compare the medians of FoMoH and FoMoH-2D with what goes backward, and those of all searches with the rest."""
    runs = frames["fomoh_rosenbrock_2d"]["runs"]
    judged = runs.reindex(columns=[*dict.fromkeys([*runs, "gradient"])])
    judged = judged[judged["gradient"].isin(["mean", "backprop", *_SECOND_ORDER])]
    if not {"mean", "backprop", *_SECOND_ORDER} <= {*judged["gradient"]}:
        return UNKNOWN
    medians = judged.groupby("gradient", sort=False)["best_value"].median().sort_values()
    forward = max(medians["fomoh"], medians["fomoh_kd"]) < min(medians["fomoh_bp"], medians["backprop"])
    second_order = medians[[*_SECOND_ORDER]].max() < medians[["mean", "backprop"]].min()
    named = {name: methods.of_row(group.iloc[0]).name_in_papers() for name, group in judged.groupby("gradient")}
    text = f"median lowest value, {series(medians.rename(named), '{} {:.3g}')} ({describe_starts(runs)})"
    return Verdict(bool(forward and second_order), text, count(judged))


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
    kept = _share_in_order([values_by_run(curves, group).loc[last] for _, group in searches.groupby("k")])
    texts.append(f"of resamples of the runs {kept:.0%} are in order")
    return Verdict(last not in disordered, f"{'; '.join(texts)} ({describe_starts(searches)})", count(searches))


def _share_in_order(values: Sequence[Series]) -> float:
    """Return in how many of 1000 resamples of each K's values their medians fall with K, or stay."""
    draw = np.random.default_rng(0)
    drawn = np.array([np.median(draw.choice(one.to_numpy(), (1000, len(one))), axis=1) for one in values])
    return float((np.diff(drawn, axis=0) <= 0).all(axis=0).mean())


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


def _medians(curves: DataFrame, runs: DataFrame) -> Series:
    """Return the median over all runs of the lowest value so far, by step; nothing if there are no runs."""
    return Series(dtype=float) if runs.empty else values_by_run(curves, runs).median(axis=1)


CLAIMS = (
    Claim(
        "From one point the expected step of FGD on two dimensions is along the gradient.",
        f"{SECOND}, 6.1",
        the_mean_step_along_one_tangent_is_along_the_gradient,
        ("fomoh_step",),
    ),
    Claim(
        "From one point the expected step of FoMoH on two dimensions differs from the gradient's direction.",
        f"{SECOND}, 6.1",
        the_mean_step_of_a_line_search_is_not_along_the_gradient,
        ("fomoh_step",),
    ),
    Claim(
        "From one point the steps of FGD on two dimensions vary more than those of FoMoH.",
        f"{SECOND}, 6.1",
        steps_of_a_line_search_vary_less,
        ("fomoh_step",),
    ),
    Claim(
        "From one point a step of FoMoH-2D on two dimensions is Newton's, with very little variance.",
        f"{SECOND}, 6.1",
        a_step_in_two_directions_is_newtons,
        ("fomoh_step",),
    ),
    Claim(
        "On two dimensions FoMoH and FoMoH-2D end lower than what goes backward, and all FoMoH lower than first order.",
        f"{SECOND}, 6.1",
        forward_beats_backward_in_two_dimensions,
        ("fomoh_rosenbrock_2d",),
    ),
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
)
