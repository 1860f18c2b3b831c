"""Steps of Fig. 4 against a loop of one forward-mode pass per seed and tangent, and how they grow with n and k."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import grad, jvp

from frog_cli.files.csv import Row
from frog_cli.gradients import AGGREGATIONS
from frog_cli.objectives.minimisation import Minimisation
from frog_cli.settings.requests import train_request
from tests.benchmarks.comparison import compared, seconds
from tests.cases import FUNCTIONS

ROUNDS = 5
SEEDS = 5
ALL_EIGHT = ["gradient=backprop"]
ALL_EIGHT += [f"gradient={name} gradient.k={k}" for name in ("mean", "projection") for k in (1, 2, 4, 16)]
ALL_EIGHT.remove("gradient=projection gradient.k=1")  # which is mean with k = 1, but for the length of the step
LOOP_STEPS = 5
OUR_STEPS = 200

Slope = Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], tuple[Tensor, Tensor]]


def with_jvp(function, point, tangent):
    return jvp(function, (point,), (tangent,))


def with_dual_numbers(function, point, tangent):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(function(forward_ad.make_dual(point, tangent)))


LOOPS: dict[str, Slope] = {"torch.func.jvp": with_jvp, "dual numbers": with_dual_numbers}


def plain_loop(runs, slope: Slope) -> None:
    """Minimise as one would write it: seed by seed, tangent by tangent."""
    run = runs[0]
    function, start = FUNCTIONS[run.objective.name]
    generators = [torch.Generator().manual_seed(run.seed) for run in runs]
    points = [start(run.objective.n).double() for _ in runs]
    for _ in range(LOOP_STEPS):
        for index, generator in enumerate(generators):
            if run.gradient.name == "backprop":
                points[index] = points[index] - run.learning_rate * grad(function)(points[index])
                continue
            V = torch.randn(run.gradient.k, run.objective.n, generator=generator, dtype=torch.float64)
            slopes = torch.stack([slope(function, points[index], tangent)[1] for tangent in V]).unsqueeze(1)
            coefficients = AGGREGATIONS[run.gradient.name](V, slopes)
            points[index] = points[index] - run.learning_rate * (V.mT @ coefficients).squeeze(1)


def minimisation(*overrides: str) -> Minimisation:
    """Return a minimisation that has recorded its operations."""
    words = ["objective=rosenbrock", f"record_every={OUR_STEPS}", "learning_rate=1e-12", f"seeds={SEEDS}", *overrides]
    objective = Minimisation(train_request(words).runs, torch.device("cpu"))
    objective.measure()
    objective.epoch()
    objective.measure()
    return objective


def against_loops() -> list[Row]:
    """Compare a step of all eight gradients and five seeds with the plain loops."""
    rows = []
    words = [["objective.n=64", *one.split()] for one in ALL_EIGHT]
    runs = [train_request(["objective=rosenbrock", f"seeds={SEEDS}", *overrides]).runs for overrides in words]
    ours = {compiled: [minimisation(*one, f"compile={compiled}") for one in words] for compiled in ("false", "true")}
    found: dict[str, list[float]] = {name: [] for name in [*ours, *LOOPS]}
    for _ in range(ROUNDS):
        for compiled, objectives in ours.items():
            steps = sum(seconds(lambda one=one: (one.epoch(), one.measure())) for one in objectives)
            found[compiled].append(steps / OUR_STEPS)
        for name, slope in LOOPS.items():
            steps = sum(seconds(lambda one=one, slope=slope: plain_loop(one, slope)) for one in runs)
            found[name].append(steps / LOOP_STEPS)
    what = "a step of Rosenbrock, n = 64, eight gradients, five seeds"
    for compiled in ours:
        title = f"{what}, compile={compiled}"
        rows += [compared(title, found[compiled], f"a loop with {name}", found[name]) for name in LOOPS]
    return rows


def growth() -> list[Row]:
    """Time steps of growing n and k; each row is compared with the one of half the size."""
    rows = []
    for name, sizes, others in (
        ("n", [2**power for power in range(10, 17)], ["gradient=mean", "gradient.k=4"]),
        ("k", [4, 8, 16, 32, 64], ["gradient=mean", "objective.n=4096"]),
    ):
        option = "objective.n" if name == "n" else "gradient.k"
        objectives = [minimisation(f"{option}={size}", "record_every=20", *others) for size in sizes]
        found: list[list[float]] = [[] for _ in sizes]
        for _ in range(ROUNDS):
            for objective, times in zip(objectives, found, strict=True):
                times.append(seconds(lambda one=objective: (one.epoch(), one.measure())) / 20)
        where = " ".join(others)
        for index, size in enumerate(sizes[1:], start=1):
            title = f"a step of Rosenbrock, {where}, five seeds, {name} = {sizes[index - 1]}"
            rows.append(compared(title, found[index - 1], f"{name} = {size}", found[index]))
    return rows


def rows() -> list[Row]:
    """Return all comparisons of steps of functions, with one thread, as frog minimises functions."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [*against_loops(), *growth()]
    finally:
        torch.set_num_threads(threads)
