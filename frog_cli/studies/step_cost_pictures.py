"""Step costs as pictures: time against the number of tangents, the parts of a step, memory against depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from pandas import DataFrame

from frog_cli.engine.phases import PHASES
from frog_cli.studies.step_cost_rows import REFERENCES, name_of


def draw_all(rows: DataFrame, folder: Path) -> list[Path]:
    """Draw cost against k if there are several, and memory against the depth if there are several; return the paths."""
    steps = rows[~rows["gradient"].isin(REFERENCES)]
    figures = {}
    if "k" in rows and steps["k"].nunique() > 1:
        figures["cost"] = draw_cost(rows)
    figures["parts"] = draw_parts(rows)
    if "inference_peaks" in rows and "depth" in rows and rows["depth"].nunique() > 1:
        figures["memory"] = draw_memory(rows)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=150)
        figure.savefig(folder / f"{name}.pdf", metadata={"CreationDate": None})
    return [folder / f"{name}.png" for name in figures]


def draw_cost(rows: DataFrame) -> Figure:
    """Draw the time of a step in plain forward passes against k, a panel for each network, with the bounds of theory.

    The bounds are those of Griewank and Walther (Evaluating Derivatives, Chapter 4) for operations: k directional
    derivatives that share the function's value cost 1 + k to 1 + 1.5 k evaluations, a gradient 3 to 4.
    """
    networks = [group for _, group in _networks(rows) if group["k"].nunique() > 1]
    figure = Figure(figsize=(5.5 * len(networks), 5), layout="constrained")
    for axes, group in zip(figure.subplots(1, len(networks), squeeze=False)[0], networks, strict=True):
        ks = np.array(sorted(group["k"].dropna().unique()))
        axes.fill_between(ks, 1 + ks, 1 + 1.5 * ks, color="0.85", label="forward mode, theory: 1 + k to 1 + 1.5 k")
        axes.axhspan(3, 4, facecolor="none", edgecolor="0.6", hatch="////", label="reverse mode, theory: 3 to 4")
        for reference, line in (("backprop", ":"), ("backprop with checkpoints", "-.")):
            level = group.loc[group["gradient"] == reference, "plain_passes"].iloc[0]
            axes.axhline(level, color="0", linestyle=line, label=f"{reference}, measured")
        steps = group[~group["gradient"].isin(REFERENCES)]
        names = steps.apply(name_of, axis=1)
        for index, name in enumerate(names.unique()):
            curve = steps[names == name].sort_values("k")
            middle = curve["plain_passes"]
            spread = [middle - curve["plain_passes_low"], curve["plain_passes_high"] - middle]
            axes.errorbar(
                curve["k"], middle, spread, label=name, color=f"C{index}", marker="osD^vP"[index % 6], capsize=2
            )
        axes.set(xscale="log", yscale="log", xlabel="number of tangents k", title=_title(group.iloc[0]))
        axes.set_ylabel("time of a step / time of a plain forward pass")
        for axis, ticks in ((axes.xaxis, ks), (axes.yaxis, [1, 2, 4, 8, 16, 32, 64])):
            axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
            axis.set_ticks([], minor=True)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small", frameon=False)
    return figure


def draw_parts(rows: DataFrame) -> Figure:
    """Draw where the time of the steps with the most tangents of each network goes, in its plain forward passes.

    Parts are measured in a pass of their own, at another moment than the steps as a whole, so only their shares are
    taken from it: a bar is as long as the step takes in the picture of the cost.
    """
    names = [name for name in (f"{part.replace(' ', '_')}_plain_passes" for part in PHASES) if name in rows]
    bars = []
    for _, group in _networks(rows[~rows["gradient"].isin(REFERENCES)]):
        several = "k" in group and group["k"].notna().any()
        for _, row in (group[group["k"] == group["k"].max()] if several else group).iterrows():
            bars.append((f"{_title(row)}\n{name_of(row)}" + (f", k = {row['k']:g}" if several else ""), row))
    figure = Figure(figsize=(10, 1.5 + 0.5 * len(bars)), layout="constrained")
    axes = figure.subplots()
    start = np.zeros(len(bars))
    measured = np.array([[row[name] for name in names] for _, row in bars], dtype=float).reshape(len(bars), len(names))
    shares = np.nan_to_num(measured) / np.nansum(measured, axis=1, keepdims=True)
    totals = np.array([row["plain_passes"] for _, row in bars], dtype=float)
    for index, name in enumerate(names):
        lengths = shares[:, index] * totals
        part = name.removesuffix("_plain_passes").replace("_", " ")
        look: dict[str, Any] = {
            "color": f"C{index}",
            "edgecolor": "0",
            "hatch": ["", "//", "..", "xx", "--"][index % 5],
        }
        axes.barh(range(len(bars)), lengths, left=start, label=part, **look)
        start = start + lengths
    axes.set_yticks(range(len(bars)), [label for label, _ in bars], fontsize="small")
    axes.invert_yaxis()
    axes.set_xlabel("time of a step, in the shares of its parts / time of a plain forward pass")
    axes.legend(fontsize="small", frameon=False)
    return figure


def draw_memory(rows: DataFrame) -> Figure:
    """Draw the peak of memory against the depth of the network, and in multiples of what inference needs."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    absolute, relative = figure.subplots(1, 2)
    several = rows[rows["depth"].notna()]
    names = several.apply(lambda row: name_of(row) + (f", k = {row['k']:g}" if row["k"] == row["k"] else ""), axis=1)
    for index, name in enumerate(names.unique()):
        curve = several[names == name].sort_values("depth")
        look = {"color": f"C{index}", "marker": "osD^vPX*"[index % 8], "linestyle": ["-", "--", "-.", ":"][index % 4]}
        label = "inference" if name == "plain pass" else name
        absolute.plot(curve["depth"], curve["peak_bytes"] / 1e6, label=label, **look)
        relative.plot(curve["depth"], curve["inference_peaks"], **look)
    absolute.set(ylabel="peak memory in MB", yscale="log")
    relative.set(ylabel="peak memory / that of inference")
    relative.set_ylim(bottom=0)
    depths = sorted(several["depth"].unique())
    for axes in (absolute, relative):
        axes.set(xscale="log", xlabel="hidden layers")
        axes.xaxis.set_ticks(depths, [f"{depth:g}" for depth in depths])
        axes.xaxis.set_ticks([], minor=True)
        axes.grid(alpha=0.3)
    figure.legend(*absolute.get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize="small")
    network = several.iloc[0]
    title = f"{network['model']}, {network['width']:g} units wide, batch size {network['batch_size']:g}"
    figure.suptitle(f"{title}: weights and batch included")
    return figure


def _networks(rows: DataFrame) -> Any:
    """Return the rows in groups of the same network."""
    names = [name for name in ("model", "image", "batch_size", "width", "depth", "grouping") if name in rows]
    return rows.groupby(names, dropna=False, sort=False)


def _title(row: Any) -> str:
    """Return what the network of a row is called."""
    width = f", width {row['width']:g}" if row.get("width") == row.get("width") and row.get("width") else ""
    return f"{row['model']}{width}, images {row['image']}, batch size {row['batch_size']:g}"
