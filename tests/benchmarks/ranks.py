"""Steps by one rank and by two, one thread each, with the bytes that they exchange; and what an exchange costs here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from frog_cli.files.csv import Row, read_csv
from frog_cli.ranks import launchers
from frog_cli.ranks.start import started

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
NETWORKS = {
    "model=mlp model.width=1024 data=mnist batch_size=64": (1, 2),
    "model=resnet18 model.norm=group data=cifar10 batch_size=64": (1, 2),
    "model=vit data=cifar10 batch_size=64": (1,),  # which the model of many ranks needs alone
}
METHODS = [
    "gradient=projection gradient.perturb=activities parallel=tangents,batch",
    "gradient=mean gradient.perturb=weights parallel=tangents,batch",
    "gradient=mean gradient.perturb=weights tangents=regenerated parallel=tangents exchange=steps",
]
SIZES = {"k slopes of 64 samples": 16 * 64, "weights of MLP-1024": 1_863_690, "weights of ResNet18": 11_181_642}


def steps(words: str, ranks: int) -> list[Row]:
    """Return what `frog bench` measures of steps by some ranks."""
    with tempfile.TemporaryDirectory() as runs:
        launcher = [sys.executable] if ranks == 1 else TORCHRUN
        command = [*launcher, "-m", "frog_cli", "bench", "-m", *words.split()]
        environment = {**os.environ, "FROG_RUNS": runs, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        (table,) = Path(runs).glob("bench-*/bench.csv")
        return list(read_csv(table))


def exchanges() -> list[Row]:
    """Return the milliseconds of exchanges between two ranks of this host, through its loopback interface."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*TORCHRUN, "-m", __name__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [
        {"what": f"exchange of {what}", "ranks": 2, "milliseconds": milliseconds, "exchanged_bytes": 4 * SIZES[what]}
        for what, milliseconds in json.loads(done.stdout).items()
    ]


def rows() -> list[Row]:
    """Return steps of each network by one rank and two, without references that two ranks take at the same time."""
    found = exchanges()
    for options, numbers in NETWORKS.items():
        for method in METHODS:
            words = f"{options} {method} gradient.k=16 gradient.chunk_size=8 bench.rounds=3 bench.memory=false"
            for ranks in numbers:
                measured = steps(words, ranks)
                references = ("plain pass", "backprop") if ranks == 1 else ()
                found += [row for row in measured if row["ranks"] or row["gradient"] in references]
    return found


def main() -> None:
    """Measure exchanges, as one of two ranks."""
    here = launchers.place()
    assert here is not None
    torch.set_num_threads(1)
    found = {}
    with started(here) as ranks:
        for what, size in SIZES.items():
            numbers = torch.randn(size)
            small = size < 10**5
            count = 300 if small else 10
            for number in range(2 * count):
                if number == count:  # after as many to warm up
                    begun = time.perf_counter()
                if small:
                    ranks.gathered(numbers[: size // 2], [size // 2, size // 2])
                else:
                    ranks.reduced([numbers])
            found[what] = 1e3 * (time.perf_counter() - begun) / count
        if ranks.rank == 0:
            print(json.dumps(found))


if __name__ == "__main__":
    main()
