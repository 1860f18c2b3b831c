"""How much faster frog minimises for several seeds than a loop of one forward-mode pass per seed and tangent.

python -m tests.benchmarks.minimisation [overrides of frog train]
"""

from __future__ import annotations

import sys
from statistics import median
from time import perf_counter

import torch
from torch.autograd import forward_ad
from torch.func import jvp

from frog_cli.config import train_request
from frog_cli.gradients.aggregation import AGGREGATIONS
from frog_cli.objectives.functions import FUNCTIONS
from frog_cli.objectives.minimisation import Minimisation

OVERRIDES = ["objective=rosenbrock", "objective.n=64", "gradient=projection", "gradient.k=16", "seeds=5"]


def with_jvp(function, point, tangent):
    return jvp(function, (point,), (tangent,))


def with_dual_numbers(function, point, tangent):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(function(forward_ad.make_dual(point, tangent)))


def loop(runs, slope, steps: int) -> float:
    """Return the seconds per step of the plain loop."""
    run = runs[0]
    function, start = FUNCTIONS[run.objective.name]
    generators = [torch.Generator().manual_seed(run.seed) for run in runs]
    points = [start(run.objective.n).double() for _ in runs]
    began = perf_counter()
    for _ in range(steps):
        for index, generator in enumerate(generators):
            V = torch.randn(run.gradient.k, run.objective.n, generator=generator, dtype=torch.float64)
            slopes = torch.stack([slope(function, points[index], tangent)[1] for tangent in V]).unsqueeze(1)
            coefficients = AGGREGATIONS[run.gradient.name](V, slopes)
            points[index] = points[index] - run.learning_rate * (V.mT @ coefficients).squeeze(1)
    return (perf_counter() - began) / steps


def side_by_side(runs) -> float:
    """Return the seconds per step of frog."""
    objective = Minimisation(runs, torch.device("cpu"))
    objective.measure()
    objective.epoch()
    objective.measure()
    began = perf_counter()
    for _ in range(20):
        objective.epoch()
        objective.measure()
    return (perf_counter() - began) / (20 * runs[0].record_every)


METHODS = {"torch.func.jvp": with_jvp, "dual numbers": with_dual_numbers}


def rounds(overrides: list[str]) -> dict[str, list[float]]:
    """Return the seconds per step of all seeds, of frog and of each plain loop, in five rounds side by side."""
    runs = train_request(overrides).runs
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found: dict[str, list[float]] = {"frog": [], **{name: [] for name in METHODS}}
    for _ in range(5):
        found["frog"].append(side_by_side(runs))
        for name, slope in METHODS.items():
            found[name].append(loop(runs, slope, 20))
    torch.set_num_threads(threads)
    return found


def main() -> None:
    overrides = sys.argv[1:] or OVERRIDES
    found = rounds(overrides)
    print(f"{' '.join(overrides)}: {median(found['frog']) * 1e6:.0f} microseconds per step of all seeds")
    for name in METHODS:
        ratios = [theirs / ours for theirs, ours in zip(found[name], found["frog"], strict=True)]
        print(
            f"  plain loop with {name}: {median(ratios):.0f} times as long "
            f"(five rounds: {min(ratios):.0f} to {max(ratios):.0f})"
        )


if __name__ == "__main__":
    main()
