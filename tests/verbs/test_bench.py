"""frog bench: what is measured, against what, and that it is told; never how long anything takes."""

from __future__ import annotations

import csv

import pytest
import torch

from frog_cli.cli import main
from frog_cli.objectives import network_steps
from frog_cli.studies.step_cost_rows import REFERENCES

TINY = ["model=mlp", "model.width=8", "batch_size=4", "bench.rounds=2", "device=cpu"]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("FROG_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def rows(runs) -> list[dict[str, str]]:
    (folder,) = runs.iterdir()
    with (folder / "bench.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_steps_are_measured_beside_the_references(runs, capsys):
    words = ["gradient=mean,projection", "gradient.k=1,3", "gradient.measure=forward,simulated"]
    assert main(["bench", "-m", *TINY, *words]) == 0
    found = rows(runs)
    assert [row["gradient"] for row in found[:3]] == list(REFERENCES)
    assert len(found) == 3 + 8
    assert {(row["gradient"], row["k"], row["measure"]) for row in found[3:]} == {
        (gradient, k, measure)
        for gradient in ("mean", "projection")
        for k in ("1", "3")
        for measure in ("forward", "simulated")
    }
    plain, reverse = found[0], found[1]
    assert not any(value for name, value in plain.items() if name.startswith("optimiser"))  # it has no such part
    assert float(plain["plain_passes"]) == float(plain["inference_peaks"]) == 1
    assert float(reverse["backprop_steps"]) == float(reverse["backprop_peaks"]) == 1
    for row in found:
        assert float(row["milliseconds_low"]) <= float(row["milliseconds"]) <= float(row["milliseconds_high"])
        assert float(row["peak_bytes"]) > 4 * int(row["parameters"])
    for part in ("tangents", "derivatives", "aggregation", "local_gradients", "optimiser"):
        assert all(float(row[f"{part}_plain_passes"]) > 0 for row in found[3:])
    printed = capsys.readouterr().out
    assert "projection, simulated, activities" in printed
    (folder,) = runs.iterdir()
    assert (folder / "cost.png").stat().st_size > 10_000
    assert not (folder / "memory.png").exists()


def test_networks_of_several_depths_are_drawn_against_their_depth(runs):
    words = ["model.depth=1,3", "gradient=mean", "gradient.k=2", "gradient.perturb=weights"]
    assert main(["bench", "-m", *TINY, *words, "tangents=normal,regenerated"]) == 0
    assert [row["depth"] for row in rows(runs)] == ["1"] * 5 + ["3"] * 5
    (folder,) = runs.iterdir()
    assert (folder / "memory.png").stat().st_size > 10_000


@pytest.mark.parametrize("words", [["gradient=fomoh"], ["gradient=fomoh_kd", "gradient.k=2"], ["gradient=backprop"]])
def test_every_gradient_can_be_measured_without_memory(words, runs):
    assert main(["bench", *TINY, "learning_rate=1", "bench.memory=false", *words]) == 0
    assert "peak_bytes" not in rows(runs)[0]


def test_steps_leave_the_weights_where_they_are(runs, monkeypatch):
    """Or a rate that is too large would let them grow until all numbers are infinite, and slow."""
    seen = []
    take_step = network_steps.take_step

    def spy(gradient, parameters, *arguments):
        seen.append([parameter.clone() for parameter in parameters])
        return take_step(gradient, parameters, *arguments)

    monkeypatch.setattr(network_steps, "take_step", spy)
    assert main(["bench", *TINY, "gradient=sum", "learning_rate=1e30", "bench.rounds=3"]) == 0
    assert len(seen) > 6
    for first, last in zip(seen[0], seen[-1], strict=True):
        torch.testing.assert_close(last, first, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bench.rounds=0"], "bench.rounds=0: must be a whole number, at least 1"),
        (["bench.image=[3,32]"], "bench.image=[3,32]: must be [channels,height,width]"),
        (["bench.images=3"], "bench.images=3: unknown option, did you mean bench.image?"),
        (["objective=rosenbrock"], "frog bench: measures networks"),
        (["data=image_folder", "data.root=/x"], "data=image_folder: needs bench.image=[channels,height,width]"),
        (["gradient.k=1,2"], "several values need -m"),
        (["tangents=regenerated"], "tangents=regenerated: needs a network and a forward gradient"),
        (["gradient=fomoh", "compile=true"], "compile=true: is for gradients of first order"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_made(words, message, runs, capsys):
    assert main(["bench", *words]) == 2
    assert message in capsys.readouterr().err
    assert not runs.exists()
