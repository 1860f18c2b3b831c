"""What a step of many ranks would cost, from what steps of one rank and exchanges of two cost here: docs/ranks.md.

python -m tests.benchmarks.ranks_model     prints the tables of the documentation from results/bench/bench.csv
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pandas
from pandas import DataFrame, Series

TABLE = Path("results/bench/bench.csv")
RANKS = (1, 4, 16, 64, 256, 1024)
FLOAT = 4  # bytes
PARTS = ("tangents", "derivatives", "aggregation", "local_gradients", "optimiser")


@dataclass(frozen=True)
class Exchanges:
    """What exchanges among ranks cost: seconds until the first byte, and seconds for each byte after it."""

    latency: float
    per_byte: float

    def gather(self, bytes_of_all: float, ranks: int) -> float:
        """Return the seconds in which each of some ranks gets what all have: a ring of neighbours, or a tree."""
        return math.ceil(math.log2(ranks)) * self.latency + (1 - 1 / ranks) * bytes_of_all * self.per_byte

    def reduce(self, size: float, ranks: int) -> float:
        """Return the seconds in which all ranks get the sum of what each has: a ring, each byte travels twice."""
        return math.ceil(math.log2(ranks)) * self.latency + 2 * (1 - 1 / ranks) * size * self.per_byte


@dataclass(frozen=True)
class Step:
    """What the parts of a step cost one rank, in seconds.

    Attributes:
        weights: the number of weights, which over weights is the dimension of the tangents.
        plain: a plain pass.
        along: a pass along one tangent, beside the plain one.
        draw: to draw one tangent.
        combine: to combine one tangent with the others.
        again: to draw one twice, block by block, and to combine it; not known where it was not measured.
        rest: local gradients and the optimiser.
        backprop: a whole step of backpropagation.
    """

    weights: int
    plain: float
    along: float
    draw: float
    combine: float
    again: float
    rest: float
    backprop: float

    def slopes(self, k: int, slopes: int, ranks: int, exchanges: Exchanges) -> float:
        """Return the seconds of a step whose ranks exchange slopes: each draws and combines all tangents."""
        everywhere = self.plain + self.rest + k * (self.draw + self.combine)
        return everywhere + k / ranks * self.along + exchanges.gather(FLOAT * slopes, ranks)

    def steps(self, k: int, ranks: int, exchanges: Exchanges) -> float:
        """Return the seconds with regenerated tangents and `exchange=steps`: nobody draws or combines all tangents."""
        shared = k / ranks * (self.along + self.again)
        return self.plain + self.rest + shared + exchanges.gather(FLOAT * (self.weights + k), ranks)

    def data_parallel(self, ranks: int, exchanges: Exchanges) -> float:
        """Return the seconds of backpropagation whose ranks share the samples."""
        return self.backprop / ranks + exchanges.reduce(FLOAT * self.weights, ranks)


def step_of(table: DataFrame, model: str, perturb: str) -> Step | None:
    """Return what the parts of a step cost that was measured with one rank, None if it was not."""
    of_model = table[(table["benchmark"] == "ranks") & (table["model"] == model)]
    alone = of_model[(of_model["ranks"] == 1) & (of_model["perturb"] == perturb) & (of_model["parallel"] == "tangents")]
    stored, regenerated = (alone[alone["tangents"] == name] for name in ("normal", "regenerated"))
    if stored.empty:
        return None
    row = stored.iloc[-1]
    references = of_model[of_model["ranks"].isna()].groupby("gradient")["milliseconds"].median() / 1e3
    plain, found = references["plain pass"], _parts(row)
    again = _parts(regenerated.iloc[-1]) if len(regenerated) else {"tangents": math.nan, "aggregation": math.nan}
    return Step(
        weights=int(row["parameters"]),
        plain=plain,
        along=(found["derivatives"] - plain) / row["k"],
        draw=found["tangents"] / row["k"],
        combine=found["aggregation"] / row["k"],
        again=(again["tangents"] + again["aggregation"]) / row["k"],
        rest=found["local_gradients"] + found["optimiser"],
        backprop=references["backprop"],
    )


def _parts(row: Series) -> dict[str, float]:
    """Return the seconds of the parts of a step, 0 of those that it does not have."""
    unit = row["milliseconds"] / row["plain_passes"] / 1e3
    columns = {name: f"{name}_plain_passes" for name in PARTS}
    return {name: 0.0 if math.isnan(row[column]) else unit * row[column] for name, column in columns.items()}


def measured_exchanges(table: DataFrame) -> Exchanges:
    """Return what exchanges between two ranks of one host cost."""
    of_exchanges = table[table["what"].astype(str).str.startswith("exchange of")].sort_values("exchanged_bytes")
    first, *_, last = of_exchanges.itertuples()
    # in a sum of two ranks half of the bytes travel twice
    return Exchanges(first.milliseconds / 1e3, last.milliseconds / 1e3 / last.exchanged_bytes)


def main() -> None:
    """Print the tables."""
    table = pandas.read_csv(TABLE)
    k, samples = 1024, 64
    for name, exchanges in (
        ("this machine's loopback", measured_exchanges(table)),
        ("a network of 25 GB/s and 5 microseconds (assumed)", Exchanges(5e-6, 1 / 25e9)),
    ):
        speed = f"{1e6 * exchanges.latency:.0f} us, {1e-9 / exchanges.per_byte:.2f} GB/s"
        print(f"\n{name}: {speed}, k = {k}, B = {samples}\n")
        print("| network | ranks | slopes, activities | slopes, weights | steps, weights | backprop, samples shared |")
        print("|---|---|---|---|---|---|")
        for model in ("mlp", "resnet18", "vit"):
            activities, weights = (step_of(table, model, perturb) for perturb in ("activities", "weights"))
            assert activities is not None
            for ranks in RANKS:
                times = [
                    activities.slopes(k, k * samples, ranks, exchanges),
                    weights.slopes(k, k, ranks, exchanges) if weights else math.nan,
                    weights.steps(k, ranks, exchanges) if weights else math.nan,
                    activities.data_parallel(min(ranks, samples), exchanges),
                ]
                told = ["not measured" if math.isnan(one) else f"{one:.3g} s" for one in times]
                print(f"| {model} | {ranks} | {' | '.join(told)} |")
            n = activities.weights
            bytes_ = [FLOAT * k * samples, FLOAT * k, FLOAT * (n + k), 2 * FLOAT * n]
            print(f"| {model} | bytes | {' | '.join(f'{one:,}' for one in bytes_)} |")


if __name__ == "__main__":
    main()
