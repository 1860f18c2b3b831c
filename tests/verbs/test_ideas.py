from __future__ import annotations

from frog_cli.cli import main
from tests.ideas.test_declarations import IDEAS


def test_ideas_are_listed_with_kind_source_options_and_what_they_are(tmp_path, capsys):
    file = tmp_path / "my_ideas.py"
    file.write_text(IDEAS)
    assert main(["ideas", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["kind", "name", "source", "options", "what", "it", "is"]
    (laplace,) = (line for line in lines if " laplace " in line)
    assert "scale: float = 1.0" in laplace
    assert laplace.endswith("Sample entries of the Laplace distribution.")
    (cone,) = (line for line in lines if line.split()[:2] == ["tangents", "cone"])
    assert cone.split()[2:5] == ["frog", "angle:", "Angle"]
    assert sum(line.startswith("function") for line in lines) == 4


def test_what_is_wrong_is_told_in_one_line(tmp_path, capsys):
    file = tmp_path / "my_ideas.py"
    file.write_text("from frog_cli import ideas\n@ideas.tangents\ndef f(shape): ...\n")
    assert main(["ideas", str(file)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"frog: ideas={file}, line 3: tangents f must be called with (shape, generator, dtype, *")
    assert told.count("\n") == 1
