"""What the first paper, on multi-tangent forward gradients, claims, and what the rows of the targets say of it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
from pandas import DataFrame, Series

from frog_cli.reproduction.frames import Frames
from frog_cli.reproduction.verdicts import (
    FIRST,
    UNKNOWN,
    Claim,
    Verdict,
    count,
    describe_seeds,
    of_shared_seeds,
    series,
)

_EQUAL = 1e-6  # relative difference up to which values count as equal


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
    where = f"{', '.join(above['function'].unique())}; {_range(above, 'n')}; {describe_seeds(above)}"
    compared = above[(above["k"] == 16) | ((above["gradient"] == "mean") & (above["k"] == 1))]
    return Verdict(all(better == cases for better, cases in counts), f"{'; '.join(texts)} ({where})", count(compared))


def more_tangents_help_networks(frames: dict[str, Frames]) -> Verdict:
    """Ask whether the lowest test error falls from each k to the next, for each network and family."""
    found, texts, judged = [], [], []
    for (network, family), group in _networks(frames).groupby(["network", "gradient"], sort=False):
        group = of_shared_seeds(group, "k")
        means = group.groupby("k")["best_test_error_percent"].mean().sort_index()
        if len(means) > 1:
            found.append(bool((means.diff().dropna() < 0).all()))
            texts.append(f"{network}, {family}: {series(means, 'k = {:g}: {:.2f} %')} ({describe_seeds(group)})")
            judged.append(group)
    return Verdict(all(found), "; ".join(texts), count(*judged)) if texts else UNKNOWN


def projection_is_like_mean_on_networks(frames: dict[str, Frames]) -> Verdict:
    """Ask whether the lowest test errors of projection and mean overlap from seed to seed, for each network and k."""
    found, texts, judged = [], [], []
    for (network, k), group in _pairs(_networks(frames)):
        errors = group.groupby("gradient")["best_test_error_percent"].agg(["mean", "min", "max"])
        if group["seed"].nunique() > 1:  # one seed has no spread
            found.append(bool(errors["min"].max() <= errors["max"].min()))
            pair = f"{errors['mean']['projection']:.2f} % and {errors['mean']['mean']:.2f} %"
            texts.append(f"{network}, k = {k:g}: {pair}, {'within' if found[-1] else 'beyond'} the spread")
            texts[-1] += f" ({describe_seeds(group)})"
            judged.append(group)
    return Verdict(all(found), "projection and mean: " + "; ".join(texts), count(*judged)) if found else UNKNOWN


def projection_trains_more_smoothly(frames: dict[str, Frames], width: int = 4096) -> Verdict:
    """Compare in how many epochs the test loss rises, with projection and with the mean of as many tangents.

    Args:
        frames: the rows of all targets.
        width: of the networks without which it is not judged: the paper shows curves of no others.
    """
    curves = frames["fig6"]["curves"]
    better, texts = [], []
    pairs = _pairs(_networks({"fig6": frames["fig6"]}))
    for (network, k), group in pairs:
        runs = group[["request", "seed", "gradient"]].merge(curves, on=["request", "seed"])
        rises = runs.sort_values("epoch").groupby(["gradient", "seed"])["test_loss"].apply(_share_of_rises)
        shares = rises.groupby("gradient").mean()
        better.append(bool(shares["projection"] < shares["mean"]))
        pair = f"{shares['projection']:.1%} and {shares['mean']:.1%}"
        texts.append(f"{network}, k = {k:g}: {pair} ({describe_seeds(group)})")
    text = "share of the epochs in which the test loss rises, with projection and with the mean: " + "; ".join(texts)
    if not better:
        return UNKNOWN
    where = f"MLP, w = {width}"
    if not any(network == where for (network, _), _ in pairs):
        return Verdict(None, f"{where} is missing; {text}")
    return Verdict(all(better), text, count(*(group for _, group in pairs)))


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
    found = [(key, of_shared_seeds(group, "gradient")) for key, group in runs.groupby(["network", "k"], sort=False)]
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
    text += (
        f"at k = n = {n:g}: {at_n['projection']:.3f} and {at_n['mean']:.3f} (normal tangents, {describe_seeds(table)})"
    )
    never_worse = bool((gap >= -3 * table["cosine_standard_error"].max()).all())
    return Verdict(never_worse and bool(0.8 * n <= widest <= 1.2 * n), text, describe_seeds(table))


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
    ks = sorted(means.index.unique("k"))
    where = f"{_range(runs, 'n')}; k = {', '.join(f'{k:g}' for k in ks)}; {describe_seeds(runs)}"
    compared = runs[runs["gradient"].isin(["mean", "projection"]) & runs["k"].isin(ks)]
    text = f"the mean of the seeds is lower in {better} of {len(means)} pairs, which should be more than half"
    told = f"{text} ({where}; diverged runs count with their lowest value)"
    return Verdict(better > len(means) / 2, told, count(compared))


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
    where = f"cosine: {describe_seeds(table)}; Styblinski-Tang, n = {runs['n'].iloc[0]:g}: {describe_seeds(runs)}"
    told = f"from {wide:g} to {narrow:g} degrees: {'; '.join(texts)} ({where})"
    return Verdict(hurt and unhurt, told, f"{count(runs)}, and cosines of {describe_seeds(table)}")


def _range(runs: DataFrame, name: str) -> str:
    return f"{name} = {runs[name].min():g} to {runs[name].max():g}"


CLAIMS = (
    Claim("More tangents give lower values of functions.", f"{FIRST}, IV-B", more_tangents_help_functions, ("fig4",)),
    Claim(
        "More tangents give lower test errors of networks.",
        f"{FIRST}, IV-D, IV-E",
        more_tangents_help_networks,
        ("fig6", "table1"),
    ),
    Claim(
        "Projection is never a worse direction than the mean, and the difference is largest near k = n.",
        f"{FIRST}, IV-A",
        projection_is_best_near_n,
        ("fig3",),
    ),
    Claim(
        "Projection improves over the mean on Rosenbrock.",
        f"{FIRST}, IV-B",
        projection_beats_mean_in_descent,
        ("fig4",),
    ),
    Claim(
        "On networks there is little difference between projection and mean.",
        f"{FIRST}, IV-D, IV-E",
        projection_is_like_mean_on_networks,
        ("fig6", "table1"),
    ),
    Claim(
        "On fully connected networks projection trains slightly more smoothly than the mean (shown for w = 4096).",
        f"{FIRST}, IV-D",
        projection_trains_more_smoothly,
        ("fig6",),
        judge_laptop=partial(projection_trains_more_smoothly, width=1024),  # the widest that it trains
    ),
    Claim("A narrow cone hurts the mean and not the projection.", f"{FIRST}, IV-C", the_cone_hurts_mean, ("fig5",)),
)
