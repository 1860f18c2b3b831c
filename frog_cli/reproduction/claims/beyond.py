"""What frog itself claims beyond the papers, and what the rows of its targets say of it."""

from __future__ import annotations

from functools import partial

import numpy as np

from frog_cli.reproduction import informed_tangents
from frog_cli.reproduction.claims.verdicts import UNKNOWN, Claim, Verdict, count
from frog_cli.reproduction.frames import Frames
from frog_cli.reproduction.lengths_beside_rates import KEY, compare, with_results
from frog_cli.settings import methods

_REACHED = 1e-12  # so little above a minimum counts as there


def lengths_are_near_the_best_rate(frames: dict[str, Frames], networks: bool, at_most: float) -> Verdict:
    """Compare the results of lengths from the curvature with those of the best rate, for each problem and method."""
    compared = compare(frames["step_lengths"])
    if compared.empty:
        return UNKNOWN
    of_functions = compared["problem"].str.contains(", n = ")
    found = compared[of_functions != networks].dropna(subset=["result", "best_result"])
    if found.empty:
        return UNKNOWN
    near = found["result"] <= np.maximum(at_most * found["best_result"], 0 if networks else _REACHED)
    others = [
        f"{row['problem']}, {methods.of_row(row).name_in_papers()}: {row['result']:.3g} for {row['best_result']:.3g}"
        for _, row in found[~near].iterrows()
    ]
    text = f"{near.sum()} of {len(near)} cases" + (f"; not {'; '.join(others)}" if others else "")
    judged = with_results(frames["step_lengths"]["runs"]).merge(found[KEY], on=KEY)
    return Verdict(bool(near.all()), text, count(judged))


def local_tangents_are_near_backpropagation(frames: dict[str, Frames], method: str, points: float) -> Verdict:
    """Compare the test errors of a method on multilayer perceptrons with those of backpropagation, in points."""
    errors = _of_methods(frames, "mlp", "test_error_mean")
    if not {method, informed_tangents.BACKPROP} <= errors.keys():
        return UNKNOWN
    ours, backprop = errors[method], errors[informed_tangents.BACKPROP]
    basis = _basis(frames, "mlp", {method, informed_tangents.BACKPROP})
    return Verdict(ours - backprop <= points, f"{ours:.2f} % for {backprop:.2f} %", basis)


def local_tangents_close_the_gap(frames: dict[str, Frames], model: str, shares: dict[str, float]) -> Verdict:
    """Compare the shares of the gap in training loss that methods close on a network with those that are claimed."""
    closed = _of_methods(frames, model, "training_loss_gap_closed")
    if not shares.keys() <= closed.keys():
        return UNKNOWN
    text = ", ".join(f"{method.removeprefix('projection, ')} {closed[method]:.2f}" for method in shares)
    basis = _basis(frames, model, {*shares, informed_tangents.RANDOM, informed_tangents.BACKPROP})
    return Verdict(all(closed[method] > share - 1e-9 for method, share in shares.items()), text, basis)


def _basis(frames: dict[str, Frames], model: str, methods_compared: set[str]) -> str:
    """Return how many runs of a network are compared: those of some methods at their best rates."""
    best = informed_tangents.at_best_rates(informed_tangents.with_results(frames["informed_tangents"]["runs"]))
    return count(best[(best["model"] == model) & best["method"].isin(methods_compared)])


def _of_methods(frames: dict[str, Frames], model: str, column: str) -> dict[str, float]:
    """Return a column of the comparison for each method on a network, nothing where it is not known."""
    compared = informed_tangents.compare(frames["informed_tangents"])
    if column not in compared:
        return {}
    found = compared[compared["problem"].str.startswith(model)].dropna(subset=[column])
    return {str(method): float(value) for method, value in zip(found["method"], found[column], strict=True)}


CLAIMS = (
    Claim(
        "With one setting, lengths from the curvature end at no more than 1.25 times the best rate's test error.",
        "frog",
        partial(lengths_are_near_the_best_rate, networks=True, at_most=1.25),
        ("step_lengths",),
    ),
    Claim(
        "With one setting, they end no more than ten times as far above the minimum of a function.",
        "frog",
        partial(lengths_are_near_the_best_rate, networks=False, at_most=10),
        ("step_lengths",),
    ),
    Claim(
        "On MLP-256, a tangent of a local loss for each layer ends within 0.3 points of backpropagation's test error.",
        "frog",
        partial(local_tangents_are_near_backpropagation, method="projection, local", points=0.3),
        ("informed_tangents",),
    ),
    Claim(
        "With local tangents and lengths from the curvature, no rate at all, it ends within 0.5 points.",
        "frog",
        partial(local_tangents_are_near_backpropagation, method="projection, local, no rate", points=0.5),
        ("informed_tangents",),
    ),
    *(
        Claim(
            f"On a small {name}, local tangents close half of the gap in training loss from 16 random tangents to "
            "backpropagation, and nine tenths with those of the next layer.",
            "frog",
            partial(
                local_tangents_close_the_gap,
                model=model,
                shares={"projection, local": 0.5, "projection, local depth1": 0.9},
            ),
            ("informed_tangents",),
        )
        for name, model in (("ResNet18", "resnet18"), ("vision transformer", "vit"))
    ),
)
