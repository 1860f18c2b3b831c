"""What the pages in docs/ show works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
from torch.nn.functional import mse_loss

from frog_cli.cli import main
from frog_cli.ideas import sources
from frog_cli.jets.jet import RULES

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Write the files that the page about ideas shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FROG_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("FROG_SWEEPS", str(tmp_path / "sweeps"))
    (tmp_path / "my_ideas.py").write_text("\n\n".join(blocks("ideas.md", "python")))
    (tmp_path / "my_target.yaml").write_text(blocks("ideas.md", "yaml")[0])
    return tmp_path


def test_the_ideas_of_the_page_keep_their_contracts(folder, capsys):
    assert main(["check", "my_ideas.py"]) == 0
    assert "7 of 7 ideas keep the contract of their kind" in capsys.readouterr().out
    kinds = {one.kind for _, one in sources.declarations(sources.named(["my_ideas.py"])) if one.path.parent == folder}
    assert kinds == {"tangents", "aggregation", "step_rule", "function", "model", "data"}


@pytest.mark.first
def test_the_commands_of_the_page_run(folder, runs, capsys):
    commands = [line.partition("  #")[0] for line in "".join(blocks("ideas.md", "sh")).splitlines()]
    assert len(commands) == 6
    for command in commands:
        verb, *words = shlex.split(command)[1:]
        few = {"train": ["epochs=1"], "search": ["search.evaluations=4", "search.population=2", "steps=20"]}
        assert main([verb, *words, *([] if "--help" in words else few.get(verb, []))]) == 0, command
    out = capsys.readouterr().out
    assert "channels of the first convolution (a whole number, at least 1)" in out
    assert "my_target: done" in out


def test_the_commands_of_the_page_about_local_tangents_run(runs, capsys):
    commands = "".join(blocks("local_tangents.md", "sh")).splitlines()
    assert len(commands) == 2
    for command in commands:
        verb, *words = shlex.split(command)[1:]
        given = {word.partition("=")[0] for word in words}
        few = [word for word in ("epochs=1", "data.limit=100") if word.partition("=")[0] not in given]
        assert main([verb, *words, *few]) == 0, command
    assert "quality.png" in capsys.readouterr().out


def test_the_pages_link_to_what_is_there():
    for page in DOCS.glob("*.md"):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_page_of_all_methods_has_every_one():
    page = (DOCS / "methods.md").read_text(encoding="utf-8")
    for kind, name in sources.own_declarations():
        if kind in ("tangents", "aggregation", "step_rule"):
            assert f"`{name}`" in page, name


def test_the_programs_of_the_page_about_the_library_run():
    first, second, third, fourth = blocks("library.md", "python")
    torch.manual_seed(0)
    names: dict = {}
    exec(first, names)
    torch.manual_seed(0)
    untrained = names["Compared"]()(names["x"], names["y"], scale=0.5)
    assert names["estimate"].loss < 0.85 * mse_loss(untrained, names["targets"])
    torch.manual_seed(0)
    exec(second, names)
    assert names["estimate"].loss < 0.9
    assert not names["estimate"].failed
    exec(third, names)
    torch.testing.assert_close(names["H"], torch.diag(-names["x"].sin()))
    torch.testing.assert_close(names["Hv"], -names["x"].sin())
    torch.testing.assert_close(names["g"], names["x"].cos())
    assert names["curved"].shape == (4, 4)
    before = set(RULES)
    exec(fourth, names)  # compares by itself
    (own,) = set(RULES) - before
    del RULES[own]
