"""The picture of approximation quality: cosine similarity and norm ratio of estimates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

_BY_CHANCE = 3  # standard errors up to which means count as equal
_ROUNDING = 1e-9  # and where there is no chance


def draw(rows: DataFrame) -> Figure:
    """Draw cosine similarity and norm ratio against k, or against the angle for tangents on a cone."""
    from matplotlib.figure import Figure

    n = rows["n"].iloc[0]
    by_angle = rows["angle"].notna().all()
    keys = ["tangents", "gradient", "k"] if by_angle else ["tangents", "gradient", "angle"]
    curves = {_label(*list(key)): group for key, group in rows.groupby(keys, sort=False, dropna=False)}
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    cosine, ratio = figure.subplots(1, 2)
    for axes, measure in ((cosine, "cosine"), (ratio, "norm_ratio")):
        for names in _coinciding(curves, measure):
            group, index = curves[names[0]], list(curves).index(names[0])
            style: dict[str, Any] = {
                "label": "\n".join(names),
                "color": f"C{index % 10}",
                "linestyle": ["-", "--", ":", "-."][index % 4],
                "marker": "os^vDP*X<>p"[index % 11],
                "markersize": 4,
            }
            x = group["angle" if by_angle else "k"]
            axes.errorbar(x, group[f"{measure}_mean"], group[f"{measure}_standard_error"], **style)
    for axes, name in ((cosine, "cosine similarity to the gradient"), (ratio, "norm of estimate / norm of gradient")):
        axes.set(xlabel="angle to the first tangent in degrees" if by_angle else "number of tangents k", ylabel=name)
        if not by_angle:
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter("{x:g}")
        if not by_angle and rows["k"].max() >= n:
            axes.axvline(n, color="0.4", linestyle="--", linewidth=0.8)
            axes.annotate("k = n ", (n, 0.02), xycoords=("data", "axes fraction"), color="0.4", ha="right")
        axes.grid(alpha=0.3)
    cosine.set_ylim(0, 1.05)
    ratio.set_yscale("log")
    cosine.legend(loc="lower right" if by_angle else "upper left", fontsize="x-small", labelspacing=0.8)
    ratio.legend(loc="lower left", bbox_to_anchor=(1, 0), frameon=False, fontsize="x-small", labelspacing=0.8)
    seeds = rows["seeds"].iloc[0]
    figure.suptitle(
        f"Estimates of a gradient of n = {n} dimensions, mean of {seeds} seeds; equal curves are drawn once"
    )
    return figure


def _coinciding(curves: Mapping[str, DataFrame], measure: str) -> list[list[str]]:
    """Return the names of curves, those together that differ by no more than chance at any of their points."""
    groups: list[list[str]] = []
    for name, curve in curves.items():
        for names in groups:
            if _coincide(curves[names[0]], curve, measure):
                names.append(name)
                break
        else:
            groups.append([name])
    return groups


def _coincide(one: DataFrame, other: DataFrame, measure: str) -> bool:
    difference = one[f"{measure}_mean"].to_numpy() - other[f"{measure}_mean"].to_numpy()
    squares = sum(curve[f"{measure}_standard_error"].fillna(0).to_numpy() ** 2 for curve in (one, other))
    return bool((abs(difference) <= _BY_CHANCE * squares**0.5 + _ROUNDING).all())


def _label(tangents: Any, gradient: Any, last: Any) -> str:
    """Return the name of a curve; `last` is k where the angle is on the axis, else the angle, if any."""
    if math.isnan(last):
        return f"{gradient}, {tangents} tangents"
    return f"{gradient}, {tangents}, " + (f"k = {last}" if isinstance(last, int) else f"{last:g}°")
