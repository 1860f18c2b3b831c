"""Rows as if something had been run."""

from __future__ import annotations

from pandas import DataFrame


def row(words: str, seed: int, metric: str, value: float, **more) -> dict:
    return {"request": words, "outcome": "completed", "seed": seed, metric: value, **more}


def frames(**tables: dict[str, DataFrame]) -> dict[str, dict[str, DataFrame]]:
    """Return the rows of targets: those given, and nothing of the others that the papers' claims are judged by."""
    of_first = ("fig3", "fig4", "fig5", "fig6", "table1")
    of_second = ("step", "rosenbrock_2d", "rosenbrock_10d", "logistic_regression", "cnn")
    empty = {"runs": DataFrame(), "quality": DataFrame(), "curves": DataFrame()}
    return {name: empty | tables.get(name, {}) for name in (*of_first, *(f"fomoh_{one}" for one in of_second))}


def searches() -> tuple[DataFrame, DataFrame]:
    """Return runs and curves of K = 2 to 10 from two starts with three seeds each, and of Newton's method."""
    methods = [("fomoh_kd", k, seed) for k in range(2, 11) for seed in range(3)] + [("newton", None, 0)]
    runs = DataFrame(
        {"request": f"{gradient} {k} {start}", "gradient": gradient, "k": k, "start_seed": start, "seed": seed}
        for gradient, k, seed in methods for start in range(2)
    )  # fmt: skip
    curves = DataFrame(
        {"request": run["request"], "seed": run["seed"], "step": step,
         "best_value": 10.0 ** -(step * (run["k"] if run["k"] > 0 else 10) / 5) + (100.0 if run["seed"] == 2 else 0.0)}
        for _, run in runs.iterrows() for step in range(8)
    )  # fmt: skip
    return runs, curves
