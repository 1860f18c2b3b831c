from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from frog_cli.runs.curve import draw_curve
from frog_cli.runs.execution import carry_out
from frog_cli.settings.requests import train_request

TABLES = {
    "function": ("step,value,best_value\n0,8.0,8.0\n10,nan,0.5\n", ["value", "best value so far"], 1),
    "negative": ("step,value,best_value\n0,0.0,0.0\n10,-3.0,-3.0\n", ["value", "best value so far"], 1),
    "network": (
        "epoch,training_loss,validation_loss,test_loss,training_accuracy_percent,validation_accuracy_percent,"
        "test_accuracy_percent\n0,2,2,2,10,10,10\n1,0.1,inf,0.3,90,80,85\n",
        ["training", "validation", "test"],
        2,
    ),
}


@pytest.mark.parametrize("kind", TABLES)
def test_pictures_name_their_axes_and_curves(kind, tmp_path, monkeypatch):
    table, labels, panels = TABLES[kind]
    (tmp_path / "metrics.csv").write_text(table)
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: (figures.append(figure), save(figure, *a, **k)))
    draw_curve(tmp_path / "metrics.csv", "a title", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 5000
    axes = figures[0].axes
    assert len(axes) == panels
    for panel in axes:
        assert panel.get_xlabel()
        assert panel.get_ylabel()
        assert [text.get_text() for text in panel.get_legend().get_texts()] == labels
    assert axes[0].get_yscale() == ("linear" if kind == "negative" else "log")


def test_a_picture_that_cannot_be_drawn_leaves_the_run_done(tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    request = train_request(["objective=sphere", "objective.n=2", "steps=3", "gradient=backprop", "learning_rate=0.1"])
    monkeypatch.setattr(Figure, "savefig", full)
    (result,) = carry_out(request, tmp_path)
    assert result.failure is None
    assert "frog: no picture: OSError: [Errno 28] No space left on device" in capsys.readouterr().err
    assert not (result.folder.path / "curve.png").exists()
