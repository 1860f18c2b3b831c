"""Event files for TensorBoard, read back by TensorBoard itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from frog_cli.cli import main
from frog_cli.files.csv import read_csv
from frog_cli.runs import events
from tests.runs.interrupting import interrupt

MLP = ["model.width=16", "data.limit=100", "learning_rate=0.3", "epochs=4", "early_stopping.patience=null"]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def of_metrics(folder: Path) -> dict[str, list[tuple[int, float]]]:
    rows = read_csv(folder / "metrics.csv")
    tags = {name: name for name in rows[0] if name not in ("epoch", "step")}
    for split in ("training", "validation", "test"):
        tags |= {
            f"{split}_{what}": f"{what}/{split}" for what in ("loss", "accuracy_percent") if f"{split}_{what}" in tags
        }
    return {
        tag: [(int(row["step"]), pytest.approx(float(row[name]), rel=1e-6)) for row in rows]
        for name, tag in tags.items()
    }


@pytest.mark.parametrize("words", [MLP, ["objective=sphere", "learning_rate=0.05", "steps=30", "record_every=10"]])
def test_events_have_the_numbers_of_the_metrics(words, runs):
    assert main(["train", *words, "tensorboard=true"]) == 0
    (folder,) = runs.iterdir()
    assert scalars(folder) == of_metrics(folder)
    assert main(["train", *words, "tensorboard=true", "overwrite=true"]) == 0
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1


def test_a_run_that_goes_on_has_each_step_once(runs, monkeypatch):
    interrupt([*MLP, "tensorboard=true"], 11, monkeypatch)
    assert main(["train", *MLP, "tensorboard=true"]) == 0
    (folder,) = runs.iterdir()
    assert len(list(folder.glob("events.out.tfevents.*"))) == 2
    assert scalars(folder) == of_metrics(folder)


def test_there_are_none_unless_they_are_wanted_and_they_make_no_other_run(runs, capsys):
    assert main(["train", *MLP]) == 0
    (folder,) = runs.iterdir()
    assert not list(folder.glob("events*"))
    assert main(["train", *MLP, "tensorboard=true"]) == 0
    assert "was done already" in capsys.readouterr().out


def test_without_tensorboard_it_is_told_how_to_get_it(runs, monkeypatch, capsys):
    monkeypatch.setattr(events, "find_spec", lambda name: None)
    assert main(["train", *MLP, "tensorboard=true"]) == 2
    expected = "frog: tensorboard=true: needs tensorboard: pip install 'frog-cli[tensorboard]'\n"
    assert capsys.readouterr().err == expected
    assert not list(runs.iterdir())
