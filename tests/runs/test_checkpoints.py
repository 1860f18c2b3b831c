from __future__ import annotations

import hashlib
import pickle
import random

import pytest
import torch

from frog_cli.runs import checkpoints


@pytest.fixture
def folder(tmp_path):
    """Return a folder with two checkpoints, and an older one that is gone."""
    for number in (10, 20, 30):
        checkpoints.save(tmp_path, number, {"number": number, "weights": torch.arange(200.0) + number})
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["checkpoint-000000020.pt", "checkpoint-000000030.pt"]
    return tmp_path


def newest(folder):
    return folder / "checkpoint-000000030.pt"


def number(folder):
    state = checkpoints.latest(folder)
    return None if state is None else state["number"]


def test_the_newest_is_taken(folder, capsys):
    assert number(folder) == 30
    assert torch.equal(checkpoints.latest(folder)["weights"], torch.arange(200.0) + 30)
    assert capsys.readouterr().err == ""


def test_no_truncated_one_is_taken(folder, capsys):
    whole = newest(folder).read_bytes()
    for percent in range(100):
        newest(folder).write_bytes(whole[: len(whole) * percent // 100])
        assert number(folder) == 20
        assert f"{newest(folder)} is damaged; it is not used" in capsys.readouterr().err


def test_no_flipped_bit_is_taken(folder, capsys):
    whole = newest(folder).read_bytes()
    chance = random.Random(0)
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        newest(folder).write_bytes(damaged)
        assert number(folder) == 20
        assert "is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("gone", ["checkpoint-000000030.pt", "checkpoint-000000030.sha256"])
def test_half_a_checkpoint_is_not_taken(folder, gone):
    (folder / gone).unlink()
    assert number(folder) == 20


def test_none_is_left_when_both_are_damaged(folder):
    for path in folder.glob("*.pt"):
        path.write_bytes(b"")
    assert number(folder) is None


def test_nothing_of_a_hostile_file_is_executed(folder, tmp_path, capsys):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    checkpoints.save(folder, 40, {"number": 40})
    path = folder / "checkpoint-000000040.pt"
    for content in (pickle.dumps(Hostile()), None):
        if content is None:
            torch.save({"hostile": Hostile()}, path)
        else:
            path.write_bytes(content)
        path.with_suffix(".sha256").write_text(hashlib.sha256(path.read_bytes()).hexdigest())
        assert number(folder) == 30
        assert "is not a checkpoint of frog" in capsys.readouterr().err
        assert not (tmp_path / "executed").exists()


def test_a_link_is_not_followed(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(newest(folder).read_bytes())
    newest(folder).unlink()
    newest(folder).symlink_to(elsewhere)
    assert number(folder) == 20


def test_a_failed_write_leaves_what_was_there(folder, monkeypatch):
    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_room)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(folder, 40, {"number": 40})
    assert number(folder) == 30
    assert not list(folder.glob(".*"))
