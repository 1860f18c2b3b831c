"""Imports point one way: each folder imports only those below it, and no module imports itself by a detour."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "frog_cli"
ORDER = (
    "__main__", "__init__", "cli",
    "verbs",
    "reproduction", "search", "studies", "judging",
    "runs", "cluster",
    "objectives",
    "engine",
    "ranks",
    "sample_tangents", "variants",
    "gradients",
    "modules", "models", "data",
    "jets",
    "settings", "ideas", "files", "torchvision_import", "errors",
)  # fmt: skip
"""Folders and modules at the top of the package; each may import those behind it."""

LONGEST = 350
FLAT_TABLES = {"settings/schema.py"}


def modules() -> dict[str, Path]:
    """Return the files of all modules and packages by their names within frog_cli."""
    names = {path.relative_to(PACKAGE).with_suffix(""): path for path in PACKAGE.rglob("*.py")}
    return {".".join(name.parts).removesuffix(".__init__"): path for name, path in names.items()}


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """Return which modules of frog_cli a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in (name.removeprefix("frog_cli.") for name in names if name.startswith("frog_cli.")):
            found.add(name if name in known else name.rpartition(".")[0])
    return found


def against_the_arrows(graph: dict[str, set[str]]) -> list[str]:
    """Return which imports lead to a folder that is not below."""
    place = {name: index for index, name in enumerate(ORDER)}

    def folder(module: str) -> str:
        return module.split(".")[0]

    return [
        f"{module} imports {other}"
        for module, others in graph.items()
        for other in others
        if folder(module) != folder(other) and place[folder(module)] > place[folder(other)]
    ]


def graph() -> dict[str, set[str]]:
    known = modules()
    return {name: imports(path, known) - {name} for name, path in known.items()}


def test_arrows_point_downwards():
    assert against_the_arrows(graph()) == []


def test_an_arrow_that_is_turned_round_is_seen():
    turned = {**graph(), "gradients.weights": {"engine.recording"}, "jets.jet": {"gradients.space"}}
    assert against_the_arrows(turned) == [
        "gradients.weights imports engine.recording",
        "jets.jet imports gradients.space",
    ]


def test_no_module_imports_itself_by_a_detour():
    TopologicalSorter(graph()).prepare()  # raises CycleError


def test_nothing_imports_a_verb():
    verbs = {name for name in modules() if name.startswith("verbs.")}
    assert [(name, others & verbs) for name, others in graph().items() if others & verbs] == []


def test_few_modules_stand_at_the_top_and_files_are_short():
    assert len(list(PACKAGE.glob("*.py"))) <= 5
    lengths = {path.relative_to(PACKAGE).as_posix(): len(path.read_text().splitlines()) for path in modules().values()}
    assert [name for name, length in lengths.items() if length > LONGEST and name not in FLAT_TABLES] == []
    assert sum(length for name, length in lengths.items() if name.startswith("gradients/")) < 1300


def test_every_folder_says_what_lives_in_it():
    for init in PACKAGE.rglob("__init__.py"):
        docstring = ast.get_docstring(ast.parse(init.read_text()))
        assert docstring, init
        assert 20 < len(docstring) < 400, init


def test_tests_stand_where_what_they_test_stands():
    known = modules()
    places = [path.relative_to(Path(__file__).parent) for path in Path(__file__).parent.glob("*/test_*.py")]
    assert [str(place) for place in places if place.parts[0] not in known] == []
