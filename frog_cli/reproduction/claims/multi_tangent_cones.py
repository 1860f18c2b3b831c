"""What the first paper claims of tangents on a cone, and what the rows say of it."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from frog_cli.reproduction.claims.verdicts import (
    FAMILIES,
    FIRST,
    UNKNOWN,
    Claim,
    Verdict,
    count,
    describe_seeds,
    is_lower,
    ranges_overlap,
    series,
)
from frog_cli.reproduction.frames import Frames
from frog_cli.reproduction.lengths_beside_rates import LOWEST

_ALIKE = 0.05  # cosines that differ by less


def the_cone_hurts_mean(frames: dict[str, Frames]) -> Verdict:
    """Compare the narrowest with the widest cone."""
    table, runs = frames["fig5"]["quality"], frames["fig5"]["runs"]
    if table.empty or runs.empty:
        return UNKNOWN
    runs = runs.assign(value=runs["best_value"] / runs["n"])
    cosine = table.pivot_table(index=["gradient", "k"], columns="angle", values="cosine_mean")
    value = runs.pivot_table(index=["gradient", "k"], columns="angle", values="value")
    methods = {*FAMILIES}
    complete = methods <= {*cosine.index.get_level_values("gradient")} & {*value.index.get_level_values("gradient")}
    if not complete or {*value.columns} != {*cosine.columns} or not {*value.index} <= {*cosine.index}:
        return UNKNOWN
    if value.isna().any(axis=None):
        return UNKNOWN
    error = table["cosine_standard_error"].max()
    narrow, wide = cosine.columns.min(), cosine.columns.max()
    change = cosine[narrow] - cosine[wide]
    texts: list[str] = []
    lower_when_wide = defaultdict[str, list[bool | None]](list)
    for method in value.index:
        ends = [*cosine.loc[method, [wide, narrow]], *value.loc[method, [wide, narrow]]]
        name = f"{method[0]}, k = {method[1]:g}"
        texts.append(f"{name}: cosine {ends[0]:.3f} to {ends[1]:.3f}, lowest value / n {ends[2]:.2f} to {ends[3]:.2f}")
        of_method = runs[(runs["gradient"] == method[0]) & (runs["k"] == method[1])]
        ends_of_seeds = (of_method[of_method["angle"] == at]["value"] for at in (wide, narrow))
        lower_when_wide[method[0]].append(is_lower(*ends_of_seeds))
    hurt = bool((change["mean"] < -5 * error).all()) and all(lower_when_wide["mean"])
    unhurt = bool((change["projection"].abs() < 5 * error).all()) and not any(lower_when_wide["projection"])
    where = f"cosine: {describe_seeds(table)}; Styblinski-Tang, n = {runs['n'].iloc[0]:g}: {describe_seeds(runs)}"
    told = f"from {wide:g} to {narrow:g} degrees: {'; '.join(texts)} ({where})"
    return Verdict(hurt and unhurt, told, f"{count(runs)}, and cosines of {describe_seeds(table)}")


def the_mean_bears_wide_cones(frames: dict[str, Frames]) -> Verdict:
    """Ask whether the median over the seeds is at the minimum from 60 degrees on, and above it up to 45."""
    runs = frames["fig5"]["runs"].reindex(columns=["gradient", "k", "angle", "n", "seed", "best_value"])
    runs = runs[runs["gradient"] == "mean"]
    if not {45, 60} <= {*runs["angle"]}:
        return UNKNOWN
    above = runs.assign(above=runs["best_value"] / runs["n"] - LOWEST["styblinski-tang"])
    medians = above.groupby(["k", "angle"])["above"].median().unstack("angle")
    reached = medians < 1e-3
    wide = reached.columns.to_numpy(dtype=float) >= 60
    texts = [f"k = {k:g}: {series(medians.loc[k], '{:g}: {:.2g}')}" for k in medians.index]
    told = f"median above the minimum / n, by the angle in degrees, {'; '.join(texts)} ({describe_seeds(runs)})"
    return Verdict(bool(np.array_equal(reached, np.broadcast_to(wide, reached.shape))), told, count(runs))


def the_widest_cone_is_like_none(frames: dict[str, Frames]) -> Verdict:
    """Ask whether cones of 90 degrees and normal tangents have near cosines, and lowest values whose ranges overlap."""
    tables = frames["fig5"]["quality"], frames["fig3"]["quality"], frames["fig5"]["runs"], frames["fig4"]["runs"]
    if any(table.empty for table in tables):
        return UNKNOWN
    of_cones, of_normal, cones, normal = tables
    of_cones, of_normal = of_cones[of_cones["angle"] == 90], of_normal[of_normal["tangents"] == "normal"]
    names = ["gradient", "k", "n"]
    pairs = of_cones.merge(of_normal, on=names, suffixes=("", "_normal"))
    cones, normal = cones[cones["angle"] == 90], normal[normal["function"] == "styblinski-tang"]
    of_both = cones[names].drop_duplicates().merge(normal[names].drop_duplicates())
    if pairs.empty or of_both.empty:
        return UNKNOWN
    apart = (pairs["cosine_mean"] - pairs["cosine_mean_normal"]).abs().max()
    cones, normal = cones.merge(of_both), normal.merge(of_both)
    alike, texts = True, []
    for gradient, k, n in of_both.itertuples(index=False):
        values = [
            table.loc[(table["gradient"] == gradient) & (table["k"] == k), "best_value"] / n
            for table in (cones, normal)
        ]
        alike = alike and ranges_overlap(values)
        texts.append(f"{gradient}, k = {k:g}: {values[0].mean():.2f} and {values[1].mean():.2f}")
    text = f"cosines differ by at most {apart:.2g}; lowest value / n with a cone and without, {'; '.join(texts)} "
    text += f"({describe_seeds(cones)})"
    basis = f"{count(cones, normal)}, and cosines of {describe_seeds(of_cones)}"
    return Verdict(bool(apart < _ALIKE) and alike, text, basis)


CLAIMS = (
    Claim("A narrow cone hurts the mean and not the projection.", f"{FIRST}, IV-C", the_cone_hurts_mean, ("fig5",)),
    Claim(
        "With a cone of 60 degrees the mean still gets to the minimum of Styblinski-Tang, with one of 45 no longer.",
        f"{FIRST}, IV-C",
        the_mean_bears_wide_cones,
        ("fig5",),
    ),
    Claim(
        "With a cone of 90 degrees results are like those with normal tangents.",
        f"{FIRST}, IV-C",
        the_widest_cone_is_like_none,
        ("fig5", "fig3", "fig4"),
    ),
)
