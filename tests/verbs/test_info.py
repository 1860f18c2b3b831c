from __future__ import annotations

import pytest

from frog_cli.cli import main


def test_counts_activities_and_parameters(capsys):
    assert main(["info", "model.width=16", "model.depth=1"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["1", "16", "1040", "Flatten,", "Linear,", "ReLU"] in lines
    assert ["2", "10", "170", "Linear"] in lines
    assert ["all", "26", "1210"] in lines


@pytest.mark.parametrize(("model", "n"), [("mlp", "522"), ("resnet18", "9866"), ("vit", "64010")])
def test_counts_the_papers_dimensions_on_mnist(model, n, mnist_root, capsys):
    assert main(["info", f"model={model}", "data=mnist", f"data.root={mnist_root}"]) == 0
    assert f"  all {n:>11}" in capsys.readouterr().out


def test_functions_have_no_network(capsys):
    assert main(["info", "objective=sphere", "objective.n=4"]) == 2
    assert "only objective=classification" in capsys.readouterr().err


def test_a_network_without_layers_has_parameters_only(tmp_path, capsys):
    file = tmp_path / "my_ideas.py"
    file.write_text("""
import torch
from frog_cli import ideas

class Whole(torch.nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.linear = torch.nn.Linear(64, classes)

@ideas.model
def whole(image, classes):
    return Whole(classes)
""")
    assert main(["info", f"ideas=[{file}]", "model=whole"]) == 0
    shown = capsys.readouterr().out
    assert ["1", "none", "650", "Linear"] in [line.split() for line in shown.splitlines()]
    assert "only gradient.perturb=weights" in shown
