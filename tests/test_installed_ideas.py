"""Ideas from a file and from another wheel, with frog installed from its own and called outside the checkout."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import time
from pathlib import Path

import pytest

from tests import installation
from tests.installation import Installation
from tests.search.test_execution import MPIEXEC, needs_mpiexec

pytestmark = pytest.mark.slow

IDEAS = '''
import math

import torch
from torch import nn

from frog_cli import ideas


@ideas.tangents
def laplace(shape, generator, dtype, *, scale: float = 1.0):
    """Sample entries of the Laplace distribution, rows of V."""
    exponential = -(1 - torch.rand((2, *shape), generator=generator, device=generator.device, dtype=dtype)).log()
    return scale * (exponential[0] - exponential[1])


@ideas.aggregation
def clipped_mean(tangents, slopes, *, largest: float = 10.0):
    """Average clipped slopes, coefficients c."""
    return slopes.clamp(-largest, largest) / tangents.shape[-2]


@ideas.function(start=-1.0)
def ackley(x):
    """Many local minima around the global one at 0."""
    root = (x.square().mean(-1) + 1e-12).sqrt()
    return -20 * (-0.2 * root).exp() - (2 * math.pi * x).cos().mean(-1).exp() + 20 + math.e


@ideas.model
def lenet(image, classes, *, width: int = 6):
    """A convolution and a linear layer, each a layer whose outputs are activities."""
    channels, height, breadth = image
    first = nn.Sequential(nn.Conv2d(channels, width, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten())
    return nn.Sequential(first, nn.Sequential(nn.Linear(width * (height // 2) * (breadth // 2), classes)))


@ideas.data
def moons(*, noise: float = 0.1):
    """Points of two half circles that reach into each other."""
    generator = torch.Generator().manual_seed(0)

    def split(count):
        labels = torch.arange(count) % 2
        angles = math.pi * torch.rand(count, generator=generator)
        upper = torch.stack([angles.cos(), angles.sin()], 1)
        points = torch.where(labels[:, None] == 0, upper, torch.tensor([1.0, 0.5]) - upper)
        return points + noise * torch.randn(count, 2, generator=generator), labels

    return split(400), split(100), split(200), 2
'''

FILE = "ideas=[my_ideas.py]"
OWN = ["tangents=laplace", "tangents.scale=0.7", "gradient=clipped_mean", "gradient.largest=5", "gradient.k=4"]
RUNS = {
    "moons": [*OWN, "data=moons", "data.noise=0.2", "model.width=16", "learning_rate=0.1"],
    "lenet": [*OWN, "model=lenet", "model.width=3", "data=digits", "learning_rate=0.2"],
    "ackley": [*OWN, "objective=ackley", "objective.n=8", "learning_rate=0.02"],
}
SHORT = {"moons": ["epochs=3"], "lenet": ["epochs=5", "data.limit=300"], "ackley": ["steps=200"]}
LONG = {
    "moons": ["epochs=12"],
    "lenet": ["epochs=8", "data.limit=300"],
    "ackley": ["steps=8000", "early_stopping.patience=null", "seeds=2"],
}


@pytest.fixture
def user(installed) -> Installation:
    """Return an installation that is called from a folder with the file of ideas."""
    (installed.folder / "my_ideas.py").write_text(IDEAS)
    return installed


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def one(paths) -> Path:
    (path,) = paths
    return path


def test_runs_train_and_are_rows_when_the_file_is_gone(user, runs):
    for name in RUNS:
        assert "completed" in user.frog("train", FILE, *RUNS[name], *SHORT[name]).stdout
    assert "was done already" in user.frog("train", FILE, *RUNS["moons"], *SHORT["moons"]).stdout
    sha256 = hashlib.sha256(IDEAS.encode()).hexdigest()[:10]
    (user.folder / "my_ideas.py").unlink()
    rows = list(csv.DictReader(io.StringIO(user.frog("table", "runs").stdout)))
    by_name = {name: next(row for row in rows if row["run"].startswith(start)) for name, start in
               {"moons": "mlp16-moons", "lenet": "lenet-digits", "ackley": "ackley-n8"}.items()}  # fmt: skip
    assert len(rows) == len(by_name)
    for row in rows:
        assert (row["tangents"], row["tangents.scale"], row["tangents.sha256"]) == ("laplace", "0.7", sha256)
        assert (row["gradient"], row["gradient.largest"], row["gradient.sha256"]) == ("clipped_mean", "5.0", sha256)
    moons, lenet, ackley = (by_name[name] for name in RUNS)
    assert (moons["data"], moons["data.noise"], moons["data.sha256"]) == ("moons", "0.2", sha256)
    assert float(moons["best_test_error_percent"]) < 25  # of 50 by chance
    assert (lenet["model"], lenet["model.width"], lenet["model.sha256"]) == ("lenet", "3", sha256)
    assert float(lenet["best_test_error_percent"]) < 60  # of 90 by chance
    assert (ackley["function"], ackley["objective.sha256"]) == ("ackley", sha256)
    assert float(ackley["best_value"]) == pytest.approx(3.57445, abs=1e-4)  # the minimum beside the start


def test_a_sweep_over_a_sampler_of_frog_and_an_own_one(user, runs):
    run = ["gradient=mean", "gradient.k=4", "objective=sphere", "objective.n=8", "steps=50", "learning_rate=0.01"]
    told = user.frog("train", "-m", FILE, "tangents=normal,laplace", *run).stdout
    assert told.count("completed") == 4  # each as it ends, and all together
    normal, laplace = (one(runs.glob(f"sphere-{name}seed0-*/metrics.csv")) for name in
                       ("n8-mean-k4-", "n8-mean-k4-laplace-"))  # fmt: skip
    assert normal.read_bytes() != laplace.read_bytes()
    assert "was done already" in user.frog("train", "tangents=normal", *run).stdout  # whatever ideas are beside it


def test_two_ranks_search(user, runs):
    needs_mpiexec()
    words = [FILE, *RUNS["ackley"][:-1], "steps=300"]
    user.run([MPIEXEC, "-n", "2", *user.command("search", *words, "search.evaluations=12")])
    evaluations = [json.loads(path.read_text()) for path in runs.glob("search-*/[0-9][0-9][0-9][0-9][0-9].json")]
    assert len(evaluations) == 12
    assert {evaluation["rank"] for evaluation in evaluations} == {0, 1}
    (found,) = table(one((user.folder / "sweeps" / "searched").glob("learning_rates_*.csv")))
    assert float(found["search_loss"]) == min(evaluation["loss"] for evaluation in evaluations)
    assert found["tangents.sha256"] == found["objective.sha256"] == hashlib.sha256(IDEAS.encode()).hexdigest()[:10]
    user.frog("train", *words, "learning_rate=searched", "searched.evaluations=12")
    summary = json.loads(one(runs.glob("ackley-*/summary.json")).read_text())
    assert summary["best_value"] == float(found["search_loss"])


@pytest.mark.parametrize("name", RUNS)
def test_a_killed_run_goes_on_bitwise(name, user, runs, tmp_path):
    words = ["train", FILE, *RUNS[name], *LONG[name], "checkpoint.rows=1"]
    user.run(user.command(*words), changes={"FROG_RUNS": str(tmp_path / "whole")})
    process = subprocess.Popen(
        user.command(*words), cwd=user.folder, env=user.variables(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not list(runs.glob("*/checkpoint-*.pt")):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not list(runs.glob("*/summary.json"))
    assert "going on after step" in user.frog(*words).stderr
    whole = sorted((tmp_path / "whole").glob("*/metrics.csv"))
    assert len(whole) == (2 if name == "ackley" else 1)
    for path in whole:
        for file in (path, path.with_name("summary.json")):
            assert file.read_bytes() == (runs / file.parent.name / file.name).read_bytes()


def test_steps_are_measured(user, runs):
    steps = ["model=lenet", "model.width=3", "data=digits", "batch_size=8", "gradient.k=2", "bench.rounds=2"]
    user.frog("bench", "-m", FILE, *steps, "tangents=normal,laplace", "gradient=mean,clipped_mean")
    rows = table(one(runs.glob("bench-*/bench.csv")))
    assert {row["model"] for row in rows} == {"lenet"}
    assert {(row["tangents"], row["gradient"]) for row in rows if row["k"]} == {
        ("normal", "mean"), ("normal", "clipped_mean"), ("laplace", "mean"), ("laplace", "clipped_mean"),
    }  # fmt: skip
    assert all(float(row["milliseconds"]) > 0 for row in rows)


def test_approximation_quality(user, runs):
    choices = ["tangents=[normal,laplace]", "gradients=[mean,clipped_mean]", "k=[2]", "n=8", "seeds=20"]
    user.frog("quality", FILE, *choices)
    cosine = {(row["tangents"], row["gradient"]): float(row["cosine_mean"])
              for row in table(one(runs.glob("quality-*/quality.csv")))}  # fmt: skip
    assert len(cosine) == 4
    assert cosine["normal", "clipped_mean"] == cosine["normal", "mean"]  # slopes of 10 are six deviations off
    assert cosine["laplace", "mean"] != cosine["normal", "mean"]
    assert all(0.2 < value < 0.7 for value in cosine.values())  # 0.45 or so for normal ones: the root of k / (n + k)


def test_networks_data_and_ideas_are_shown(user):
    network = user.frog("info", FILE, "model=lenet", "model.width=3", "data=digits").stdout
    assert "Conv2d, Tanh, AvgPool2d, Flatten" in network
    assert [line.split() for line in network.splitlines() if line.startswith("  all")] == [["all", "58", "568"]]
    data = user.frog("info", FILE, "data=moons", "model.width=16").stdout
    assert "moons: images 2, 2 classes, 400 training, 100 validation, 200 test" in data
    listed = [line.split()[:3] for line in user.frog("ideas", "my_ideas.py").stdout.splitlines()]
    for kind, name in {"tangents": "laplace", "aggregation": "clipped_mean", "function": "ackley", "model": "lenet",
                       "data": "moons"}.items():  # fmt: skip
        assert [kind, name, "my_ideas.py"] in listed
    assert "  data.noise=0.1" in user.frog("train", FILE, "data=moons", "--help").stdout.splitlines()


def test_all_five_keep_their_contracts(user):
    told = user.frog("check", "my_ideas.py").stdout
    assert told.endswith("5 of 5 ideas keep the contract of their kind\n")
    assert "FAILED" not in told


PROJECT = {
    "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "tangents-of-a-test"
version = "1"

[project.entry-points."frog.ideas"]
of-a-test = "tangents_of_a_test.samplers"

[tool.hatch.build.targets.wheel]
packages = ["tangents_of_a_test"]
""",
    "tangents_of_a_test/__init__.py": """
import sys

print("the package is imported", file=sys.stderr)
""",
    "tangents_of_a_test/samplers.py": '''
import sys

import torch
from frog_cli import ideas

print("the sampler is imported", file=sys.stderr)


@ideas.tangents
def triangular(shape, generator, dtype, *, width: float = 2.0):
    """Independent entries of the triangular distribution."""
    uniform = torch.rand((2, *shape), generator=generator, device=generator.device, dtype=dtype)
    return width * (uniform[0] - uniform[1])
''',
}


@pytest.fixture(scope="module")
def environment_with_a_package(wheel_of_frog, tmp_path_factory) -> Path:
    """Make an environment that has frog and a package that announces a sampler."""
    project = tmp_path_factory.mktemp("project")
    for name, text in PROJECT.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text)
    other = installation.wheel(project, tmp_path_factory.mktemp("wheel"))
    return installation.environment(tmp_path_factory.mktemp("environment"), wheel_of_frog, other)


@pytest.fixture
def with_a_package(environment_with_a_package, tmp_path) -> Installation:
    (tmp_path / "elsewhere").mkdir()
    return Installation(environment_with_a_package, tmp_path / "elsewhere")


SPHERE = ["gradient=mean", "gradient.k=4", "objective=sphere", "objective.n=8", "steps=50", "learning_rate=0.01"]


def test_a_package_announces_a_sampler(with_a_package, runs):
    listed = with_a_package.frog("ideas")
    (line,) = (line for line in listed.stdout.splitlines() if "triangular" in line.split())
    assert line.split(maxsplit=3) == ["tangents", "triangular", "of-a-test",
                                      "Independent entries of the triangular distribution."]  # fmt: skip
    told = with_a_package.frog("train", "-m", "tangents=normal,triangular", *SPHERE)
    assert "imported" not in listed.stderr
    assert told.stderr.count("the sampler is imported") == 1
    metrics = [path.read_bytes() for path in runs.glob("sphere-*/metrics.csv")]
    assert len({*metrics}) == 2
    quality = ["tangents=[normal,triangular]", "gradients=[mean]", "k=[2]", "n=8", "seeds=5"]
    assert "2 estimators" in with_a_package.frog("quality", *quality).stdout
    rows = list(csv.DictReader(io.StringIO(with_a_package.frog("table", "runs").stdout)))
    assert {row["tangents"]: row["tangents.width"] for row in rows} == {"normal": "", "triangular": "2.0"}


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["train", "--help"], 0),
        (["train", "tangents=normal", *SPHERE], 0),
        (["train", "tangents=triangulr", *SPHERE], 2),
        (["train", "tangents=triangular", "tangents.width=wide", *SPHERE], 2),
        (["train", "tangents=triangular", "--help"], 0),
        (["ideas"], 0),
    ],
)
def test_nothing_of_a_package_is_imported_before_its_sampler_runs(words, status, with_a_package):
    done = with_a_package.frog(*words, status=status)
    assert "is imported" not in done.stderr
    assert status == 0 or done.stderr.count("\n") == 1
