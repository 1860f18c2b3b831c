"""What the papers claim, and what the rows of the targets say of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from pandas import DataFrame, Series

from frog_cli.figures import Rows

_STEPS = 100  # after which searches of different dimensions are compared
_EQUAL = 1e-6  # relative difference up to which values count as equal


class Verdict(NamedTuple):
    """Whether a claim holds, and the numbers that say so."""

    holds: bool | None  # None: there are no rows yet
    numbers: str

    def __str__(self) -> str:
        words = {True: "holds", False: "does not hold as stated", None: "not run yet"}
        return words[self.holds] + (f": {self.numbers}" if self.numbers else "")


class Claim(NamedTuple):
    """A claim of a paper, and how the rows of all targets judge it."""

    text: str
    source: str
    judge: Callable[[dict[str, Rows]], Verdict]


_UNKNOWN = Verdict(None, "")


def more_tangents_help_functions(rows: dict[str, Rows]) -> Verdict:
    """Compare 16 tangents with one, by their mean over the seeds, for each function and dimension above 16."""
    runs = rows["fig4"]["runs"]
    if runs.empty:
        return _UNKNOWN
    means = runs[runs["n"] > 16].groupby(["function", "n", "gradient", "k"])["best_value"].mean()
    counts, texts = [], []
    for family in ("mean", "projection"):
        both = [
            means[(means.index.get_level_values("gradient") == name) & (means.index.get_level_values("k") == k)]
            for name, k in (("mean", 1), (family, 16))
        ]
        few, many = (values.droplevel(["gradient", "k"]) for values in both)
        few, many = few.align(many, join="inner")
        counts.append((int((many <= few + _EQUAL * few.abs()).sum()), len(few)))
        texts.append(f"{family}, k = 16, is at least as low as k = 1 in {counts[-1][0]} of {counts[-1][1]} cases")
    if not all(cases for _, cases in counts):
        return _UNKNOWN
    return Verdict(all(better == cases for better, cases in counts), "; ".join(texts) + " (function and n above 16)")


def more_tangents_help_networks(rows: dict[str, Rows]) -> Verdict:
    """Ask whether the lowest test error falls from each k to the next, for each width and family."""
    runs = rows["fig6"]["runs"]
    if runs.empty:
        return _UNKNOWN
    found, texts = True, []
    for (width, family), group in runs[runs["gradient"] != "backprop"].groupby(["width", "gradient"]):
        means = group.groupby("k")["best_test_error_percent"].mean().sort_index()
        if len(means) > 1:
            found = found and bool((means.diff().dropna() < 0).all())
            texts.append(f"w = {width:g}, {family}: " + _series(means, "k = {:g}: {:.2f} %"))
    return Verdict(found, "; ".join(texts)) if texts else _UNKNOWN


def projection_is_best_near_n(rows: dict[str, Rows]) -> Verdict:
    """Find where the cosine similarities of projection and mean differ most."""
    table = rows["fig3"]["quality"]
    if table.empty:
        return _UNKNOWN
    table = table[table["tangents"] == "normal"]
    n = table["n"].iloc[0]
    cosine = table.pivot_table(index="k", columns="gradient", values="cosine_mean")
    gap = cosine["projection"] - cosine["mean"]
    widest = gap.idxmax()
    at_n = cosine.loc[n]
    text = f"largest difference {gap.max():.3f} at k = {widest:g}; "
    text += f"at k = n = {n:g}: {at_n['projection']:.3f} and {at_n['mean']:.3f}"
    never_worse = bool((gap >= -3 * table["cosine_standard_error"].max()).all())
    return Verdict(never_worse and bool(0.8 * n <= widest <= 1.2 * n), text)


def projection_beats_mean_in_descent(rows: dict[str, Rows]) -> Verdict:
    """Compare projection and mean of the same k > 1 on Rosenbrock."""
    runs = rows["fig4"]["runs"]
    if runs.empty:
        return _UNKNOWN
    runs = runs[(runs["function"] == "rosenbrock") & (runs["n"] > 1)]
    means = runs.groupby(["n", "k", "gradient"])["best_value"].mean().unstack("gradient")
    if not {"mean", "projection"} <= {*means.columns}:
        return _UNKNOWN
    means = means[["mean", "projection"]].dropna()
    better = int((means["projection"] < means["mean"]).sum())
    return Verdict(better > len(means) / 2, f"lower on Rosenbrock in {better} of {len(means)} dimensions and k")


def the_cone_hurts_mean(rows: dict[str, Rows]) -> Verdict:
    """Compare the narrowest with the widest cone."""
    table, runs = rows["fig5"]["quality"], rows["fig5"]["runs"]
    if table.empty or runs.empty:
        return _UNKNOWN
    runs = runs.assign(value=runs["best_value"] / runs["n"])
    cosine = table.pivot_table(index=["gradient", "k"], columns="angle", values="cosine_mean")
    value = runs.pivot_table(index=["gradient", "k"], columns="angle", values="value")
    methods = {"mean", "projection"}
    complete = methods <= {*cosine.index.get_level_values("gradient")} & {*value.index.get_level_values("gradient")}
    if not complete or {*value.columns} != {*cosine.columns} or not {*value.index} <= {*cosine.index}:
        return _UNKNOWN
    if value.isna().any(axis=None):
        return _UNKNOWN
    error = table["cosine_standard_error"].max()
    spread = runs.groupby(["gradient", "k", "angle"])["value"].std().max()
    narrow, wide = cosine.columns.min(), cosine.columns.max()
    change, loss = cosine[narrow] - cosine[wide], value[narrow] - value[wide]
    texts = []
    for method in value.index:
        ends = [*cosine.loc[method, [wide, narrow]], *value.loc[method, [wide, narrow]]]
        name = f"{method[0]}, k = {method[1]:g}"
        texts.append(f"{name}: cosine {ends[0]:.3f} to {ends[1]:.3f}, lowest value / n {ends[2]:.2f} to {ends[3]:.2f}")
    hurt = bool((change["mean"] < -5 * error).all() and (loss["mean"] > 0).all())
    unhurt = bool((change["projection"].abs() < 5 * error).all() and (loss["projection"] < max(spread, 0.05)).all())
    return Verdict(hurt and unhurt, f"from {wide:g} to {narrow:g} degrees: " + "; ".join(texts))


def methods_order_by_k(rows: dict[str, Rows]) -> Verdict:
    """Compare the lowest validation losses of the methods without schedule."""
    runs = rows["fomoh_logistic_regression"]["runs"]
    if runs.empty:
        return _UNKNOWN
    losses = {name: _loss(runs, name, scheduled=False) for name in _METHODS}
    known = {name: loss for name, loss in losses.items() if np.isfinite(loss)}
    ordered = len(known) == 4 and list(known.values()) == sorted(known.values(), reverse=True)
    return Verdict(ordered, _named(known)) if len(known) == 4 else _UNKNOWN


def dimension_orders_the_search(rows: dict[str, Rows]) -> Verdict:
    """Compare the medians over the starts of the lowest value after so many steps, from K to K."""
    curves = rows["fomoh_rosenbrock_10d"]["curves"]
    runs = rows["fomoh_rosenbrock_10d"]["runs"]
    if runs.empty:
        return _UNKNOWN
    found = {}
    for k, group in runs[runs["gradient"] == "fomoh_kd"].groupby("k"):
        medians = _medians(curves, group)
        found[k] = medians[medians.index <= _STEPS].iloc[-1]
    lowest = Series(found).sort_index()
    text = f"median lowest value after {_STEPS} steps: " + _series(lowest, "K = {:g}: {:.3g}")
    return Verdict(bool((lowest.diff().iloc[1:] < 0).all()), text)


def schedules_help(rows: dict[str, Rows]) -> Verdict:
    """Compare the last validation losses with and without a schedule."""
    runs = rows["fomoh_logistic_regression"]["runs"]
    if runs.empty:
        return _UNKNOWN
    texts, better = [], []
    for name in list(_METHODS)[1:]:
        plain, scheduled = (_loss(runs, name, scheduled, "last_validation_loss") for scheduled in (False, True))
        if np.isfinite(plain) and np.isfinite(scheduled):
            better.append(scheduled < plain)
            texts.append(f"{name}: {plain:.4f} without, {scheduled:.4f} with")
    return Verdict(all(better), "last validation loss, " + "; ".join(texts)) if better else _UNKNOWN


def whole_space_is_newton(rows: dict[str, Rows]) -> Verdict:
    """Compare the median curves of K = 10 and of Newton's method."""
    curves, runs = rows["fomoh_rosenbrock_10d"]["curves"], rows["fomoh_rosenbrock_10d"]["runs"]
    if runs.empty:
        return _UNKNOWN
    search = _medians(curves, runs[(runs["gradient"] == "fomoh_kd") & (runs["k"] == 10)])
    newton = _medians(curves, runs[runs["gradient"] == "newton"])
    if search.empty or newton.empty:
        return _UNKNOWN
    both = (search > 1e-12) & (newton > 1e-12)
    difference = float(((search - newton).abs() / newton)[both].max())
    return Verdict(difference < 1e-3, f"largest relative difference of the medians while above 1e-12: {difference:.2g}")


def _series(values: Series, form: str) -> str:
    return ", ".join(form.format(key, value) for key, value in values.items())


def _named(values: dict[str, float]) -> str:
    return "lowest validation loss, " + ", ".join(f"{name} {value:.4f}" for name, value in values.items())


_METHODS = {"FGD": ("mean", 1), "FoMoH": ("fomoh", None), "FoMoH-2D": ("fomoh_kd", 2), "FoMoH-3D": ("fomoh_kd", 3)}


def _loss(runs: DataFrame, name: str, scheduled: bool, metric: str = "best_validation_loss") -> float:
    """Return the mean of a metric over the seeds of a method of the second paper, nan if there are none."""
    gradient, k = _METHODS[name]
    chosen = runs[runs["gradient"] == gradient]
    chosen = chosen if k is None else chosen[chosen["k"] == k]
    schedule = chosen["schedule"] if "schedule" in chosen else Series(np.nan, index=chosen.index)
    return float(chosen[schedule.notna() == scheduled][metric].mean())


def _medians(curves: DataFrame, runs: DataFrame) -> Series:
    """Return the median over the starts of the lowest value so far, by step; nothing if there are no runs."""
    if runs.empty:
        return Series(dtype=float)
    of_method = curves[curves["request"].isin(runs["request"].unique())]
    return of_method.pivot_table(index="step", columns="seed", values="best_value").ffill().median(axis=1)


FIRST, SECOND = "arXiv 2410.17764", "arXiv 2408.10419"

CLAIMS = (
    Claim("More tangents give lower values of functions.", f"{FIRST}, IV-B", more_tangents_help_functions),
    Claim("More tangents give lower test errors of networks.", f"{FIRST}, IV-D", more_tangents_help_networks),
    Claim(
        "Projection is never a worse direction than the mean, and the difference is largest near k = n.",
        f"{FIRST}, IV-A",
        projection_is_best_near_n,
    ),
    Claim("Projection improves over the mean on Rosenbrock.", f"{FIRST}, IV-B", projection_beats_mean_in_descent),
    Claim("A narrow cone hurts the mean and not the projection.", f"{FIRST}, IV-C", the_cone_hurts_mean),
    Claim("Searches in more dimensions get lower in as many steps.", f"{SECOND}, 6.1", dimension_orders_the_search),
    Claim("With K = n the search is Newton's method.", f"{SECOND}, 6.1", whole_space_is_newton),
    Claim("FGD, FoMoH, FoMoH-2D, FoMoH-3D: each is better than the one before.", f"{SECOND}, 6.2", methods_order_by_k),
    Claim("Schedules help.", f"{SECOND}, 6.2", schedules_help),
)
