"""What the papers claim, and what the rows of the targets say of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd
from pandas import DataFrame, Series

from frog_cli.reproduction.frames import Frames, describe_starts, values_by_run

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
    judge: Callable[[dict[str, Frames]], Verdict]


UNKNOWN = Verdict(None, "")


def more_tangents_help_functions(frames: dict[str, Frames]) -> Verdict:
    """Compare 16 tangents with one, by their mean over the seeds, for each function and dimension above 16."""
    runs = frames["fig4"]["runs"]
    if runs.empty:
        return UNKNOWN
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
        return UNKNOWN
    above = runs[runs["n"] > 16]
    basis = f"{', '.join(above['function'].unique())}; {_range(above, 'n')}; {_seeds(above)}"
    return Verdict(all(better == cases for better, cases in counts), f"{'; '.join(texts)} ({basis})")


def more_tangents_help_networks(frames: dict[str, Frames]) -> Verdict:
    """Ask whether the lowest test error falls from each k to the next, for each network and family."""
    found, texts = [], []
    for (network, family), group in _networks(frames).groupby(["network", "gradient"], sort=False):
        group = _of_shared_seeds(group, "k")
        means = group.groupby("k")["best_test_error_percent"].mean().sort_index()
        if len(means) > 1:
            found.append(bool((means.diff().dropna() < 0).all()))
            texts.append(f"{network}, {family}: {_series(means, 'k = {:g}: {:.2f} %')} ({_seeds(group)})")
    return Verdict(all(found), "; ".join(texts)) if texts else UNKNOWN


def projection_is_like_mean_on_networks(frames: dict[str, Frames]) -> Verdict:
    """Ask whether the lowest test errors of projection and mean overlap from seed to seed, for each network and k."""
    found, texts = [], []
    for (network, k), group in _pairs(_networks(frames)):
        errors = group.groupby("gradient")["best_test_error_percent"].agg(["mean", "min", "max"])
        if group["seed"].nunique() > 1:  # one seed has no spread
            found.append(bool(errors["min"].max() <= errors["max"].min()))
            pair = f"{errors['mean']['projection']:.2f} % and {errors['mean']['mean']:.2f} %"
            texts.append(f"{network}, k = {k:g}: {pair}, {'within' if found[-1] else 'beyond'} the spread")
            texts[-1] += f" ({_seeds(group)})"
    return Verdict(all(found), "projection and mean: " + "; ".join(texts)) if found else UNKNOWN


def projection_trains_more_smoothly(frames: dict[str, Frames]) -> Verdict:
    """Compare in how many epochs the test loss rises, with projection and with the mean of as many tangents."""
    curves = frames["fig6"]["curves"]
    better, texts = [], []
    pairs = _pairs(_networks({"fig6": frames["fig6"]}))
    for (network, k), group in pairs:
        runs = group[["request", "seed", "gradient"]].merge(curves, on=["request", "seed"])
        rises = runs.sort_values("epoch").groupby(["gradient", "seed"])["test_loss"].apply(_share_of_rises)
        shares = rises.groupby("gradient").mean()
        better.append(bool(shares["projection"] < shares["mean"]))
        pair = f"{shares['projection']:.1%} and {shares['mean']:.1%}"
        texts.append(f"{network}, k = {k:g}: {pair} ({_seeds(group)})")
    text = "share of the epochs in which the test loss rises, with projection and with the mean: " + "; ".join(texts)
    if not better:
        return UNKNOWN
    shown = any(network == _WHERE_SHOWN for (network, _), _ in pairs)
    return Verdict(all(better) if shown else None, text if shown else f"{_WHERE_SHOWN} is missing; {text}")


_WHERE_SHOWN = "MLP, w = 4096"  # the only width of which the paper shows curves


def _share_of_rises(losses: Series) -> float:
    return float((losses.diff().dropna() > 0).mean())


def _networks(frames: dict[str, Frames]) -> DataFrame:
    """Return the runs of forward gradients on networks, with the name of each network."""
    found = [table["runs"] for table in (frames.get("fig6"), frames.get("table1")) if table and not table["runs"].empty]
    runs = pd.concat([DataFrame(columns=["gradient", "network", "k", "seed"]), *found], ignore_index=True)
    runs = runs[runs["gradient"] != "backprop"]
    return runs.assign(network=runs.apply(_network, axis=1)) if len(runs) else runs


def _network(run: Series) -> str:
    if run["model"] == "mlp":
        return f"MLP, w = {run['width']:g}"
    return f"{run['model']}, {run['data_variant']}"


def _pairs(runs: DataFrame) -> list[tuple[Any, DataFrame]]:
    """Return the runs of projection and of the mean with the same k and seeds, by network and k."""
    found = [(key, _of_shared_seeds(group, "gradient")) for key, group in runs.groupby(["network", "k"], sort=False)]
    return [(key, group) for key, group in found if {*group["gradient"]} == {"mean", "projection"}]


def projection_is_best_near_n(frames: dict[str, Frames]) -> Verdict:
    """Find where the cosine similarities of projection and mean differ most."""
    table = frames["fig3"]["quality"]
    if table.empty:
        return UNKNOWN
    table = table[table["tangents"] == "normal"]
    n = table["n"].iloc[0]
    cosine = table.pivot_table(index="k", columns="gradient", values="cosine_mean")
    gap = cosine["projection"] - cosine["mean"]
    widest = gap.idxmax()
    at_n = cosine.loc[n]
    text = f"largest difference {gap.max():.3f} at k = {widest:g}; "
    text += f"at k = n = {n:g}: {at_n['projection']:.3f} and {at_n['mean']:.3f} (normal tangents, {_seeds(table)})"
    never_worse = bool((gap >= -3 * table["cosine_standard_error"].max()).all())
    return Verdict(never_worse and bool(0.8 * n <= widest <= 1.2 * n), text)


def projection_beats_mean_in_descent(frames: dict[str, Frames]) -> Verdict:
    """Compare projection and mean of the same k > 1 on Rosenbrock."""
    runs = frames["fig4"]["runs"]
    if runs.empty:
        return UNKNOWN
    runs = runs[(runs["function"] == "rosenbrock") & (runs["n"] > 1)]
    means = runs.groupby(["n", "k", "gradient"])["best_value"].mean().unstack("gradient")
    if not {"mean", "projection"} <= {*means.columns}:
        return UNKNOWN
    means = means[["mean", "projection"]].dropna()
    better = int((means["projection"] < means["mean"]).sum())
    basis = f"{_range(runs, 'n')}; k = {', '.join(f'{k:g}' for k in sorted(means.index.unique('k')))}; {_seeds(runs)}"
    text = f"the mean of the seeds is lower in {better} of {len(means)} pairs, which should be more than half"
    return Verdict(better > len(means) / 2, f"{text} ({basis}; diverged runs count with their lowest value)")


def the_cone_hurts_mean(frames: dict[str, Frames]) -> Verdict:
    """Compare the narrowest with the widest cone."""
    table, runs = frames["fig5"]["quality"], frames["fig5"]["runs"]
    if table.empty or runs.empty:
        return UNKNOWN
    runs = runs.assign(value=runs["best_value"] / runs["n"])
    cosine = table.pivot_table(index=["gradient", "k"], columns="angle", values="cosine_mean")
    value = runs.pivot_table(index=["gradient", "k"], columns="angle", values="value")
    methods = {"mean", "projection"}
    complete = methods <= {*cosine.index.get_level_values("gradient")} & {*value.index.get_level_values("gradient")}
    if not complete or {*value.columns} != {*cosine.columns} or not {*value.index} <= {*cosine.index}:
        return UNKNOWN
    if value.isna().any(axis=None):
        return UNKNOWN
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
    basis = f"cosine: {_seeds(table)}; Styblinski-Tang, n = {runs['n'].iloc[0]:g}: {_seeds(runs)}"
    return Verdict(hurt and unhurt, f"from {wide:g} to {narrow:g} degrees: {'; '.join(texts)} ({basis})")


def methods_order_by_k(frames: dict[str, Frames]) -> Verdict:
    """Compare the lowest validation losses of the methods without schedule, over the seeds that all of them have."""
    runs = _named_methods(frames["fomoh_logistic_regression"]["runs"])
    runs = _of_shared_seeds(runs[~runs["scheduled"]], "method")
    losses = runs.groupby("method")["best_validation_loss"].mean().reindex([*_METHODS]).dropna()
    if len(losses) < len(_METHODS):
        return UNKNOWN
    text = f"lowest validation loss, {_series(losses, '{} {:.4f}')} ({_seeds(runs)})"
    return Verdict(bool((losses.diff().dropna() < 0).all()), text)


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
    texts = [f"median lowest value after {last:g} steps: {_series(medians.loc[last], 'K = {:g}: {:.3g}')}"]
    if len(disordered):
        step, before = medians.loc[disordered[-1]], medians.shift(axis=1).loc[disordered[-1]]
        above = [f"K = {k:g} ({step[k]:.3g}) above the one before ({before[k]:.3g})" for k in step.index[step > before]]
        texts.append(f"last out of order after {step.name:g} steps: {', '.join(above)}")
    return Verdict(last not in disordered, f"{'; '.join(texts)} ({describe_starts(searches)})")


def schedules_help(frames: dict[str, Frames]) -> Verdict:
    """Compare the last validation losses with and without a schedule, over the seeds that have both."""
    runs = _named_methods(frames["fomoh_logistic_regression"]["runs"])
    texts, better = [], []
    for method, group in runs.groupby("method", sort=False):
        both = _of_shared_seeds(group, "scheduled")
        losses = both.groupby("scheduled")["last_validation_loss"].mean()
        if len(losses) == 2:
            better.append(bool(losses[True] < losses[False]))
            texts.append(f"{method}: {losses[False]:.4f} without, {losses[True]:.4f} with ({_seeds(both)})")
    return Verdict(all(better), "last validation loss, " + "; ".join(texts)) if better else UNKNOWN


def whole_space_is_newton(frames: dict[str, Frames]) -> Verdict:
    """Compare the median curves of K = 10 and of Newton's method."""
    curves, runs = frames["fomoh_rosenbrock_10d"]["curves"], frames["fomoh_rosenbrock_10d"]["runs"]
    if runs.empty:
        return UNKNOWN
    search = _medians(curves, runs[(runs["gradient"] == "fomoh_kd") & (runs["k"] == 10)])
    newton = _medians(curves, runs[runs["gradient"] == "newton"])
    if search.empty or newton.empty:
        return UNKNOWN
    both = (search > 1e-12) & (newton > 1e-12)
    difference = float(((search - newton).abs() / newton)[both].max())
    text = f"largest relative difference of the medians while above 1e-12: {difference:.2g} ({describe_starts(runs)})"
    return Verdict(difference < 1e-3, text)


def _series(values: Series, form: str) -> str:
    return ", ".join(form.format(key, value) for key, value in values.items())


_METHODS = {"FGD": ("mean", 1), "FoMoH": ("fomoh", None), "FoMoH-2D": ("fomoh_kd", 2), "FoMoH-3D": ("fomoh_kd", 3)}


def _named_methods(runs: DataFrame) -> DataFrame:
    """Return the runs of the second paper's forward-mode methods, with their names and whether they have a schedule."""
    columns = ("gradient", "k", "schedule", "seed", "best_validation_loss", "last_validation_loss")
    runs = runs.reindex(columns=[*columns])
    names = {(gradient, -1 if k is None else k): name for name, (gradient, k) in _METHODS.items()}
    found = [names.get(key, "") for key in zip(runs["gradient"], runs["k"].fillna(-1), strict=True)]
    runs = runs.assign(method=found, scheduled=runs["schedule"].notna())
    return runs[runs["method"] != ""]


def _of_shared_seeds(runs: DataFrame, by: str) -> DataFrame:
    """Return the runs of the seeds that all values of a column have, so that like is compared with like."""
    values = runs.groupby("seed")[by].nunique()
    return runs[runs["seed"].isin(values[values == runs[by].nunique()].index)]


def _seeds(rows: DataFrame) -> str:
    """Return which seeds a verdict stands on if they are few, else how many."""
    if "seeds" in rows:  # of a study of approximation quality
        return f"{rows['seeds'].min():g} seeds"
    seeds = sorted({int(seed) for seed in rows["seed"]})
    if len(seeds) == 1:
        return f"seed {seeds[0]} only"
    return f"seeds {', '.join(map(str, seeds))}" if len(seeds) < 4 else f"{len(seeds)} seeds"


def _range(runs: DataFrame, name: str) -> str:
    return f"{name} = {runs[name].min():g} to {runs[name].max():g}"


def _medians(curves: DataFrame, runs: DataFrame) -> Series:
    """Return the median over all runs of the lowest value so far, by step; nothing if there are no runs."""
    return Series(dtype=float) if runs.empty else values_by_run(curves, runs).median(axis=1)


FIRST, SECOND = "arXiv 2410.17764", "arXiv 2408.10419"

CLAIMS = (
    Claim("More tangents give lower values of functions.", f"{FIRST}, IV-B", more_tangents_help_functions),
    Claim("More tangents give lower test errors of networks.", f"{FIRST}, IV-D, IV-E", more_tangents_help_networks),
    Claim(
        "Projection is never a worse direction than the mean, and the difference is largest near k = n.",
        f"{FIRST}, IV-A",
        projection_is_best_near_n,
    ),
    Claim("Projection improves over the mean on Rosenbrock.", f"{FIRST}, IV-B", projection_beats_mean_in_descent),
    Claim(
        "On networks there is little difference between projection and mean.",
        f"{FIRST}, IV-D, IV-E",
        projection_is_like_mean_on_networks,
    ),
    Claim(
        "On fully connected networks projection trains slightly more smoothly than the mean (shown for w = 4096).",
        f"{FIRST}, IV-D",
        projection_trains_more_smoothly,
    ),
    Claim("A narrow cone hurts the mean and not the projection.", f"{FIRST}, IV-C", the_cone_hurts_mean),
    Claim(
        "The median search gets the lower the more dimensions it has.",
        f"{SECOND}, 6.1",
        dimension_orders_the_search,
    ),
    Claim("With K = n the search is Newton's method.", f"{SECOND}, 6.1", whole_space_is_newton),
    Claim("FGD, FoMoH, FoMoH-2D, FoMoH-3D: each is better than the one before.", f"{SECOND}, 6.2", methods_order_by_k),
    Claim("Schedules help.", f"{SECOND}, 6.2", schedules_help),
)
