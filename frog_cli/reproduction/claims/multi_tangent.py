"""What the first paper claims of multi-tangent forward gradients on functions, and what the rows say of it."""

from __future__ import annotations

from itertools import pairwise

from pandas import DataFrame, Series

from frog_cli.reproduction.claims.verdicts import (
    FAMILIES,
    FIRST,
    UNKNOWN,
    Claim,
    Verdict,
    are_apart_by_chance,
    chance_of_as_many,
    count,
    describe_seeds,
    ranges_overlap,
    series,
    sign_test,
)
from frog_cli.reproduction.frames import Frames
from frog_cli.reproduction.lengths_beside_rates import LOWEST

_EQUAL = 1e-6  # relative difference up to which values count as equal
_AT_MINIMUM = 1e-12  # of the way from the start: so little above a minimum counts as there


def more_tangents_point_better(frames: dict[str, Frames]) -> Verdict:
    """Ask whether no cosine similarity falls, by three standard errors, from a number of tangents to the next."""
    table = _of_normal_tangents(frames)
    if table.empty:
        return UNKNOWN
    cosine = table.pivot_table(index="k", columns="gradient", values="cosine_mean")[[*FAMILIES]]
    falls = cosine.diff().min() < -3 * table["cosine_standard_error"].max()
    n = table["n"].iloc[0]
    shown = cosine[cosine.index.isin([1, 4, 16, n, cosine.index.max()])]
    texts = [f"{name}: {series(shown[name], 'k = {:g}: {:.3f}')}" for name in shown]
    told = f"cosine similarity to the gradient, {'; '.join(texts)} (n = {n:g}, {describe_seeds(table)})"
    return Verdict(not falls.any(), told, describe_seeds(table))


def projection_is_best_near_n(frames: dict[str, Frames]) -> Verdict:
    """Find where the cosine similarities of projection and mean differ most."""
    table = _of_normal_tangents(frames)
    if table.empty:
        return UNKNOWN
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


def sums_point_alike_and_projection_is_exact(frames: dict[str, Frames]) -> Verdict:
    """Compare the cosine similarities of sum and mean, and the projection of n and more tangents with the gradient."""
    table = frames["fig3"]["quality"]
    if table.empty or not {"sum", *FAMILIES} <= {*table["gradient"]}:
        return UNKNOWN
    cosine = table.pivot_table(index=["tangents", "k"], columns="gradient", values="cosine_mean")
    apart = float((cosine["sum"] - cosine["mean"]).abs().max())
    exact = table[(table["gradient"] == "projection") & (table["k"] >= table["n"])]
    angle, length = float((1 - exact["cosine_mean"]).max()), float((1 - exact["norm_ratio_mean"]).abs().max())
    text = f"cosine similarities of sum and mean differ by at most {apart:.1g}; for k of at least n the projection's "
    text += f"by at most {angle:.1g} from 1, its length by {length:.1g} ({describe_seeds(table)})"
    return Verdict(max(apart, angle, length) < 1e-3, text, describe_seeds(table))


def means_are_exact_for_many_tangents(frames: dict[str, Frames]) -> Verdict:
    """Ask whether with most tangents the mean is within a twentieth of the gradient, in direction and length."""
    table = _of_normal_tangents(frames)
    table = table[(table["gradient"] == "mean") & (table["k"] >= table["n"])] if len(table) else table
    if table.empty or table["k"].max() < 8 * table["n"].iloc[0]:
        return UNKNOWN
    few, many = (table[table["k"] == k].iloc[0] for k in (table["k"].min(), table["k"].max()))
    near = [max(1 - row["cosine_mean"], abs(1 - row["norm_ratio_mean"])) < 0.05 for row in (few, many)]
    told = ", ".join(
        f"k = {row['k']:g}: {row['cosine_mean']:.3f} and {row['norm_ratio_mean']:.3f}" for row in (few, many)
    )
    text = (
        f"cosine similarity and length as a share of the gradient's, {told} (n = {few['n']:g}, {describe_seeds(table)})"
    )
    return Verdict(near == [False, True], text, describe_seeds(table))


def lengths_of_tangents_do_not_turn_sums(frames: dict[str, Frames]) -> Verdict:
    """Ask whether normal and normalised tangents give means of one cosine similarity, but for three standard errors."""
    table = frames["fig3"]["quality"]
    means = table[table["gradient"] == "mean"] if len(table) else table
    if means.empty or not {"normal", "normalised"} <= {*means["tangents"]}:
        return UNKNOWN
    cosine = means.pivot_table(index="k", columns="tangents", values="cosine_mean")
    if cosine[["normal", "normalised"]].isna().any(axis=None):
        return UNKNOWN
    apart = cosine["normalised"] - cosine["normal"]
    errors = means.groupby("k")["cosine_standard_error"].agg(lambda both: both.pow(2).sum() ** 0.5)
    most = (apart.abs() / errors).sort_values().index[-1:]
    (k,), (difference,), (error,) = most, apart[most], errors[most]
    text = f"the most certain difference, {difference:.2g} at k = {k:g}, is {abs(difference) / error:.1f} standard "
    text += f"errors; the largest is {apart.abs().max():.2g} ({describe_seeds(means)})"
    return Verdict(bool((apart.abs() <= 3 * errors).all()), text, describe_seeds(means))


def projection_is_as_long_as_a_normalised_sum_of_few(frames: dict[str, Frames]) -> Verdict:
    """Compare the lengths of the projection and of the sum of normalised tangents: alike for few, and n times for many.

    Alike are lengths that differ by at most a tenth for k of at most an eighth of n; for the most tangents the sum is
    at least twice as long as the gradient.
    """
    table = frames["fig3"]["quality"]
    if table.empty:
        return UNKNOWN
    sums = table[(table["gradient"] == "sum") & (table["tangents"] == "normalised")].set_index("k")
    projection = table[(table["gradient"] == "projection") & (table["tangents"] == "normal")].set_index("k")
    ks = sums.index.intersection(projection.index).sort_values()
    if not len(ks):
        return UNKNOWN
    n = table["n"].iloc[0]
    ratio = (sums["norm_ratio_mean"] / projection["norm_ratio_mean"]).loc[ks]
    few, most = ratio[ks <= n / 8], ratio.iloc[-1]
    shown = series(ratio[[k for k in ks if k in (1, n / 8, n, ks[-1])]], "k = {:g}: {:.2f}")
    text = f"length of the sum of normalised tangents over the projection's, {shown} (n = {n:g}, "
    text += f"{describe_seeds(table)})"
    return Verdict(bool((few - 1).abs().max() <= 0.1 and most > 2), text, describe_seeds(table))


def _of_normal_tangents(frames: dict[str, Frames]) -> DataFrame:
    table = frames["fig3"]["quality"]
    return table if table.empty else table[table["tangents"] == "normal"]


def one_tangent_fails_in_high_dimensions(frames: dict[str, Frames]) -> Verdict:
    """Ask whether one tangent gets stuck on the widest Sphere, where backpropagation gets to the minimum."""
    runs = _with_shares(frames)
    sphere = runs[runs["function"] == "sphere"] if len(runs) else runs
    if sphere.empty or not {"mean", "backprop"} <= {*sphere["gradient"]}:
        return UNKNOWN
    widest = sphere[sphere["n"] == sphere["n"].max()]
    one, all_ = widest[(widest["gradient"] == "mean") & (widest["k"] == 1)], widest[widest["gradient"] == "backprop"]
    if one.empty or all_.empty:
        return UNKNOWN
    ours, backprop = one["left"].mean(), all_["left"].mean()
    n = widest["n"].iloc[0]
    text = f"Sphere, n = {n:g}: {ours:.1%} of the way to the minimum left, with backprop {backprop:.1g} or less"
    return Verdict(bool(ours > 0.01 > 1e4 * backprop), f"{text} ({describe_seeds(one)})", count(one, all_))


def one_tangent_is_enough_in_few_dimensions(frames: dict[str, Frames]) -> Verdict:
    """Ask whether one tangent gets to the minimum, but for a hundredth of the way, for n of at most 16."""
    runs = _with_shares(frames)
    runs = runs[(runs["gradient"] == "mean") & (runs["k"] == 1) & (runs["n"] <= 16)] if len(runs) else runs
    runs = runs[runs["function"].isin(["sphere", "styblinski-tang"])] if len(runs) else runs
    if runs.empty:
        return UNKNOWN
    left = runs.groupby(["function", "n"])["left"].mean()
    beyond = left[left > 0.01].reset_index()
    others = [f"{row['function']}, n = {row['n']:g}: {row['left']:.1%}" for _, row in beyond.iterrows()]
    text = f"at most 1 % of the way left in {int((left <= 0.01).sum())} of {len(left)} cases"
    told = text + (f"; not {', '.join(others)}" if others else "")
    return Verdict(not others, f"{told} ({_range(runs, 'n')}; {describe_seeds(runs)})", count(runs))


def _with_shares(frames: dict[str, Frames]) -> DataFrame:
    """Return the runs on functions that start at a known distance, with the share of the way to the minimum left."""
    runs = frames["fig4"]["runs"]
    if runs.empty:
        return runs
    start = {"sphere": 1.0, "styblinski-tang": 0.0}  # value at the start, per dimension
    runs = runs[runs["function"].isin([*start])]
    lowest, first = (runs["function"].map(values) * runs["n"] for values in (LOWEST, start))
    return runs.assign(left=((runs["best_value"] - lowest) / (first - lowest)).clip(lower=_AT_MINIMUM))


def more_tangents_help_functions(frames: dict[str, Frames]) -> Verdict:
    """Compare 16 tangents with one for each function of n above 16, and step by step where the paper has no exception.

    The exception is Rosenbrock with few dimensions and tangents. A step up from which the seeds' ranges overlap is not
    held against the claim.
    """
    runs = frames["fig4"]["runs"]
    if runs.empty:
        return UNKNOWN
    above = runs[runs["n"] > 16]
    texts, holds, judged = [], [], []
    for family in FAMILIES:
        of_family = runs[(runs["gradient"] == family) | ((runs["gradient"] == "mean") & (runs["k"] == 1))]
        steps = [step for _, group in of_family.groupby(["function", "n"]) for step in _steps(group)]
        ends = [pair for _, group in above.groupby(["function", "n"]) for pair in _ends(group, family)]
        if not ends:
            return UNKNOWN
        lower = sum(_no_higher(few, many) for few, many in ends)
        rises = [not _no_higher(few, many) and not ranges_overlap((few, many)) for few, many in steps]
        falls = sum(_no_higher(few, many) for few, many in steps)
        holds.append(lower == len(ends) and not any(rises))
        texts.append(
            f"{family}: k = 16 is at least as low as k = 1 in {lower} of {len(ends)} cases of n above 16; each k as "
            f"the one before in {falls} of {len(steps)} steps, above it beyond the spread in {sum(rises)}"
        )
        judged.append(of_family)
    where = f"{', '.join(runs['function'].unique())}; {_range(runs, 'n')}; {describe_seeds(runs)}"
    compared = runs[runs["gradient"].isin(FAMILIES)]
    return Verdict(all(holds), f"{'; '.join(texts)} ({where})", count(compared))


def _ends(runs: DataFrame, family: str) -> list[tuple[Series, Series]]:
    """Return the values with one tangent and with 16 of a family, if there are any of both."""
    few = runs[(runs["gradient"] == "mean") & (runs["k"] == 1)]["best_value"]
    many = runs[(runs["gradient"] == family) & (runs["k"] == 16)]["best_value"]
    return [(few, many)] if len(few) and len(many) else []


def _steps(runs: DataFrame) -> list[tuple[Series, Series]]:
    """Return the values of each number of tangents and of the next one; of few dimensions of Rosenbrock none."""
    if runs["function"].iloc[0] == "rosenbrock" and runs["n"].iloc[0] <= 16:
        return []
    by_k = [group["best_value"] for _, group in runs.groupby("k")]
    return list(pairwise(by_k))


def _no_higher(few: Series, many: Series) -> bool:
    return bool(many.mean() <= few.mean() + _EQUAL * abs(few.mean()))


def projection_is_like_mean_on_functions(frames: dict[str, Frames]) -> Verdict:
    """Ask whether the seeds of projection and mean are apart more often than by chance, except on Rosenbrock.

    Pairs of which all runs got to the minimum cannot be apart, and do not count.
    """
    runs = _with_shares(frames)
    runs = runs[runs["gradient"].isin(FAMILIES) & (runs["k"] > 1)] if len(runs) else runs
    apart, lower, equal, seeds, judged = 0, 0, 0, [], []
    for _, group in runs.groupby(["function", "n", "k"]) if len(runs) else ():
        pair = {str(name): of_one["left"] for name, of_one in group.groupby("gradient")}
        if len(pair) == 2 and group["left"].max() <= _AT_MINIMUM:
            equal += 1
        elif len(pair) == 2:
            apart += not ranges_overlap([*pair.values()])
            lower += bool(pair["projection"].mean() < pair["mean"].mean())
            seeds.append(min(map(len, pair.values())))
            judged.append(group)
    if not seeds:
        return UNKNOWN
    text = f"the ranges of the seeds are apart in {apart} of {len(seeds)} pairs that do not both reach the minimum, as "
    text += f"{equal} more do; the projection's mean is lower in {lower} of them, by little"
    where = f"{_range(runs, 'n')}; {describe_seeds(runs)}"
    return Verdict(are_apart_by_chance(apart, seeds), f"{text} ({where})", count(*judged))


def projection_beats_mean_in_descent(frames: dict[str, Frames]) -> Verdict:
    """Compare projection and mean of the same k > 1 on Rosenbrock, by the sign test."""
    runs = frames["fig4"]["runs"]
    if runs.empty:
        return UNKNOWN
    runs = runs[(runs["function"] == "rosenbrock") & (runs["n"] > 1)]
    means = runs.groupby(["n", "k", "gradient"])["best_value"].mean().unstack("gradient")
    if not {*FAMILIES} <= {*means.columns}:
        return UNKNOWN
    means = means[[*FAMILIES]].dropna()
    better = int((means["projection"] < means["mean"]).sum())
    ks = sorted(means.index.unique("k"))
    where = f"{_range(runs, 'n')}; k = {', '.join(f'{k:g}' for k in ks)}; {describe_seeds(runs)}"
    compared = runs[runs["gradient"].isin(FAMILIES) & runs["k"].isin(ks)]
    text = f"the mean of the seeds is lower in {better} of {len(means)} pairs (so many or more by chance: "
    text += f"{chance_of_as_many(better, len(means)):.2g}), for n above 16 in "
    wide = means[means.index.get_level_values("n") > 16]
    text += f"{int((wide['projection'] < wide['mean']).sum())} of {len(wide)}"
    told = f"{text} ({where}; diverged runs count with their lowest value)"
    return Verdict(sign_test(better, len(means)), told, count(compared))


def _range(runs: DataFrame, name: str) -> str:
    return f"{name} = {runs[name].min():g} to {runs[name].max():g}"


CLAIMS = (
    Claim("More tangents give better directions.", f"{FIRST}, IV-A", more_tangents_point_better, ("fig3",)),
    Claim(
        "Projection is never a worse direction than the mean, and the difference is largest near k = n.",
        f"{FIRST}, IV-A",
        projection_is_best_near_n,
        ("fig3",),
    ),
    Claim(
        "Sum and mean point in one direction; from k = n on the projection is the gradient, with its length.",
        f"{FIRST}, IV-A",
        sums_point_alike_and_projection_is_exact,
        ("fig3",),
    ),
    Claim(
        "The mean approaches the gradient, in direction and length, only for k much larger than n.",
        f"{FIRST}, IV-A",
        means_are_exact_for_many_tangents,
        ("fig3",),
    ),
    Claim(
        "The direction of sums and means is the same for normal and for normalised tangents.",
        f"{FIRST}, IV-A",
        lengths_of_tangents_do_not_turn_sums,
        ("fig3",),
    ),
    Claim(
        "The projection is about as long as the sum of normalised tangents for small k, and correct where that is not.",
        f"{FIRST}, IV-A",
        projection_is_as_long_as_a_normalised_sum_of_few,
        ("fig3",),
    ),
    Claim(
        "One tangent struggles even with the Sphere, in high dimensions.",
        f"{FIRST}, IV-B",
        one_tangent_fails_in_high_dimensions,
        ("fig4",),
    ),
    Claim(
        "More tangents give lower values of functions, but for Rosenbrock with few dimensions and tangents.",
        f"{FIRST}, IV-B",
        more_tangents_help_functions,
        ("fig4",),
    ),
    Claim(
        "Of Sphere and Styblinski-Tang even one tangent reaches the minimum, for n of at most 16.",
        f"{FIRST}, IV-B",
        one_tangent_is_enough_in_few_dimensions,
        ("fig4",),
    ),
    Claim(
        "On Sphere and Styblinski-Tang it has no impact on the result whether projection or mean.",
        f"{FIRST}, IV-B",
        projection_is_like_mean_on_functions,
        ("fig4",),
    ),
    Claim(
        "Projection improves over the mean on Rosenbrock.",
        f"{FIRST}, IV-B",
        projection_beats_mean_in_descent,
        ("fig4",),
    ),
)
