"""frog quality: what it writes and tells."""

from __future__ import annotations

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
