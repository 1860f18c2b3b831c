from __future__ import annotations

import re

import pytest

from frog_cli.cli import main
from frog_cli.ideas import sources

IDEAS = """
import torch
from frog_cli import ideas

@ideas.tangents
def gauss(shape, generator, dtype, *, scale: float = 1.0):
    return scale * torch.randn(shape, generator=generator, device=generator.device, dtype=dtype)

@ideas.tangents
def careless(shape, generator, dtype):
    return torch.randn(shape, dtype=dtype)
"""


def test_each_idea_of_a_file_is_judged_and_a_failed_check_is_told(tmp_path, capsys):
    file = tmp_path / "my_ideas.py"
    file.write_text(IDEAS)
    assert main(["check", str(file)]) == 1
    out = capsys.readouterr().out
    assert "tangents gauss: no check failed" in out
    assert f"{file}, line 10" in out
    careless = out[out.index("tangents careless") :]
    assert re.search(r"FAILED +draws from the given generator only", careless)
    assert out.endswith("1 of 2 ideas keep the contract of their kind\n")


def test_without_files_frogs_own_ideas_are_judged(monkeypatch, capsys):
    source, _ = sources.own_declarations()["step_rule", "gauss_newton"]
    monkeypatch.setattr(sources, "own", lambda: [source])  # tests/judging/test_own_ideas.py judges all
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert "step rule gauss_newton: no check failed" in out
    assert "FAILED" not in out


@pytest.mark.parametrize("text", ["def gauss(shape, generator, dtype): ...", "", "from frog_cli import ideas"])
def test_a_file_without_ideas_is_told_what_they_are(text, tmp_path, capsys):
    file = tmp_path / "my_ideas.py"
    file.write_text(text)
    assert main(["check", str(file)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"frog: {file}: has no idea: those are functions at its top level with a decorator")
    assert "@ideas.tangents" in told
