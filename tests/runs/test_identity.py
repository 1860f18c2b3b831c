from __future__ import annotations

import pickle
import re
import subprocess
import sys

import pytest

from frog_cli.runs.identity import identity, identity_settings
from frog_cli.settings.requests import train_request

IDEAS = """
from frog_cli import ideas
from frog_cli.ideas.types import Root

@ideas.tangents
def turned(shape, generator, dtype, *, angle: {angle}): ...

@ideas.model
def net(image, classes, *, width: {width}, norm: str = "batch"): ...

@ideas.data
def own(*, variant: {variant}, root: {root}, folder: Root = "data"): ...

@ideas.function(start=0.0)
def level(x): ...
"""
USUAL = {"angle": "float = 45.0", "width": "int = 3", "variant": "str = 'mine'", "root": "str | None = None"}
NETWORK = ["tangents=turned", "model=net", "data=own", "learning_rate=1"]


def of(tmp_path, *words: str, **options: str):
    """Return a run with ideas whose options are as given."""
    path = tmp_path / "my_ideas.py"
    path.write_text(IDEAS.format_map(USUAL | options))
    return train_request([f"ideas=[{path}]", *words]).runs[0]


@pytest.mark.parametrize(
    ("options", "begin"),
    [
        ({}, "net-mine-projection-k16-turned-seed0-"),  # as before data sets could be ideas
        ({"width": "list[int] = [1, 2]"}, "net-mine-projection-"),
        ({"width": "str = '../../up'"}, "net-mine-projection-"),
        ({"variant": "str = '../up and away'"}, "net-.._up_and_away-projection-"),
        ({"variant": "str | None = None"}, "net-own-projection-"),
        ({"variant": "int = 3"}, "net-own-projection-"),
        ({"variant": f"str = '{'x' * 300}'"}, "net-xxxxx"),
        ({"angle": "str = 'wide'"}, "net-mine-projection-k16-turned-"),
        ({"angle": "list[float] = [1.0]"}, "net-mine-projection-k16-turned-"),
    ],
)
def test_whatever_options_ideas_have_a_run_has_one_folder(options, begin, tmp_path):
    name = identity(of(tmp_path, *NETWORK, **options))
    assert name.startswith(begin)
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", name)


def test_options_of_ideas_tell_runs_apart_also_where_the_folder_does_not_show_them(tmp_path):
    words = [[], ["tangents.angle=30"], ["model.width=4"], ["model.norm=layer"], ["data.variant=a/b"], ["data.root=x"]]
    assert len({identity(of(tmp_path, *NETWORK, *more)) for more in words}) == len(words)


def test_an_angle_of_ones_own_is_any_option(tmp_path):
    run = of(tmp_path, "tangents=turned", "objective=level", "objective.n=1", "learning_rate=1", "gradient.k=1")
    assert run.tangents.options == {"angle": 45.0}


def test_another_process_knows_a_run_as_the_same(tmp_path):
    run = of(tmp_path, *NETWORK)
    (tmp_path / "run.pickle").write_bytes(pickle.dumps(run))
    code = """
import pickle, sys
from pathlib import Path
from frog_cli.runs.identity import identity
run = pickle.loads(Path(sys.argv[1]).read_bytes())
print(identity(run), run.data.declaration.name, end="")
"""
    command = [sys.executable, "-c", code, str(tmp_path / "run.pickle")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{identity(run)} own"


def test_folders_are_options_of_the_type_root_whatever_their_names(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("FROG_DATA", "/elsewhere")
    run = of(tmp_path, *NETWORK)
    assert run.data.options == {"variant": "mine", "root": None, "folder": "/elsewhere"}
    given = of(tmp_path, *NETWORK, "data.folder=~/images", "data.root=~/images")
    assert given.data.options == {"variant": "mine", "root": "~/images", "folder": "/home/me/images"}
    assert identity_settings(run)["data"]["folder"] == "/elsewhere"  # which may hold other images
    assert identity(given) != identity(run)


def test_the_width_of_resnet18_is_named_and_counts_only_where_it_is_not_the_published_one():
    base = ["model=resnet18", "learning_rate=0.1"]
    usual, published, narrow = (
        identity(train_request([*base, *words]).runs[0]) for words in ([], ["model.width=64"], ["model.width=16"])
    )
    assert usual == published
    assert usual.startswith("resnet18-digits-")
    assert narrow.startswith("resnet18-w16-digits-")
    assert narrow[-10:] != usual[-10:]
