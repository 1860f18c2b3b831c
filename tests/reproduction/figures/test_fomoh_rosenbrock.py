from __future__ import annotations

import pytest

from frog_cli.reproduction.figures import fomoh_rosenbrock
from tests.reproduction.made_up_rows import searches


def test_medians_are_over_all_starts_and_seeds_and_no_two_methods_look_alike():
    runs, curves = searches()
    figure = fomoh_rosenbrock.draw({"runs": runs, "curves": curves}, each=False)
    (axes,) = figure.axes
    assert "2 starts with 3 seeds of tangents each" in figure.get_suptitle()
    lines = {line.get_label(): line for line in axes.lines}
    assert len(lines) == 10
    assert lines["FoMoH-5D"].get_ydata()[-1] == pytest.approx(1e-7)  # one seed of three is far off
    assert len({line.get_color() for line in lines.values()}) == 10
    assert len({line.get_marker() for line in lines.values()}) == 10
    assert lines["Newton"].get_zorder() > lines["FoMoH-10D"].get_zorder()  # they coincide
