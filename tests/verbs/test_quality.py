"""frog quality: what it writes and tells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from frog_cli.cli import main


def test_command(runs, capsys):
    assert main(["quality", "n=8", "k=[1,8,9]", "seeds=20", "gradients=[mean,projection]", "tangents=[normal]"]) == 0
    (folder,) = runs.iterdir()
    table = pd.read_csv(folder / "quality.csv")
    assert table[["gradient", "k"]].values.tolist() == [[g, k] for g in ("mean", "projection") for k in (1, 8, 9)]
    projected = table[table["gradient"] == "projection"].set_index("k")
    assert projected.loc[[8, 9], "cosine_mean"].tolist() == pytest.approx([1, 1])
    assert (table["seeds"] == 20).all()
    assert (folder / "quality.png").read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr()
    assert str(folder / "quality.png") in shown.out
    assert "normal projection, k=9: cosine similarity 1.0000" in shown.err


def test_command_on_the_cone_and_again_gives_equal_bytes(runs):
    command = ["quality", "n=8", "k=[4]", "seeds=[3,1]", "tangents=[cone]", "angles=[30,90]"]
    contents = []
    for _ in range(2):
        assert main(command) == 0
        (folder,) = runs.iterdir()
        contents.append((folder / "quality.csv").read_bytes())
    assert contents[0] == contents[1]
    assert pd.read_csv(folder / "quality.csv")["angle"].tolist() == [30] * 3 + [90] * 3


NETWORK = ["quality", "data=digits", "data.limit=64", "model.width=8", "epochs=2"]


def test_a_network_is_compared_by_layer_while_it_trains(runs, capsys):
    assert main([*NETWORK, "learning_rate=0.1", "tangents=normal,local", "seeds=2", "quality.batches=1"]) == 0
    (folder,) = [path for path in runs.iterdir() if path.name.startswith("quality-mlp-")]
    table = pd.read_csv(folder / "quality.csv", dtype={"layer": str})
    assert len(table) == 2 * 2 * 3 * 4  # methods, seeds, epochs, layers and all of them
    assert set(table["layer"]) == {"all", "1", "2", "3"}
    assert list(dict.fromkeys(table["method"])) == ["tangents=normal", "tangents=local"]
    last = table[(table["method"] == "tangents=local") & (table["layer"] == "3")]
    assert np.allclose(last["cosine"], 1, atol=1e-4)
    for name, seed in (("normal", 1), ("local", 0)):
        (run,) = set(table[(table["method"] == f"tangents={name}") & (table["seed"] == seed)]["run"])
        metrics = pd.read_csv(runs / run / "metrics.csv")
        ours = table[(table["run"] == run) & (table["layer"] == "2")]
        assert ours["cosine"].tolist() == metrics["cosine_layer_2"].tolist()
        assert ours["epoch"].tolist() == metrics["epoch"].tolist() == [0, 1, 2]
    assert (folder / "quality.png").read_bytes().startswith(b"\x89PNG")
    before = (folder / "quality.csv").read_bytes()
    capsys.readouterr()
    assert (
        main([*NETWORK, "learning_rate=0.1", "tangents=normal,local", "seeds=2", "quality.batches=1"]) == 0
    )  # done already
    assert (folder / "quality.csv").read_bytes() == before
    assert "epoch" not in capsys.readouterr().err


def test_a_single_network_is_called_by_its_method(runs):
    assert main([*NETWORK, "learning_rate=0.1", "gradient=backprop"]) == 0
    (folder,) = [path for path in runs.iterdir() if path.name.startswith("quality-mlp-")]
    assert set(pd.read_csv(folder / "quality.csv")["method"]) == {"backprop"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["quality.batches=null"], "quality.batches=null: must be a number of batches"),
        (["n=8"], "n=8: unknown option"),
        (["tangents=[normal]"], "tangents=[normal]: must be one of"),
        (["objective=sphere"], "data=digits: cannot be chosen with objective=sphere"),
    ],
)
def test_refusals_of_networks(words, message, capsys, runs):
    assert main([*NETWORK, *words]) == 2
    assert message in capsys.readouterr().err
    assert not runs.exists()


def test_a_network_that_diverges_is_told_and_drawn(runs, capsys):
    assert main([*NETWORK, "gradient=backprop", "learning_rate=1e9"]) == 1
    shown = capsys.readouterr()
    assert ": diverged" in shown.err
    (folder,) = [path for path in runs.iterdir() if path.name.startswith("quality-mlp-")]
    table = pd.read_csv(folder / "quality.csv")
    assert table[table["epoch"] > 0]["cosine"].isna().all()
