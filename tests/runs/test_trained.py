"""The weights that a finished run keeps: what they are, that they are whole, and that nothing hostile is believed."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

import frog_cli
from frog_cli.cli import main
from frog_cli.data.dataset import load as load_data
from frog_cli.errors import RequestError
from frog_cli.objectives.classification import Classification
from frog_cli.runs.trained import load
from frog_cli.runs.weights import read
from frog_cli.settings.requests import train_request
from tests.objectives.courses import remaining_rows
from tests.processes import Process
from tests.runs.interrupting import interrupt

SMALL = ["data.limit=150", "learning_rate=0.5", "early_stopping.patience=null", "epochs=6"]
MLP = [*SMALL, "model.width=16"]
MEAN = [*(word for word in MLP if "rate" not in word), "gradient=mean", "gradient.k=4", "learning_rate=0.2"]


def trained(runs: Path, *words: str) -> Path:
    small = SMALL if any(word.startswith("model=") for word in words) else MLP
    given = [word for word in small if not any(word.partition("=")[0] == one.partition("=")[0] for one in words)]
    assert main(["train", *given, *words]) == 0
    (folder,) = runs.glob("*-seed0-*")
    return folder


def error_of(network, split) -> float:
    return 100 - 100 * (network(split.images).argmax(1) == split.labels).double().mean().item()


def test_a_loaded_network_does_what_the_run_measured(runs):
    folder = trained(runs)
    metrics = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    rows = [dict(zip(metrics[0], row, strict=True)) for row in metrics[1:]]
    best = min(rows, key=lambda row: float(row["validation_loss"]))
    data = load_data(train_request(MLP).runs[0].data, torch.device("cpu"))
    for which, row in (("best", best), ("last", rows[-1])):
        found = load(folder, which)
        assert found.epoch == int(row["epoch"])
        assert not found.network.training
        for name, split in (("test", data.test), ("validation", data.validation)):
            expected = 100 - float(row[f"{name}_accuracy_percent"])
            assert error_of(found.network, split) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (3, 8, 8), (2, 1, 8, 9)])
def test_images_of_another_shape_are_refused(runs, shape):
    network = load(trained(runs, "epochs=1"))
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    with pytest.raises(ValueError, match=r"needs images \[B, 1, 8, 8\], not"):
        network(torch.zeros(shape))


def test_another_process_has_the_same_network_and_takes_images_as_they_are(runs, tmp_path):
    folder = trained(runs)
    images = torch.randint(0, 17, (5, 1, 8, 8), dtype=torch.uint8)
    torch.save(images, tmp_path / "images.pt")
    program = (
        "import sys, torch, frog_cli\n"
        "images = torch.load(sys.argv[2])\n"
        "print(frog_cli.load(sys.argv[1])(images).double().tolist())\n"
    )
    words = ["-c", program, str(folder), str(tmp_path / "images.pt")]
    assert Process(words, os.environ, out=tmp_path / "out").wait() == 0
    told = (tmp_path / "out").read_text()
    found = frog_cli.load(folder)
    expected = found.network(
        (images.float() - found.normalisation.mean.float()) / found.normalisation.deviation.float()
    )
    torch.testing.assert_close(torch.tensor(json.loads(told)), expected.detach())


def test_evaluate_tells_what_the_run_did(runs, capsys):
    folder = trained(runs)
    summary = json.loads((folder / "summary.json").read_text())
    capsys.readouterr()
    for which, error in (("last", "last_test_error_percent"), ("best", "test_error_percent_at_best_validation_loss")):
        assert main(["evaluate", str(folder), f"which={which}", "device=cpu"]) == 0
        told = capsys.readouterr().out.splitlines()
        assert told[0].endswith("on digits:")
        assert told[-1].split()[:2] == ["test", "150"]
        assert float(told[-1].split()[3]) == pytest.approx(summary[error], abs=0.006)


def test_evaluate_measures_on_other_data_by_the_runs_own_normalisation(runs, capsys):
    folder = trained(runs)
    capsys.readouterr()
    assert main(["evaluate", str(folder), "data=digits", "data.validation=5"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert main(["evaluate", str(folder), "data.limit=20"]) == 2
    assert "data.limit=20: needs data=NAME in front" in capsys.readouterr().err
    assert [line.split()[1] for line in told[2:]] == ["1492", "5", "300"]
    found = load(folder)
    data = load_data(train_request(["data.validation=5"]).runs[0].data, torch.device("cpu"), found.normalisation)
    assert data.normalisation == found.normalisation
    assert float(told[-1].split()[3]) == pytest.approx(error_of(found.network, data.test), abs=0.006)


def test_a_run_that_is_resumed_keeps_its_best_weights(runs, monkeypatch):
    whole = trained(runs, *MEAN)
    expected = {name: (whole / name).read_bytes() for name in ("weights.safetensors", "weights_last.safetensors")}
    assert load(whole).epoch < 3  # before the interruption
    interrupt([*MEAN, "overwrite=true"], 25, monkeypatch)
    assert main(["train", *MEAN]) == 0
    assert {name: (whole / name).read_bytes() for name in expected} == expected


def test_weights_are_kept_unless_they_are_not_wanted_and_make_no_other_run(runs, capsys):
    folder = trained(runs, "keep_weights=false")
    assert not list(folder.glob("*.safetensors"))
    assert main(["train", *MLP]) == 0
    assert "(was done already, without keeping its weights; overwrite=true repeats it)" in capsys.readouterr().out
    assert main(["train", *MLP, "keep_weights=false"]) == 0
    assert "(was done already; overwrite=true repeats it)" in capsys.readouterr().out
    with pytest.raises(RequestError, match=r"weights.safetensors: is not there; runs keep .* keep_weights=true"):
        load(folder)


def test_batch_normalisation_keeps_its_statistics(runs):
    folder = trained(runs, "model=resnet18", "model.width=4", "epochs=1", "gradient=backprop", "learning_rate=0.1")
    network = load(folder, "last").network
    norm = next(module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d))
    assert int(norm.num_batches_tracked) == 5
    assert norm.running_mean.any()


@pytest.mark.parametrize("damage", ["cut off", "pickled", "other names", "other shapes", "no words", "text"])
def test_a_damaged_or_hostile_file_is_refused_in_one_line(runs, damage, tmp_path, capsys):
    folder = trained(runs)
    path, flag = folder / "weights.safetensors", tmp_path / "executed"
    tensors, about = load_file(path), read(path)[1]
    if damage == "cut off":
        path.write_bytes(path.read_bytes()[:-10])
    elif damage == "pickled":

        class Hostile:
            def __reduce__(self):
                return Path.touch, (flag,)

        path.write_bytes(pickle.dumps(Hostile()))
    elif damage == "other names":
        save_file({f"x{name}": tensor for name, tensor in tensors.items()}, path, {"frog": json.dumps(about)})
    elif damage == "other shapes":
        save_file({name: tensor[:1].clone() for name, tensor in tensors.items()}, path, {"frog": json.dumps(about)})
    elif damage == "no words":
        save_file(tensors, path)
    else:
        path.write_text("not weights at all")
    capsys.readouterr()
    assert main(["evaluate", str(folder)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith(f"frog: {path}: ")
    assert not flag.exists()


def test_a_network_of_an_idea_from_outside_is_loaded_while_its_file_is_the_same(runs, tmp_path):
    ideas = tmp_path / "my_ideas.py"
    ideas.write_text(
        "from torch import nn\nfrom frog_cli import ideas\n\n\n@ideas.model\n"
        'def wide(image, classes, *, width: int = 6):\n    """A wide one."""\n'
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, classes))\n"
    )
    assert main(["train", f"ideas=[{ideas}]", "model=wide", "model.width=9", *SMALL]) == 0
    (folder,) = runs.glob("wide-*")
    program = "import sys, frog_cli; print(frog_cli.load(sys.argv[1]).network[1].out_features)"
    words, out, err = ["-c", program, str(folder)], tmp_path / "out", tmp_path / "err"
    assert Process(words, os.environ, out=out).wait() == 0
    assert out.read_text() == "9\n"
    ideas.write_text(ideas.read_text() + "# changed\n")
    Process(words, os.environ, err=err).wait()
    assert "has changed since model wide was chosen" in err.read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "frog evaluate: needs the folder of a run first"),
        (["which=best"], "frog evaluate: needs the folder of a run first"),
        (["nowhere"], "nowhere: is no folder"),
        ([".", "which=first"], "which=first: must be best or last, once"),
        ([".", "model=mlp"], "model=mlp: must be which=, device= or an option of the data"),
        ([".", "device=tpu"], "device=tpu: must be"),
        ([".", "device=cuda:99"], "device=cuda:99: is not on this machine"),
        ([".", "data=foo"], "data=foo: must be one of"),
        (["."], ".: is no folder of a run: it has no config.yaml"),
    ],
)
def test_wrong_requests_are_refused(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", *words]) == 2
    assert capsys.readouterr().err.startswith(f"frog: {message}")


def test_a_function_and_other_images_are_refused(runs, tmp_path, capsys):
    folder = trained(runs)
    (tmp_path / "function").mkdir()
    settings = train_request(["objective=sphere", "learning_rate=1"]).runs[0].model_dump()
    (tmp_path / "function" / "config.yaml").write_text(yaml.safe_dump(settings))
    assert main(["evaluate", str(tmp_path / "function")]) == 2
    assert "is no run of a network" in capsys.readouterr().err
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["keep_weights"] is True
    file = tmp_path / "others.py"
    text = "import torch\nfrom frog_cli import ideas\n"
    for name, shape in (("flat", "6, 4"), ("small", "6, 1, 4, 4")):
        split = f"torch.randn({shape}), torch.arange(6) % 2"
        text += f'\n\n@ideas.data\ndef {name}():\n    """Others."""\n    split = {split}\n'
        text += "    return split, split, split, 2\n"
    file.write_text(text)
    refusals = {
        "flat": "data=flat: has 4 channels, not 1",
        "small": "data=small: has images [1, 4, 4] of 2 classes; the network is for [1, 8, 8] and 10",
    }
    for name, refusal in refusals.items():
        assert main(["evaluate", str(folder), f"ideas=[{file}]", f"data={name}"]) == 2
        assert capsys.readouterr().err == f"frog: {refusal}\n"


KEEPING = """
import torch
from torch import nn
from frog_cli import ideas

class Warming(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("passes", torch.zeros(()), persistent=False)

    def forward(self, x):
        if self.training:
            self.passes += 1
        return x * (1 + 0.1 * self.passes)

@ideas.model
def warming(image, classes, *, width: int = 8):
    "A network that counts its passes in a buffer that state_dict leaves out."
    return nn.Sequential(nn.Flatten(), Warming(), nn.Linear(image[0] * image[1] * image[2], classes))

class Extra(nn.Linear):
    def get_extra_state(self):
        return {"calls": 3}

    def set_extra_state(self, state):
        pass

@ideas.model
def extra(image, classes, *, width: int = 8):
    "A network with a state of its own."
    return nn.Sequential(nn.Flatten(), Extra(image[0] * image[1] * image[2], classes))
"""


def test_buffers_that_state_dict_leaves_out_are_kept_and_gone_on_with(runs, tmp_path, monkeypatch, capsys):
    (tmp_path / "my_ideas.py").write_text(KEEPING)
    words = [f"ideas=[{tmp_path / 'my_ideas.py'}]", "model=warming", "gradient=backprop", "learning_rate=0.01",
             "data.limit=150", "epochs=5", "early_stopping.patience=null"]  # fmt: skip
    assert main(["train", *words]) == 0
    (folder,) = runs.glob("warming*-seed0-*")
    metrics = (folder / "metrics.csv").read_text()
    expected = {name: (folder / name).read_bytes() for name in ("weights.safetensors", "weights_last.safetensors")}
    found = load(folder, "last")
    assert float(found.network[1].passes) == 25  # five batches in each of five epochs
    interrupt([*words, "overwrite=true"], 7, monkeypatch)
    assert main(["train", *words]) == 0
    assert (folder / "metrics.csv").read_text() == metrics
    assert {name: (folder / name).read_bytes() for name in expected} == expected
    assert main(["train", words[0], "model=extra", *words[2:]]) == 2
    told = capsys.readouterr().err
    assert "model=extra: keeps a state that is no tensor (1._extra_state, of get_extra_state), which frog does" in told


def test_weights_of_an_earlier_epoch_do_not_stand_for_the_best(runs):
    """As when they were kept at first, then not, when the lowest loss came, and then again."""
    run = train_request([*MLP, "epochs=3"]).runs[0]
    objective = Classification(run, load_data(run.data, torch.device("cpu")), torch.device("cpu"))
    objective.measure()
    remaining_rows(objective)
    assert objective.weights()[0].keys() == {"best", "last"}
    objective._best["epoch"] -= 1
    assert objective.weights()[0].keys() == {"last"}


def test_a_folder_with_other_classes_is_refused(runs, tmp_path, capsys):
    for name, classes in (("all", "abc"), ("two", "bc"), ("first", "ab")):
        for split, split_name in ((6, "train"), (3, "test")):
            for one in classes:
                folder = tmp_path / name / split_name / one
                folder.mkdir(parents=True)
                for number in range(split):
                    pixels = np.full((6, 6, 3), 80 * "abc".index(one) + number, dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / f"{number}.png")
    words = ["data=image_folder", f"data.root={tmp_path / 'all'}", "gradient=backprop", "learning_rate=0.1", "epochs=1"]
    assert main(["train", *words]) == 0
    (folder,) = runs.glob("mlp*-seed0-*")
    capsys.readouterr()
    of_data = ["data=image_folder", "data.root=ROOT"]
    for name, status in (("all", 0), ("first", 0), ("two", 2)):
        assert (
            main(["evaluate", str(folder), *(word.replace("ROOT", str(tmp_path / name)) for word in of_data)]) == status
        )
    assert "two: has the classes b, c; those of the network are a, b, c" in capsys.readouterr().err


def test_a_folder_that_is_gone_when_the_run_ends_loses_no_weights(tmp_path):
    for split in ("train", "test"):
        for one in "ab":
            (tmp_path / "images" / split / one).mkdir(parents=True)
            for number in range(6):
                Image.new("RGB", (6, 6), (40 * number, 0, 0)).save(tmp_path / "images" / split / one / f"{number}.png")
    words = ["data=image_folder", f"data.root={tmp_path / 'images'}", "learning_rate=0.1", "epochs=1", "model.width=4"]
    run = train_request(words).runs[0]
    objective = Classification(run, load_data(run.data, torch.device("cpu")), torch.device("cpu"))
    shutil.rmtree(tmp_path / "images")
    objective.measure()
    remaining_rows(objective)
    assert objective.weights()[0]["last"].about["class_names"] == '["a", "b"]'
