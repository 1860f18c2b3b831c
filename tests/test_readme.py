"""What the README shows works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

from frog_cli.config import quality_request, train_request

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SHELL = "".join(re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL))
COMMANDS = re.findall(r"^frog (.*?)(?:  +#.*)?$", SHELL, flags=re.MULTILINE)


def test_the_library_example_lowers_the_loss():
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    torch.manual_seed(0)
    names: dict = {}
    exec(code, names)
    assert names["estimate"].loss < 1.05  # it starts near log 3


def test_there_are_commands():
    assert len(COMMANDS) == 12


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_right_requests(command):
    verb, *overrides = shlex.split(command)
    if verb == "table":
        assert overrides[0] == "runs"
    elif verb == "quality":
        assert quality_request(overrides).n == 64
    else:
        from frog_cli.config import sweep

        for combination in sweep([override for override in overrides if override != "-m"]):
            assert train_request(combination).runs
