"""The commands as a user types them: exit status, messages, files."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
import torch
import yaml

from frog_cli.cli import main
from tests.processes import FROG, Process

QUICK = ["epochs=1", "model=logistic_regression", "gradient.k=2"]


def test_help_imports_nothing_heavy():
    shown = subprocess.run([sys.executable, "-m", "frog_cli", "--help"], capture_output=True, text=True, check=False)
    assert shown.returncode == 0
    assert "train" in shown.stdout
    for variable in ("FROG_DATA", "FROG_RUNS", "FROG_SWEEPS", "FROG_RESULTS"):
        assert f"  {variable} " in shown.stdout
    modules = subprocess.run(
        [sys.executable, "-c", "import sys, frog_cli.cli; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"torch", "hydra", "pydantic", "numpy", "mpi4py", "propulate"} & set(modules)


@pytest.mark.parametrize("verb", ["train", "quality"])
def test_help_of_a_verb_shows_its_options(verb, capsys):
    assert main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    for option in {"train": ["gradient", "learning_rate", "cone"], "quality": ["seeds", "angles"]}[verb]:
        assert option in shown


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("frog ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["trian"],
            "frog: trian: must be one of train, search, submit, data, info, reproduce, table, plot, bench, quality, "
            "ideas, check, evaluate, did you mean train?; see frog --help",
        ),
        (["train", "gradient=foo"], "frog: gradient=foo: must be one of"),
        (["train", "gradient.k=0"], "frog: gradient.k=0: must be a whole number"),
        (
            ["train", "data=mnist", "data.root=/nowhere", "learning_rate=1"],
            "frog: data.root=/nowhere: no MNIST/raw/",
        ),
        (["train", "data=image_folder", "data.root=/nowhere"], "frog: data.root=/nowhere: no folder /nowhere/train"),
        (["train", "-m", "gradient.k=1,0"], "frog: gradient.k=0: must be a whole number"),
        (["quality", "k=[0]"], "frog: k=[0]: must be a list of whole numbers"),
    ],
)
def test_wrong_requests_end_with_status_2_and_one_line(arguments, message, runs, capsys):
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(message)
    assert told.err.count("\n") == 1
    assert not list(runs.glob("*"))


def test_wrong_requests_are_refused_before_torch_is_imported():
    code = "import sys; from frog_cli.cli import main; print(main(sys.argv[1:]), 'torch' in sys.modules)"
    for request in (["gradient.k=0"], ["data=mnist", "data.root=/nowhere", "learning_rate=1"]):
        ended = subprocess.run(
            [sys.executable, "-c", code, "train", *request], capture_output=True, text=True, check=True
        )
        assert ended.stdout == "2 False\n"


def test_a_run_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch, capsys):
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("FROG_RUNS", str(blocked / "runs"))
    assert main(["train"]) == 2
    assert (
        capsys.readouterr().err
        == f"frog: FROG_RUNS={blocked}/runs: must be a folder that can be written: Not a directory\n"
    )


@pytest.mark.parametrize("refused", ["optimizer.name=Foo", "optimizer.options.foo=1", "data.validation=5000"])
def test_what_only_torch_can_tell_is_refused_alike(refused, capsys):
    assert main(["train", refused]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"frog: {refused.partition('=')[0].removesuffix('.foo')}")


def test_a_run_leaves_its_folder(runs, capsys):
    assert main(["train", *QUICK, "seed=3"]) == 0
    (folder,) = runs.iterdir()
    assert folder.name.startswith("logistic_regression-digits-projection-k2-seed3-")
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml", "run.json", "metrics.csv", "timings.csv", "summary.json", "curve.png",
        "weights.safetensors", "weights_last.safetensors", ".lock.guard",
    }  # fmt: skip
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["gradient"]["k"] == 2
    assert config["seed"] == 3
    about = json.loads((folder / "run.json").read_text())
    assert about["status"] == "done"
    assert {"versions", "commit", "device", "host", "started", "finished", "command"} <= about.keys()
    metrics = pd.read_csv(folder / "metrics.csv")
    assert metrics["epoch"].tolist() == [0, 1]
    assert {
        f"{split}_{what}" for split in ("training", "validation", "test") for what in ("loss", "accuracy_percent")
    } < {*metrics.columns}
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["outcome"] == "completed"
    shown = capsys.readouterr()
    assert str(folder) in shown.out
    assert "epoch 1/1" in shown.err


def test_equal_runs_leave_equal_bytes(runs):
    contents = []
    for _ in range(2):
        assert main(["train", *QUICK, "overwrite=true"]) == 0
        (folder,) = runs.iterdir()
        contents.append([(folder / name).read_bytes() for name in ("metrics.csv", "summary.json", "config.yaml")])
    assert contents[0] == contents[1]


def test_a_run_that_is_done_is_shown_and_not_repeated(runs, capsys):
    main(["train", *QUICK])
    (folder,) = runs.iterdir()
    before = (folder / "run.json").stat().st_mtime_ns
    capsys.readouterr()
    assert main(["train", *QUICK]) == 0
    assert (folder / "run.json").stat().st_mtime_ns == before
    assert "was done already; overwrite=true repeats it" in capsys.readouterr().out


def test_a_divergent_run_is_recorded_and_fails(runs, capsys):
    assert main(["train", "gradient=backprop", "learning_rate=1e30", "epochs=2", "optimizer.options.momentum=0.9"]) == 1
    (folder,) = runs.iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["outcome"] == "diverged"
    assert summary["diverged_at_step"] <= 40
    assert "diverged" in capsys.readouterr().out


def test_a_sweep_goes_on_after_a_failure_and_tells_it_at_the_end(runs, capsys):
    sweep = ["-m", "objective=sphere", "objective.n=4", "gradient=backprop", "learning_rate=1e6,0.1", "steps=300"]
    assert main(["train", *sweep]) == 1
    shown = capsys.readouterr()
    assert len(list(runs.iterdir())) == 2
    assert shown.out.count("best value") == 4  # each when it ends, and all together
    assert "1 of 2 runs did not succeed" in shown.err
    assert "learning_rate=1" in shown.err.splitlines()[-1]


def test_a_run_that_raises_is_recorded_and_does_not_end_the_sweep(runs, capsys, monkeypatch):
    from frog_cli.ideas import registry
    from frog_cli.models.mlp import mlp

    failing = registry.Idea("model", "mlp", lambda *_, **__: 1 / 0)
    monkeypatch.setitem(registry._registered, (mlp.__module__, "model", "mlp"), failing)
    assert main(["train", "-m", "epochs=1", "model=mlp,logistic_regression"]) == 1
    failed, done = sorted(runs.glob("*"), key=lambda folder: "logistic" in folder.name)
    assert json.loads((failed / "run.json").read_text())["error"] == "ZeroDivisionError: division by zero"
    assert json.loads((done / "run.json").read_text())["status"] == "done"
    out = capsys.readouterr().out
    assert "failed, ZeroDivisionError: division by zero" in out
    assert str(done / "curve.png") in out
    assert str(failed / "curve.png") not in out


def test_seeds_are_runs_of_their_own_whichever_run_beside_them(runs):
    common = ["train", "objective=rosenbrock", "steps=150", "gradient.k=4"]
    assert main([*common, "seeds=3"]) == 0
    folders = {folder.name: (folder / "metrics.csv").read_bytes() for folder in runs.iterdir()}
    assert len(folders) == 3
    assert main([*common, "seed=1", "overwrite=true"]) == 0
    assert folders == {folder.name: (folder / "metrics.csv").read_bytes() for folder in runs.iterdir()}


def test_seeds_of_a_network_are_runs_of_their_own(runs):
    assert main(["train", *QUICK, "seeds=[0,2]"]) == 0
    assert sorted(folder.name.split("-")[-2] for folder in runs.iterdir()) == ["seed0", "seed2"]


def test_cfg_prints_and_runs_nothing(runs, capsys):
    assert main(["train", "--cfg", "objective=rosenbrock"]) == 0
    settings = yaml.safe_load(capsys.readouterr().out)
    assert settings["objective"]["name"] == "rosenbrock"
    assert settings["learning_rate"] == 0.0018423636305031
    assert not runs.exists()


def test_cfg_tells_where_a_rate_is_from(capsys):
    assert main(["train", "--cfg", "objective=sphere", "learning_rate=published"]) == 0
    told = capsys.readouterr()
    assert told.err.startswith("frog: learning_rate=published: ")
    assert "learning_rates_functions.csv" in told.err
    assert yaml.safe_load(told.out)["learning_rate"] > 0


def test_cfg_of_a_sweep_prints_a_document_for_each_combination(capsys):
    assert main(["train", "--cfg", "-m", "gradient.k=1,2"]) == 0
    assert [settings["gradient"]["k"] for settings in yaml.safe_load_all(capsys.readouterr().out)] == [1, 2]


@pytest.mark.parametrize("refused", ["optimizer.name=SGD,Foo", "device=cpu,cuda:7"])
def test_a_sweep_with_a_wrong_request_runs_nothing(refused, runs, capsys):
    assert main(["train", "-m", *QUICK, refused]) == 2
    assert not list(runs.glob("*/run.json"))
    assert capsys.readouterr().err.startswith(f"frog: {refused.partition('=')[0]}=")


def test_a_sweep_leaves_later_runs_as_they_are_alone(runs):
    sweep = ["-m", "objective=sphere", "objective.n=4", "learning_rate=0.01,0.02", "steps=2"]
    before = torch.get_num_threads()
    assert main(["train", *sweep]) == 0
    assert torch.get_num_threads() == before


def test_a_summary_is_json_whatever_diverged(runs):
    assert main(["train", "objective=rosenbrock", "gradient=backprop", "learning_rate=1"]) == 1
    (summary,) = runs.glob("*/summary.json")
    assert json.loads(summary.read_text(), parse_constant=pytest.fail)["outcome"] == "diverged"


def test_settings_without_effect_do_not_change_the_identity():
    from frog_cli.runs import identity
    from frog_cli.settings.requests import train_request

    def name(*overrides: str) -> str:
        return identity.identity(train_request(overrides).runs[0])

    assert name() == name("device=cpu") == name("gradient.chunk_size=2") == name("evaluation_batch_size=9")
    assert name("gradient=backprop") == name("gradient=backprop", "tangents=rademacher")
    different = [
        [],
        ["seed=1"],
        ["gradient.k=3"],
        ["learning_rate=0.4"],
        ["model.depth=3"],
        ["gradient.measure=simulated"],
    ]
    assert len({name(*overrides) for overrides in different}) == len(different)
    assert name("data=mnist", "learning_rate=1", "data.root=/a") == name(
        "data=mnist", "learning_rate=1", "data.root=/b"
    )


@pytest.mark.parametrize(("norm", "told"), [("batch", 1), ("group", 0)])
def test_a_run_that_measures_forward_through_coupled_samples_says_so_in_one_line(norm, told, tmp_path):
    network = ["model=resnet18", "model.width=8", f"model.norm={norm}"]
    words = ["train", "data.limit=8", "batch_size=4", "epochs=1", *network, "gradient.k=1", "learning_rate=0.01"]
    err = tmp_path / "err"
    status = Process([*FROG, *words], os.environ | {"FROG_RUNS": str(tmp_path)}, err=err).wait()
    errors = err.read_text()
    assert status == 0, errors
    assert [line.startswith("frog: batch normalisation") for line in errors.splitlines()].count(True) == told
    assert "Warning" not in errors
