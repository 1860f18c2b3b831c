from __future__ import annotations

from frog_cli.cli import main
from tests.ideas.test_declarations import IDEAS


def test_ideas_are_listed_with_kind_source_options_and_what_they_are(tmp_path, capsys):
    file = tmp_path / "my_ideas.py"
    file.write_text(IDEAS)
    assert main(["ideas", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["kind", "name", "source", "what", "it", "is,", "and", "its", "options"]
    (laplace,) = (number for number, line in enumerate(lines) if line.split()[:2] == ["tangents", "laplace"])
    assert lines[laplace].split()[2] == str(file)
    assert lines[laplace].endswith("Sample entries of the Laplace distribution.")
    assert lines[laplace + 1].split() == ["scale:", "float", "=", "1.0"]
    (cone,) = (number for number, line in enumerate(lines) if line.split()[:2] == ["tangents", "cone"])
    assert lines[cone].split()[2] == "frog"
    assert lines[cone + 1].split() == ["angle:", "Angle", "=", "45.0"]
    assert sum(line.startswith("function") for line in lines) == 4


def test_what_is_wrong_is_told_in_one_line(tmp_path, capsys):
    file = tmp_path / "my_ideas.py"
    file.write_text("from frog_cli import ideas\n@ideas.tangents\ndef f(shape): ...\n")
    assert main(["ideas", str(file)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"frog: ideas={file}, line 3: tangents f must be called with (shape, generator, dtype, *")
    assert told.count("\n") == 1
