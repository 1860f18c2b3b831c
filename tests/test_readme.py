"""What the README shows works."""

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
SHELL = "".join(re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL))
COMMANDS = re.findall(r"^(?:mpiexec -n 4 )?frog (.*?)(?:  +#.*)?$", SHELL, flags=re.MULTILINE)


def test_the_library_example_lowers_the_loss():
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    torch.manual_seed(0)
    names: dict = {}
    exec(code, names)
    assert names["estimate"].loss < 1.05  # it starts near log 3


def test_there_are_commands():
    assert len(COMMANDS) == 27


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_right_requests(command, mnist_root, capsys):
    verb, *words = shlex.split(command)
    if verb == "table":
        assert words[0] == "runs"
    elif verb == "quality":
        assert quality_request(words).n == 64
    elif verb == "search":
        assert search_request(words).request.runs
    elif verb == "bench":
        assert len(bench_request(words).runs) > 1
    elif verb == "reproduce":
        assert targets.chosen([word for word in words if word != "--list" and "=" not in word]) is not None
    elif verb == "submit":
        assert main(["submit", "--dry-run", *words]) == 0
    elif verb == "data":
        assert words == ["mnist", "cifar10"]
    else:
        for combination in sweep([word for word in words if word != "-m"]):
            known = [word.replace("learning_rate=searched", "learning_rate=1") for word in combination]
            assert train_request(known).runs
