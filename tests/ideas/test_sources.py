from __future__ import annotations

import os
import sys
from importlib.metadata import EntryPoint
from inspect import Parameter, signature

import pytest
import torch

from frog_cli import ideas
from frog_cli.errors import RequestError
from frog_cli.gradients import AGGREGATIONS, TANGENTS
from frog_cli.ideas import sources
from frog_cli.ideas.registry import KINDS, Idea

LAPLACE = '''
import torch
from frog_cli import ideas

@ideas.tangents
def laplace(shape, generator, dtype, *, scale: float = 1.0):
    """Sample Laplace entries."""
    return torch.full(shape, scale, dtype=dtype)
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_ideas.py"
    path.write_text(LAPLACE)
    return path


def test_frogs_own_ideas_are_declared_as_they_are_registered():
    found = [one for _, one in sources.declarations([])]
    for source, one in sources.own_declarations().values():
        assert one in found
        function = sources.load(source, one).function
        defaults = signature(function).parameters.items()
        assert {name: p.default for name, p in defaults if p.kind is Parameter.KEYWORD_ONLY} == {
            option.name: option.default for option in one.options
        }
        for name, value in one.traits.items():
            assert ideas.trait(function, name) == value or not value
    for kind, names in {"tangents": {*TANGENTS}, "aggregation": {*AGGREGATIONS}}.items():
        assert names <= {one.name for one in found if one.kind == kind}
    in_files = {(kind, name) for kind in KINDS for name, one in ideas.registered(kind).items() if of_frog(one)}
    assert in_files == {*sources.own_declarations()}


def of_frog(idea: Idea) -> bool:
    return idea.function.__module__.startswith("frog_cli.")


def test_a_file_is_imported_when_one_of_its_ideas_is_asked_for(file):
    (source,) = sources.named([str(file)])
    (declaration,) = source.declarations()
    loaded = sources.load(source, declaration)
    V = loaded.function((2, 3), torch.Generator(), torch.float64, scale=2.0)
    assert torch.equal(V, torch.full((2, 3), 2.0).double())
    assert sources.load(source, declaration).function is loaded.function
    assert len(source.digest()) == 64


def test_modules_and_the_environment_name_ideas(file, monkeypatch):
    monkeypatch.syspath_prepend(file.parent)
    (by_module,) = sources.named(["my_ideas"])
    assert by_module.path == file
    assert "my_ideas" not in sys.modules
    sources.load(by_module, by_module.declarations()[0])
    assert sys.modules.pop("my_ideas")
    monkeypatch.setenv("FROG_IDEAS", f"{file},my_ideas")
    assert [source.path for source in sources.named([])] == [file, file]
    found = [one.name for source, one in sources.declarations(sources.named([])) if source.name != sources.OWN_NAME]
    assert found == ["laplace"]  # of one file, by whatever names


def test_packages_announce_ideas(file, monkeypatch):
    monkeypatch.syspath_prepend(file.parent)
    point = EntryPoint("mine", "my_ideas", sources.GROUP)
    monkeypatch.setattr(sources, "_points", lambda: (point,))
    (source,) = sources.announced()
    assert (source.name, source.path, source.module) == ("mine", file, "my_ideas")


@pytest.mark.parametrize("package", ["lab", "lab/samplers"])
def test_packages_are_found_without_being_imported(package, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / package
    folder.mkdir(parents=True)
    for place in (tmp_path / "lab", folder):
        (place / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "ideas.py").write_text(LAPLACE)
    module = ".".join([*package.split("/"), "ideas"])
    monkeypatch.setattr(sources, "_points", lambda: (EntryPoint("mine", module, sources.GROUP),))
    (source,) = sources.announced()
    assert source.path == folder / "ideas.py"
    assert not [name for name in sys.modules if name.split(".")[0] == "lab"]
    with pytest.raises(RequestError, match="ideas=mine: cannot be imported: RuntimeError: imported"):
        sources.load(source, source.declarations()[0])


def test_namespace_packages_are_found(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "lab_of_a_test" / "samplers"
    folder.mkdir(parents=True)
    (folder / "ideas.py").write_text(LAPLACE)
    (source,) = sources.named(["lab_of_a_test.samplers.ideas"])
    assert source.path == folder / "ideas.py"
    assert "lab_of_a_test.samplers.ideas" not in sys.modules


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise SystemExit(0)", "line 9: cannot be imported: SystemExit: 0"),
        ("1 / 0", "line 9: cannot be imported: ZeroDivisionError: division by zero"),
        ("import no_such_module", "line 9: cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        (
            "ideas.registry._registered.pop((__name__, 'tangents', 'laplace'))",
            "line 6: laplace is declared, but not registered",
        ),
    ],
)
def test_what_cannot_be_imported_is_refused_with_its_line(file, text, message):
    file.write_text(f"{LAPLACE}{text}\n")
    (source,) = sources.named([str(file)])
    with pytest.raises(RequestError) as refused:
        sources.load(source, source.declarations()[0])
    assert str(refused.value).endswith(message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere/ideas.py", "ideas=nowhere/ideas.py: is no file"),
        ("no_such_module", "ideas=no_such_module: is no file that ends in .py, and no module"),
        ("math", "ideas=math: is no file that ends in .py, and no module"),
        ("frog_cli.no_such", "ideas=frog_cli.no_such: is no file that ends in .py, and no module"),
        ("frog_cli.cli.main", "ideas=frog_cli.cli.main: is no file that ends in .py, and no module"),
    ],
)
def test_what_is_not_there_is_refused(name, message):
    with pytest.raises(RequestError) as refused:
        sources.named([name])
    assert str(refused.value).startswith(message)


def test_names_that_are_taken_are_refused(file, tmp_path):
    file.write_text(LAPLACE.replace("laplace", "normal"))
    with pytest.raises(RequestError, match="line 6: tangents normal is built in"):
        list(sources.declarations(sources.named([str(file)])))
    file.write_text(LAPLACE)
    other = tmp_path / "others.py"
    other.write_text(LAPLACE)
    with pytest.raises(RequestError, match=rf"line 6: tangents laplace is declared in {file} as well"):
        list(sources.declarations(sources.named([str(file), str(other)])))


def scaled(file):
    (source,) = sources.named([str(file)])
    (declaration,) = source.declarations()
    return sources.load(source, declaration).function((1, 1), torch.Generator(), torch.float64).item()


def test_ideas_of_one_name_in_two_files_are_two(file, tmp_path):
    other = tmp_path / "others.py"
    other.write_text(LAPLACE.replace("torch.full(shape, scale", "torch.full(shape, -scale"))
    assert [scaled(one) for one in (file, other, file)] == [1.0, -1.0, 1.0]


def test_a_file_that_was_edited_is_imported_anew(file):
    before = file.stat()
    assert scaled(file) == 1.0
    file.write_text(LAPLACE.replace("scale: float = 1.0", "scale: float = 3.0"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as an edit within the same second
    assert scaled(file) == 3.0


def test_a_module_that_was_edited_is_refused(file, monkeypatch):
    monkeypatch.syspath_prepend(file.parent)
    file = file.rename(file.with_name("edited_ideas.py"))
    (source,) = sources.named(["edited_ideas"])
    sources.load(source, source.declarations()[0])
    file.write_text(f"{LAPLACE}# edited")
    with pytest.raises(RequestError, match="ideas=edited_ideas: has changed since this process imported it"):
        sources.load(source, source.declarations()[0])
    del sys.modules["edited_ideas"]


def test_frogs_own_ideas_stay_whatever_a_file_registers(file):
    file.write_text(f"""{LAPLACE}
if True:
    @ideas.tangents
    def normal(shape, generator, dtype):
        return torch.zeros(shape, dtype=dtype)
""")
    scaled(file)
    source, declaration = sources.own_declarations()["tangents", "normal"]
    assert sources.load(source, declaration).function is TANGENTS["normal"]


def test_a_file_that_is_named_twice_counts_once(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    found = sources.declarations(sources.named([file.name, str(file)]))
    assert [one.name for source, one in found if source.name != sources.OWN_NAME] == ["laplace"]


@pytest.mark.parametrize("text", ["raise RuntimeError('no')", "raise SystemExit(0)", "def ("])
def test_a_package_that_cannot_be_imported_is_refused(text, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "broken_package"
    package.mkdir()
    (package / "__init__.py").write_text(text)
    (package / "my_ideas.py").write_text(LAPLACE)
    (source,) = sources.named(["broken_package.my_ideas"])  # which does not import it
    with pytest.raises(RequestError, match=r"ideas=broken_package.my_ideas: cannot be imported: "):
        sources.load(source, source.declarations()[0])
