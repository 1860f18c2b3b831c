"""What the README, and the pages that it leads to, show works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

from frog_cli.cli import main
from frog_cli.reproduction import targets
from frog_cli.settings.composing import sweep
from frog_cli.settings.requests import bench_request, quality_request, search_request, train_request

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PAGES = [
    README,
    *(
        (Path(__file__).parents[1] / "docs" / f"{name}.md").read_text(encoding="utf-8")
        for name in ("first_steps", "mathematics", "search", "reproducing", "clusters", "costs", "library")
    ),
]
SHELL = "".join(re.findall(r"```sh\n(.*?)```", "".join(PAGES), flags=re.DOTALL))
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = re.findall(r"^(?:mpiexec -n 4 |torchrun .*--no-python )?frog (.*?)(?:  +#.*)?$", SHELL, flags=re.MULTILINE)


def test_the_library_example_lowers_the_loss():
    code = next(block for block in PYTHON if "my_ideas" not in block)
    torch.manual_seed(0)
    names: dict = {}
    exec(code, names)
    assert names["estimate"].loss < 1.05  # it starts near log 3


def test_there_are_commands():
    assert len(COMMANDS) == 43
    assert len(README.splitlines()) <= 150


@pytest.fixture
def my_ideas(tmp_path, monkeypatch):
    """Write the ideas that the README shows to the file that it names."""
    (code,) = (block for block in PYTHON if "my_ideas" in block)
    (tmp_path / "my_ideas.py").write_text(code)
    monkeypatch.chdir(tmp_path)


def test_the_ideas_of_the_readme_train_and_are_judged(my_ideas, capsys):
    for command in (command for command in COMMANDS if "my_ideas" in command and "search" not in command):
        few = ["epochs=1", "data.limit=64"] if command.startswith("train") else []
        assert main([*shlex.split(command), *few]) == 0
    assert "2 of 2 ideas keep the contract of their kind" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_right_requests(command, mnist_root, capsys, request):
    verb, *words = shlex.split(command)
    if "my_ideas" in command:
        request.getfixturevalue("my_ideas")
    if verb == "check":
        assert words == ["my_ideas.py"]
        return
    if verb == "table":
        assert words[0] == "runs"
    elif verb == "evaluate":
        assert words[0].startswith("runs/")
    elif verb == "quality" and any(word.startswith("data=") for word in words):
        assert all(train_request(combination).runs for combination in sweep(words))
    elif verb == "quality":
        assert quality_request(words).settings.n == 64
    elif verb == "search":
        assert search_request(words).request.runs
    elif verb == "bench":
        assert len(bench_request(words).runs) > 1
    elif verb == "reproduce":
        named = [word for word in words if word != "--list" and "=" not in word]
        assert bool(targets.chosen(named)) is bool(named)
    elif verb == "submit":
        assert main(["submit", "--dry-run", *words]) == 0
    elif verb == "data":
        assert words == ["mnist", "cifar10"]
    else:
        for combination in sweep([word for word in words if word != "-m"]):
            known = [word.replace("learning_rate=searched", "learning_rate=1") for word in combination]
            assert train_request(known).runs
