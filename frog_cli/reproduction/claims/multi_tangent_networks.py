"""What the first paper claims of multi-tangent forward gradients on networks, and what the rows say of it."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import pandas as pd
from pandas import DataFrame, Series

from frog_cli.reproduction.claims.verdicts import (
    FAMILIES,
    FIRST,
    UNKNOWN,
    Claim,
    Verdict,
    are_apart_by_chance,
    chance_of_as_many_apart,
    count,
    describe_seeds,
    of_shared_seeds,
    ranges_overlap,
    series,
)
from frog_cli.reproduction.frames import Frames
from frog_cli.settings import methods

_CLOSE = 0.9  # share of the gap between one tangent and backpropagation that counts as closed
_ERROR = "best_test_error_percent"


def more_tangents_help_networks(frames: dict[str, Frames]) -> Verdict:
    """Ask whether most tangents have the lowest test error, for each network and family, and no step up is certain.

    A step up from which the seeds' ranges overlap is not held against the claim.
    """
    found, texts, judged, falls = [], [], [], []
    for (network, family), group in _forward(frames).groupby(["network", "gradient"], sort=False):
        group = of_shared_seeds(group, "k")
        errors = [of_one[_ERROR] for _, of_one in group.groupby("k")]
        means = group.groupby("k")[_ERROR].mean()
        if len(means) > 1:
            pairs = list(pairwise(errors))
            rises = [few.mean() <= many.mean() and not ranges_overlap((few, many)) for few, many in pairs]
            found.append(bool(means.idxmin() == means.index.max()) and not any(rises))
            falls.append(bool((means.diff().dropna() < 0).all()))
            texts.append(f"{network}, {family}: {series(means, 'k = {:g}: {:.2f} %')} ({describe_seeds(group)})")
            judged.append(group)
    if not texts:
        return UNKNOWN
    told = (
        f"in {sum(found)} of {len(found)} families, in {sum(falls)} of them lower with each k than with the one before"
    )
    return Verdict(all(found), f"{told}: {'; '.join(texts)}", count(*judged))


def many_tangents_come_close(frames: dict[str, Frames]) -> Verdict:
    """Ask whether 16 tangents close most of the gap from one to backpropagation, for fully connected networks."""
    runs = _networks({"fig6": frames["fig6"]})
    found, texts, judged = [], [], []
    for network, group in runs.groupby("network", sort=False):
        backward = group[group["gradient"] == "backprop"]
        of_k = {k: group[(group["gradient"] != "backprop") & (group["k"] == k)] for k in (1, 16)}
        if not (len(backward) and all(map(len, of_k.values()))):
            continue
        one, backprop = (rows[_ERROR].mean() for rows in (of_k[1], backward))
        for family, rows in of_k[16].groupby("gradient"):
            many = rows[_ERROR].mean()
            found.append(bool(one - many >= _CLOSE * (one - backprop)))
            texts.append(f"{network}, {family}: {many:.2f} %, one tangent {one:.2f} %, backprop {backprop:.2f} %")
            texts[-1] += f" ({describe_seeds(rows)})"
        judged += [*of_k.values(), backward]
    return Verdict(all(found), f"test errors, {'; '.join(texts)}", count(*judged)) if found else UNKNOWN


def projection_is_like_mean_on_networks(frames: dict[str, Frames]) -> Verdict:
    """Ask whether the test errors of projection and mean are apart more often than by chance, over networks and k."""
    apart, lower, seeds, texts, judged = 0, dict.fromkeys(FAMILIES, 0), [], [], []
    for (network, k), group in _pairs(_forward(frames)):
        if group["seed"].nunique() > 1:  # one seed has no spread
            errors = {str(name): of_one[_ERROR] for name, of_one in group.groupby("gradient")}
            means = {name: of_one.mean() for name, of_one in errors.items()}
            overlap = ranges_overlap([*errors.values()])
            apart += not overlap
            lower[min(means, key=lambda name: means[name])] += not overlap
            seeds.append(group["seed"].nunique())
            pair = f"{means['projection']:.2f} % and {means['mean']:.2f} %"
            texts.append(f"{network}, k = {k:g}: {pair}, {'within' if overlap else 'beyond'} the spread")
            texts[-1] += f" ({describe_seeds(group)})"
            judged.append(group)
    if not texts:
        return UNKNOWN
    chance = chance_of_as_many_apart(apart, seeds)
    told = f"{apart} of {len(seeds)} pairs beyond the spread (so many or more by chance: {chance:.2g}), "
    told += f"the projection lower in {lower['projection']} of them, the mean in {lower['mean']}"
    return Verdict(
        are_apart_by_chance(apart, seeds), f"{told}; projection and mean: {'; '.join(texts)}", count(*judged)
    )


def projection_trains_more_smoothly(frames: dict[str, Frames], width: int = 4096) -> Verdict:
    """Compare in how many epochs the test loss rises, with projection and with the mean of as many tangents.

    Where it rises as often with both, nothing is said.

    Args:
        frames: the rows of all targets.
        width: of the networks without which it is not judged: the paper shows curves of no others.
    """
    curves = frames["fig6"]["curves"]
    smoother, texts = [], []
    pairs = _pairs(_forward({"fig6": frames["fig6"]}))
    for (network, k), group in pairs:
        runs = group[["request", "seed", "gradient"]].merge(curves, on=["request", "seed"])
        rises = runs.sort_values("epoch").groupby(["gradient", "seed"])["test_loss"].apply(_share_of_rises)
        shares = rises.groupby("gradient").mean()
        if shares["projection"] != shares["mean"]:
            smoother.append(bool(shares["projection"] < shares["mean"]))
        pair = f"{shares['projection']:.1%} and {shares['mean']:.1%}"
        texts.append(f"{network}, k = {k:g}: {pair} ({describe_seeds(group)})")
    text = (
        f"less often with the projection in {sum(smoother)} of {len(smoother)} pairs that differ; share of epochs in "
    )
    text += f"which the test loss rises, with projection and with the mean: {'; '.join(texts)}"
    if not texts:
        return UNKNOWN
    where = f"MLP, w = {width}"
    if not any(network == where for (network, _), _ in pairs):
        return Verdict(None, f"{where} is missing; {text}")
    if not smoother:
        return Verdict(None, f"there is no difference; {text}")
    return Verdict(sum(smoother) > len(smoother) / 2, text, count(*(group for _, group in pairs)))


def _share_of_rises(losses: Series) -> float:
    return float((losses.diff().dropna() > 0).mean())


def width_hurts_forward_gradients(frames: dict[str, Frames]) -> Verdict:
    """Compare the narrowest with the widest network: backpropagation's error falls, that of most others rises."""
    runs = _networks({"fig6": frames["fig6"]})
    rises, texts, judged = {}, [], []
    for _, group in runs.groupby(["gradient", runs["k"].fillna(0)], sort=False) if len(runs) else ():
        group = of_shared_seeds(group, "width")
        errors = group.groupby("width")[_ERROR].mean()
        if len(errors) > 1:
            method = methods.of_row(group.iloc[0])
            name = method.name_in_papers()
            rises[name] = bool(errors.iloc[-1] > errors.iloc[0])
            texts.append(f"{name}: {series(errors.iloc[[0, -1]], 'w = {:g}: {:.2f} %')} ({describe_seeds(group)})")
            judged.append(group[group["width"].isin(errors.index[[0, -1]])])
    backprop = rises.pop("backprop", None)
    if backprop is None or not rises:
        return UNKNOWN
    told = f"higher in the widest for {sum(rises.values())} of {len(rises)} forward gradients; {'; '.join(texts)}"
    return Verdict(not backprop and sum(rises.values()) > len(rises) / 2, told, count(*judged))


def backprop_takes_fewer_epochs(frames: dict[str, Frames], width: int = 4096, within: int = 25) -> Verdict:
    """Ask whether runs of backpropagation stop early within some epochs, and all others take twice as many or more."""
    runs = frames["fig6"]["runs"]
    runs = runs[runs["width"] == width] if len(runs) else runs
    if runs.empty or runs["epochs"].max() <= within or {*runs["gradient"]} <= {"backprop"}:
        return UNKNOWN
    backprop = runs[runs["gradient"] == "backprop"]
    if backprop.empty:
        return UNKNOWN
    texts = []
    for _, group in runs.groupby(["gradient", runs["k"].fillna(0)], sort=False):
        low, high = group["epochs"].min(), group["epochs"].max()
        epochs = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        texts.append(f"{methods.of_row(group.iloc[0]).name_in_papers()} {epochs}")
    most, fewest = backprop["epochs"].max(), runs[runs["gradient"] != "backprop"]["epochs"].min()
    told = f"epochs until the validation loss no longer falls, of 200 at most, w = {width}: {', '.join(texts)}"
    return Verdict(bool(most <= within and fewest >= 2 * most), f"{told} ({describe_seeds(runs)})", count(runs))


def a_gap_remains(frames: dict[str, Frames]) -> Verdict:
    """Ask whether for each network the best forward gradient's test errors lie above all of backpropagation's."""
    runs = _networks({"table1": frames["table1"]})
    found, texts, judged = [], [], []
    for network, group in runs.groupby("network", sort=False) if len(runs) else ():
        backprop, forward = (group[(group["gradient"] == "backprop") == is_it] for is_it in (True, False))
        if len(backprop) and len(forward):
            means = forward.groupby(["gradient", "k"])[_ERROR].mean()
            best = forward[[key == means.idxmin() for key in zip(forward["gradient"], forward["k"], strict=True)]]
            found.append(bool(best[_ERROR].min() > backprop[_ERROR].max()))
            name = methods.of_row(best.iloc[0]).name_in_papers()
            texts.append(f"{network}: {name}, {means.min():.2f} %, backprop {backprop[_ERROR].mean():.2f} %")
            judged += [best, backprop]
    return Verdict(all(found), "; ".join(texts), count(*judged)) if found else UNKNOWN


def _networks(frames: dict[str, Frames]) -> DataFrame:
    """Return the runs on networks, with the name of each network."""
    found = [table["runs"] for table in (frames.get("fig6"), frames.get("table1")) if table and not table["runs"].empty]
    needed = DataFrame(columns=["gradient", "network", "k", "seed", "model", "width", "data_variant"])
    runs = pd.concat([needed, *found], ignore_index=True)
    return runs.assign(network=runs.apply(_network, axis=1)) if len(runs) else runs


def _forward(frames: dict[str, Frames]) -> DataFrame:
    """Return those of forward gradients."""
    runs = _networks(frames)
    return runs[runs["gradient"] != "backprop"]


def _network(run: Series) -> str:
    if run["model"] == "mlp":
        return f"MLP, w = {run['width']:g}"
    return f"{run['model']}, {run['data_variant']}"


def _pairs(runs: DataFrame) -> list[tuple[Any, DataFrame]]:
    """Return the runs of projection and of the mean with the same k and seeds, by network and k."""
    found = [(key, of_shared_seeds(group, "gradient")) for key, group in runs.groupby(["network", "k"], sort=False)]
    return [(key, group) for key, group in found if {*group["gradient"]} == {*FAMILIES}]


CLAIMS = (
    Claim(
        "More tangents give lower test errors of networks, 16 the lowest.",
        f"{FIRST}, IV-D, IV-E",
        more_tangents_help_networks,
        ("fig6", "table1"),
    ),
    Claim(
        "On fully connected networks 16 tangents come close to backpropagation (nine tenths of the way from one).",
        f"{FIRST}, IV-D",
        many_tangents_come_close,
        ("fig6",),
    ),
    Claim(
        "On networks there is little difference between projection and mean.",
        f"{FIRST}, IV-D, IV-E, V",
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
    Claim(
        "In wider networks forward gradients can lose accuracy, while backpropagation gains a little.",
        f"{FIRST}, IV-D",
        width_hurts_forward_gradients,
        ("fig6",),
    ),
    Claim(
        "Backpropagation converges within 25 epochs; forward gradients take significantly more (shown for w = 4096).",
        f"{FIRST}, IV-D",
        backprop_takes_fewer_epochs,
        ("fig6",),
    ),
    Claim(
        "On ResNet18 and vision transformers a significant gap to backpropagation remains.",
        f"{FIRST}, IV-E",
        a_gap_remains,
        ("table1",),
    ),
)
