"""Measure everything and write results/bench/bench.csv with its pictures.

python -m tests.benchmarks [NAME ...]   replaces the rows of the benchmarks that are named
python -m tests.benchmarks pictures     draws what has been measured

Those on MNIST and the search need FROG_DATA.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas

from frog_cli.engine.memory import keep_freed_memory
from frog_cli.files.atomic import write_atomically
from frog_cli.files.csv import Row, as_csv, read_csv
from frog_cli.runs.environment import environment
from frog_cli.settings.requests import bench_request
from frog_cli.studies.step_cost_pictures import draw_cost, draw_memory, draw_parts
from frog_cli.studies.step_cost_table import as_text
from frog_cli.studies.step_costs import measure
from tests.benchmarks import epochs, functions, ranks, search

PLACE = Path("results/bench")

_MLP256 = "model=mlp model.width=256 data=mnist batch_size=64"

NETWORKS = {
    "mlp1024": "model=mlp model.width=1024 data=mnist batch_size=64 gradient=mean,projection gradient.k=1,2,4,8,16,32 "
    "gradient.measure=forward,simulated",
    "mlp256": f"{_MLP256} gradient=mean,projection gradient.k=1,4,16 gradient.measure=forward,simulated",
    "mlp256_lengths": f"{_MLP256} learning_rate=curvature step.every=1,4 "
    "gradient=mean gradient.k=1,16 gradient.measure=simulated",
    "mlp256_local": f"{_MLP256} gradient=projection tangents=local "
    "tangents.depth=0,1 tangents.random=0,4 gradient.measure=forward,greedy",
    "mlp256_local_lengths": f"{_MLP256} learning_rate=curvature "
    "gradient=projection tangents=local gradient.measure=forward",
    "mlp256_aggregations": f"{_MLP256} gradient=sum,mean,projection,max,top_mean gradient.k=16",
    "mlp256_tangents": f"{_MLP256} gradient=mean gradient.k=16 tangents=normal,"
    "rademacher,normalised,standard_basis,cone,normalised_cone,sphere,antithetic,orthogonal,hadamard,gated,layerwise",
    "mlp256_greedy": f"{_MLP256} gradient=mean gradient.k=16 tangents=layerwise gradient.measure=greedy",
    "mlp256_weights": f"{_MLP256} gradient=mean,projection gradient.k=8,16 "
    "gradient.perturb=weights gradient.measure=forward,difference",
    "mlp256_regenerated": f"{_MLP256} gradient=mean gradient.k=16 gradient.perturb=weights tangents=regenerated",
    "mlp256_step_rules": f"{_MLP256} learning_rate=1 "
    "gradient=gauss_newton,fomoh_kd,fomoh_diagonal,fomoh_cg gradient.k=4,16",
    "mlp256_line_steps": f"{_MLP256} learning_rate=1 gradient=fomoh,fomoh_bp",
    "resnet18": "model=resnet18 data=cifar10 batch_size=64 gradient=projection gradient.k=1,2,4,8,16 "
    "gradient.measure=forward,simulated",
    "resnet18_local": "model=resnet18 model.norm=group data=cifar10 batch_size=32 gradient=projection tangents=local "
    "tangents.depth=0,1,2,3,4,5 gradient.measure=forward bench.rounds=5",
    "resnet18_greedy": "model=resnet18 model.norm=group data=cifar10 batch_size=32 gradient=projection tangents=local "
    "gradient.measure=greedy bench.rounds=5",
    "resnet18_random": "model=resnet18 model.norm=group data=cifar10 batch_size=32 gradient=projection gradient.k=6,16 "
    "gradient.measure=forward bench.rounds=5",
    "vit": "model=vit data=cifar10 batch_size=64 gradient=projection gradient.k=1,2,4,8,16 "
    "gradient.measure=forward,simulated",
    "cnn": "model=cnn data=mnist batch_size=512 gradient.perturb=weights gradient=mean,projection "
    "gradient.k=1,2,4,8,16 "
    "gradient.measure=forward,simulated",
    "cnn_second_order": "model=cnn data=mnist batch_size=512 learning_rate=1 gradient=fomoh_kd gradient.k=1,2,3",
    "depth": "model=mlp model.width=256 model.depth=2,8,32,128 data=mnist batch_size=512 gradient=mean gradient.k=1 "
    "gradient.perturb=activities,weights",
    "depth_regenerated": "model=mlp model.width=256 model.depth=2,8,32,128 data=mnist batch_size=512 gradient=mean "
    "gradient.k=1 gradient.perturb=weights tangents=regenerated",
    "regenerated": "model=mlp model.width=1024 data=mnist batch_size=64 gradient=projection gradient.k=4,16,64 "
    "gradient.perturb=weights gradient.chunk_size=4 tangents=normal,regenerated",
}
OTHERS = {"functions": functions.rows, "epochs": epochs.rows, "search": search.rows, "ranks": ranks.rows}


def measured(name: str) -> list[Row]:
    """Return the rows of one benchmark."""
    if name in OTHERS:
        about = environment()
        on = {"threads": about["threads"], "torch": about["versions"]["torch"], "commit": about["commit"]}
        return [{"processor": about["processor"], **on, **row} for row in OTHERS[name]()]
    return measure(bench_request(["-m", *NETWORKS[name].split()]))


def main() -> None:
    """Measure, keep the rows of other benchmarks, and draw."""
    names = [*NETWORKS, *OTHERS]
    wanted = sys.argv[1:] or names
    PLACE.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()  # as every run does
    for name in [name for name in wanted if name != "pictures"]:
        rows = [{"benchmark": name, **row} for row in measured(name)]
        print(name, as_text(rows) if name in NETWORKS else as_csv(rows), sep="\n")
        kept = [row for row in read_csv(PLACE / "bench.csv") if row["benchmark"] != name]
        together = sorted([*kept, *rows], key=lambda row: names.index(row["benchmark"]))
        write_atomically(PLACE / "bench.csv", as_csv(together))
    table = pandas.read_csv(PLACE / "bench.csv")
    of_cost = table[table["benchmark"].isin(["mlp1024", "resnet18", "vit", "cnn"])]
    of_memory = table[table["benchmark"].isin(["depth", "depth_regenerated"])]
    figures = {
        "cost": draw_cost(of_cost),
        "parts": draw_parts(of_cost),
        "memory": draw_memory(of_memory),
    }
    for name, figure in figures.items():
        figure.savefig(PLACE / f"{name}.png", dpi=100)


if __name__ == "__main__":
    main()
