"""Pictures of searches, from the tables that they leave alone."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from frog_cli.cli import main
from frog_cli.files.csv import as_csv
from frog_cli.search import pictures as search_pictures

NAME = "sphere-8-mean-4-normal"


@pytest.fixture
def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the tables of one search, whose diverged runs have the highest rates."""
    monkeypatch.setenv("FROG_SWEEPS", str(tmp_path / "sweeps"))
    place = tmp_path / "sweeps" / "searched"
    place.mkdir(parents=True)
    ended = [(0.001, 4.0, "given up"), (0.01, 3.0, "stopped_early"), (0.1, 2.0, "completed"), (0.2, 2.5, "step_failed")]
    rows = [
        {"number": i, "learning_rate": rate, "loss": loss, "outcome": how} for i, (rate, loss, how) in enumerate(ended)
    ]
    rows += [{"number": 9, "learning_rate": 0.9, "loss": None, "outcome": "diverged"}]
    (place / f"evaluations_{NAME}.csv").write_text(as_csv(rows))
    found = {"function": "sphere", "n": 8, "gradient": "mean", "k": 4, "tangents": "normal", "learning_rate": 0.1}
    (place / f"learning_rates_{NAME}.csv").write_text(as_csv([{**found, "search_request": "objective=sphere"}]))
    return place


def test_all_evaluations_are_inside_the_frame(searched):
    (axes,) = search_pictures.figure(searched, NAME).axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    shown = {points.get_label(): points.get_offsets() for points in axes.collections}
    assert {label: len(points) for label, points in shown.items()} == {
        "ran to its end (3)": 3, "given up (1)": 1, "diverged (1)": 1
    }  # fmt: skip
    for label, points in shown.items():
        assert all(left < rate < right for rate, _ in points)
        if "diverged" in label:
            (height,) = points[:, 1]
            assert height < 1  # a share of the frame
            assert 4.0 < bottom + height * (top - bottom)  # and above all losses
        else:
            assert all(bottom < loss < top for _, loss in points)
    labels = [line.get_label() for line in axes.lines]
    published = search_pictures.learning_rates.find("published", {"function": "sphere", "n": "8", "gradient": "mean",
                                                                  "k": "4", "tangents": "normal"})  # fmt: skip
    assert labels == ["best 0.1", f"published {float(published[0]['learning_rate']):.3g}"]
    assert math.isclose(axes.lines[0].get_xdata()[0], 0.1)


def test_they_are_drawn_anew_with_the_learning_rates(searched, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FROG_RESULTS", str(tmp_path / "results"))
    (tmp_path / "results").mkdir()
    assert main(["plot", "learning_rates"]) == 0
    assert str(searched / f"{NAME}.png") in capsys.readouterr().out
    assert (searched / f"{NAME}.png").stat().st_size > 5000
