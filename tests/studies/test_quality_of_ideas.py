"""frog quality with ideas from outside."""

from __future__ import annotations

import csv

import pytest

from frog_cli.cli import main

IDEAS = """
from frog_cli import ideas
from frog_cli.gradients import TANGENTS


@ideas.tangents
def mean(shape, generator, dtype, *, angle: str = "any"):
    assert angle == "any"
    return 2 * TANGENTS["normal"](shape, generator, dtype)


@ideas.aggregation
def normal(tangents, slopes):
    return slopes / tangents.shape[-2]
"""
FEW = ["n=8", "k=[2]", "seeds=20"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_ideas.py"
    path.write_text(IDEAS)
    return path


def test_ideas_may_be_called_like_frogs_of_another_kind(file, runs):
    words = [f"ideas=[{file}]", "tangents=[normal,mean]", "gradients=[mean,normal]"]
    assert main(["quality", *words, *FEW]) == 0
    (table,) = runs.glob("quality-*/quality.csv")
    rows = {(row["tangents"], row["gradient"]): row for row in csv.DictReader(table.read_text().splitlines())}
    usual = rows["normal", "mean"]
    for names, longer in {("normal", "normal"): 1, ("mean", "mean"): 4, ("mean", "normal"): 4}.items():
        assert rows[names]["cosine_mean"] == usual["cosine_mean"]
        assert float(rows[names]["norm_ratio_mean"]) == pytest.approx(longer * float(usual["norm_ratio_mean"]))


@pytest.mark.parametrize("name", ["mean", "normal"])
def test_an_idea_is_named_for_what_it_is(name, file, runs, capsys):
    """A file's sampler is no aggregation, even if only its name is known."""
    group = {"mean": "gradients", "normal": "tangents"}[name]
    file.write_text(IDEAS.replace(name, "other"))
    assert main(["quality", f"ideas=[{file}]", f"{group}=[other]", *FEW]) == 2
    assert f"{group}=[other]: must be among" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("return 2", "return 1 / 0", "line 9: tangents mean raises: ZeroDivisionError"),
        (
            "(shape, generator, dtype)\n\n",
            "(shape[1:], generator, dtype)\n\n",
            "tangents mean must return a tensor of shape [2, 8]",
        ),
        ("slopes / tangents.shape[-2]", "slopes.mean()", "aggregation normal must return a tensor of shape [2, 3]"),
    ],
)
def test_ideas_that_return_something_else_are_refused(right, wrong, message, file, capsys):
    file.write_text(IDEAS.replace(right, wrong))
    assert main(["quality", f"ideas=[{file}]", "tangents=[mean]", "gradients=[normal]", *FEW]) == 2
    assert message in capsys.readouterr().err


def test_only_frogs_cones_have_angles(file, capsys):
    words = [f"ideas=[{file}]", "tangents=[mean]", "angles=[30]", *FEW]
    assert main(["quality", *words]) == 2
    assert "angles=[30]: only tangents=[cone] have an angle" in capsys.readouterr().err
