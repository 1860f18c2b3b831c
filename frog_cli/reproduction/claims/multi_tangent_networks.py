"""What the first paper claims of multi-tangent forward gradients on networks, and what the rows say of it."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame, Series

from frog_cli.reproduction.claims.verdicts import (
    FAMILIES,
    FIRST,
    UNKNOWN,
    Claim,
    Verdict,
    are_apart_by_chance,
    chance_of_as_many,
    chance_of_as_many_apart,
    count,
    describe_seeds,
    of_shared_seeds,
    ranges_overlap,
    series,
    sign_test,
)
from frog_cli.reproduction.frames import Frames
from frog_cli.settings import methods

_CLOSE = 0.9  # share of the gap between one tangent and backpropagation that counts as closed
_ERROR, _LOWEST_AT = "best_test_error_percent", "best_validation_loss_epoch"


def more_tangents_help_networks(frames: dict[str, Frames]) -> Verdict:
    """Ask whether most tangents have the lowest test error, for each network and family, and no step up is certain.

    A step up from which the seeds' ranges overlap is not held against the claim. One seed has no range: networks with
    one are not judged.
    """
    found, texts, judged, falls = [], [], [], []
    for (network, family), group in _forward(frames).groupby(["network", "gradient"], sort=False):
        group = of_shared_seeds(group, "k")
        errors = [of_one[_ERROR] for _, of_one in group.groupby("k")]
        means = group.groupby("k")[_ERROR].mean()
        if len(means) > 1 and group["seed"].nunique() > 1:
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
    return Verdict(all(found), f"{told}: {'; '.join(texts)}", _count(*judged))


def many_tangents_come_close(frames: dict[str, Frames]) -> Verdict:
    """Ask whether 16 tangents close most of the gap from one to backpropagation, for fully connected networks."""
    runs = _networks({"fig6": frames["fig6"]})
    found, texts, judged = [], [], []
    for network, group in runs.groupby("network", sort=False):
        for family in FAMILIES:
            ends = {
                "one": group[(group["gradient"] == "mean") & (group["k"] == 1)],
                "many": group[(group["gradient"] == family) & (group["k"] == 16)],
                "backprop": group[group["gradient"] == "backprop"],
            }
            compared = of_shared_seeds(pd.concat([rows.assign(end=end) for end, rows in ends.items()]), "end")
            if compared["seed"].nunique() < 2 or compared["end"].nunique() < len(ends):
                continue
            one, many, backprop = (compared[compared["end"] == end][_ERROR].mean() for end in ends)
            closed = (one - many) / (one - backprop)
            found.append(bool(closed >= _CLOSE))
            texts.append(
                f"{network}, {family}: {many:.2f} %, one tangent {one:.2f} %, backprop {backprop:.2f} %: {closed:.0%} "
                f"({describe_seeds(compared)})"
            )
            judged.append(compared)
    basis = _count(pd.concat(judged).drop_duplicates(["request", "seed"])) if judged else ""
    return Verdict(all(found), f"test errors, and the share closed, {'; '.join(texts)}", basis) if found else UNKNOWN


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
        are_apart_by_chance(apart, seeds), f"{told}; projection and mean: {'; '.join(texts)}", _count(*judged)
    )


def projection_trains_more_smoothly(frames: dict[str, Frames], width: int = 4096) -> Verdict:
    """Compare how rough the curves of the test loss are, with projection and with the mean of as many tangents.

    Roughness is the standard deviation of the second differences of the logarithm, of a curve as long as the shorter of
    the two of a seed.

    Args:
        frames: the rows of all targets.
        width: of the networks without which it is not judged: the paper shows curves of no others.
    """
    curves = frames["fig6"]["curves"]
    smoother, texts = [], []
    pairs = _pairs(_forward({"fig6": frames["fig6"]}))
    for (network, k), group in pairs:
        runs = group[["request", "seed", "gradient"]].merge(curves, on=["request", "seed"])
        losses = runs.pivot_table(index=["seed", "epoch"], columns="gradient", values="test_loss").dropna()
        rough = losses.groupby("seed")[[*FAMILIES]].agg(_roughness)
        smoother += [bool(one) for one in rough["projection"] < rough["mean"]]
        means = rough.mean()
        texts.append(
            f"{network}, k = {k:g}: {means['projection']:.2g} and {means['mean']:.2g} ({describe_seeds(group)})"
        )
    if not texts:
        return UNKNOWN
    lower, seeds = sum(smoother), len(smoother)
    text = f"smoother with the projection in {lower} of {seeds} pairs of runs (so many or more by chance: "
    text += f"{chance_of_as_many(lower, seeds):.2g}); standard deviation of the second differences of the logarithm of "
    text += f"the test loss, with projection and with the mean: {'; '.join(texts)}"
    where = f"MLP, w = {width}"
    if not any(network == where for (network, _), _ in pairs):
        return Verdict(None, f"{where} is missing; {text}")
    return Verdict(sign_test(lower, seeds), text, _count(*(group for _, group in pairs)))


def _roughness(losses: Series) -> float:
    return float(np.diff(np.log(losses.to_numpy()), 2).std())


def width_hurts_forward_gradients(frames: dict[str, Frames]) -> Verdict:
    """Ask whether more forward gradients lose than gain by width, and backpropagation's mean error does not rise.

    The narrowest and the widest network that a gradient has several seeds of are compared; where the ranges of these
    overlap, it neither loses nor gains.
    """
    runs = _networks({"fig6": frames["fig6"]})
    changes: dict[str, tuple[float, bool]] = {}  # of the mean error, and whether it is beyond the spread
    texts, judged = [], []
    for _, group in runs.groupby(["gradient", runs["k"].fillna(0)], sort=False) if len(runs) else ():
        by_width = [of_one for _, of_one in group.groupby("width") if of_one["seed"].nunique() > 1]
        if len(by_width) < 2:
            continue
        ends = of_shared_seeds(pd.concat([by_width[0], by_width[-1]]), "width")
        if ends["seed"].nunique() < 2:
            continue
        narrow, wide = (of_one[_ERROR] for _, of_one in ends.groupby("width"))
        name = methods.of_row(group.iloc[0]).name_in_papers()
        beyond = not ranges_overlap((narrow, wide))
        changes[name] = float(wide.mean() - narrow.mean()), beyond
        means = series(ends.groupby("width")[_ERROR].mean(), "w = {:g}: {:.2f} %")
        texts.append(f"{name}: {means}, {'beyond' if beyond else 'within'} the spread ({describe_seeds(ends)})")
        judged.append(ends)
    backprop = changes.pop("backprop", None)
    if backprop is None or not changes:
        return UNKNOWN
    loses, gains = (sum(beyond and sign * change > 0 for change, beyond in changes.values()) for sign in (1, -1))
    told = f"of {len(changes)} forward gradients, beyond the spread {loses} lose and {gains} gain; {'; '.join(texts)}"
    holds = False if backprop[0] > 0 or gains > loses else (True if loses > gains else None)
    return Verdict(holds, told, _count(*judged))


def backprop_takes_fewer_epochs(frames: dict[str, Frames], width: int = 4096, within: int = 25) -> Verdict:
    """Ask whether backpropagation has its lowest validation loss within some epochs, and all others twice as late."""
    runs = frames["fig6"]["runs"]
    runs = runs[runs["width"] == width] if len(runs) else runs
    if runs.empty or runs["epochs"].max() <= within or {*runs["gradient"]} <= {"backprop"}:
        return UNKNOWN
    backprop = runs[runs["gradient"] == "backprop"]
    if backprop.empty:
        return UNKNOWN
    texts = []
    for _, group in runs.groupby(["gradient", runs["k"].fillna(0)], sort=False):
        low, high = group[_LOWEST_AT].min(), group[_LOWEST_AT].max()
        epochs = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        texts.append(f"{methods.of_row(group.iloc[0]).name_in_papers()} {epochs}")
    most, fewest = backprop[_LOWEST_AT].max(), runs[runs["gradient"] != "backprop"][_LOWEST_AT].min()
    told = f"epoch of the lowest validation loss, of 200 at most, w = {width}: {', '.join(texts)}"
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
    return Verdict(all(found), "; ".join(texts), _count(*judged)) if found else UNKNOWN


def _count(*groups: DataFrame) -> str:
    """Return how many runs there are in some groups, of how many seeds and networks."""
    networks = len({network for group in groups for network in group["network"]})
    return f"{count(*groups)}, {networks} network{'s' if networks > 1 else ''}"


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
        "On fully connected networks 16 tangents come close to backpropagation (to us: nine tenths of the way).",
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
