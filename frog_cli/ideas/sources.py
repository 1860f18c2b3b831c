"""Where ideas come from: files and modules that a user names, packages that announce them, and frog itself."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from importlib import import_module
from importlib.abc import SourceLoader
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, NamedTuple, Protocol

from frog_cli.errors import RequestError
from frog_cli.ideas.declarations import Declaration, declared
from frog_cli.ideas.registry import Idea, Kind, registered

OWN_NAME = "frog"

GROUP = "frog.ideas"
"""The entry point group in which a package announces the modules of its ideas."""

OWN = (
    "gradients/tangents.py",
    "gradients/aggregation.py",
    "gradients/step_rules.py",
    "variants/*.py",
    "sample_tangents/gated.py",
    "sample_tangents/layerwise.py",
    "sample_tangents/local.py",
    "engine/regenerated.py",
    "objectives/functions.py",
    "models/*.py",
    "data/*.py",
)
"""Modules of frog with ideas, below its package."""


class Source(NamedTuple):
    """A file with ideas.

    Attributes:
        name: as the user, or the package, names it.
        path: of the file.
        module: by which it is imported; None for a file that is named by its path.
    """

    name: str
    path: Path
    module: str | None

    def declarations(self) -> list[Declaration]:
        """Return the ideas that the file declares."""
        return declared(self.path)

    def digest(self) -> str:
        """Return the SHA-256 of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def named(names: Sequence[str]) -> list[Source]:
    """Return the sources that a user names, by paths of files or names of modules; nothing is imported."""
    return [_source(name) for name in dict.fromkeys([*names, *always()])]


def always() -> list[str]:
    """Return the files and modules that FROG_IDEAS names."""
    return [name for name in (os.environ.get("FROG_IDEAS") or "").split(",") if name]


def from_anywhere(name: str) -> str:
    """Return a name of a source that holds in every folder: for a file, its whole path."""
    return str(_source(name).path) if _is_path(name) else name


def _is_path(name: str) -> bool:
    return name.endswith(".py") or "/" in name


def announced() -> list[Source]:
    """Return the sources that installed packages announce; nothing is imported."""
    return [_of_module(point.name, point.value, f"entry point {point.name} of {GROUP}") for point in _points()]


@cache
def _points() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP))


def own() -> list[Source]:
    """Return frog's own sources."""
    return list(dict.fromkeys(source for source, _ in own_declarations().values()))


@cache
def own_declarations() -> dict[tuple[Kind, str], tuple[Source, Declaration]]:
    """Return frog's own ideas by their kinds and names, with where they are from; the files are read once."""
    package = Path(__file__).resolve().parents[1]
    paths = [path for pattern in OWN for path in sorted(package.glob(pattern))]
    modules = [".".join(path.relative_to(package.parent).with_suffix("").parts) for path in paths]
    found = [Source(OWN_NAME, path, module) for path, module in zip(paths, modules, strict=True)]
    return {(one.kind, one.name): (source, one) for source, one in _distinct(found, {})}


_from_outside: dict[tuple[Kind, str, str], Declaration] = {}


def remember(source: Source, declaration: Declaration) -> None:
    """Keep the declaration of an idea from outside that has been chosen, so that settings can be checked by it."""
    _from_outside[declaration.kind, declaration.name, source.digest()] = declaration


def declaration_of(kind: Kind, name: str, sha256: str | None = None) -> Declaration | None:
    """Return what declares an idea, None if frog has none of that name, or none was chosen from a file of that hash."""
    if sha256 is not None:
        return _from_outside.get((kind, name, sha256))
    found = own_declarations().get((kind, name))
    return found[1] if found else None


def _source(name: str) -> Source:
    if _is_path(name):
        path = Path(name).expanduser()
        if not path.is_file():
            raise RequestError(f"ideas={name}", "is no file")
        return Source(name, path.resolve(), None)
    return _of_module(name, name, "module")


def _of_module(name: str, module: str, what: str) -> Source:
    try:
        found = _spec(module)
    except (ImportError, ValueError):
        found = None
    except (Exception, SystemExit) as error:  # of a package that is imported after all
        raise RequestError(f"ideas={name}", f"cannot be imported: {_as_text(error)}") from None
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        raise RequestError(f"ideas={name}", f"is no file that ends in .py, and no {what} of Python code is found")
    return Source(name, Path(found.origin), module)


def _spec(module: str) -> ModuleSpec | None:
    """Return where a module is; unlike `importlib.util.find_spec`, without importing the packages that it is in."""
    first, *rest = module.split(".")
    name, found = first, importlib.util.find_spec(first)
    for part in rest:
        if found is None or found.submodule_search_locations is None:
            return None
        name, where = f"{name}.{part}", found.submodule_search_locations
        specs = (finder.find_spec(name, where) for finder in sys.meta_path)
        try:
            found = next((spec for spec in specs if spec is not None), None)
        except KeyError:  # a namespace package in another package, which knows its folders once that is imported
            return importlib.util.find_spec(module)
    return found


def load(source: Source, declaration: Declaration) -> Idea:
    """Import a source and return one of its ideas.

    Raises:
        RequestError: naming file and line, if an exception is raised while it is imported.
    """
    with refusing(source, "cannot be imported"):
        module = _import_file(source.path) if source.module is None else import_module(source.module)
    if source.module is not None and source.name != OWN_NAME:
        digest = source.digest()
        if _when_imported.setdefault(source.module, digest) != digest:
            raise RequestError(f"ideas={source.name}", "has changed since this process imported it; start frog anew")
    found = registered(declaration.kind, module.__name__).get(declaration.name)
    if found is None:
        raise RequestError(
            f"ideas={source.name}, line {declaration.line}", f"{declaration.name} is declared, but not registered"
        )
    return found


_when_imported: dict[str, str] = {}
"""The SHA-256 that files of modules had when their ideas were first loaded: a module is imported only once."""


@contextmanager
def refusing(source: Source, what: str) -> Iterator[None]:
    """Turn what code from outside raises into a refusal in one line, which names the file and the line."""
    try:
        yield
    except RequestError:
        raise
    except (Exception, SystemExit) as error:
        if source.name == OWN_NAME:
            raise
        where = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(source.path)]
        line = f", line {where[-1].lineno}" if where else ""
        raise RequestError(f"ideas={source.name}{line}", f"{what}: {_as_text(error)}") from None


def _as_text(error: BaseException) -> str:
    """Return an exception's type and message."""
    return traceback.format_exception_only(error)[-1].strip()


class Choice(Protocol):
    """An idea as a run's settings name it."""

    kind: ClassVar[Kind]
    name: str
    source: str | None
    sha256: str | None

    @property
    def options(self) -> dict[str, Any]:
        """The idea's own options."""


_imported: dict[tuple[Kind, str, str | None, str | None], tuple[Source, Callable[..., Any]]] = {}
"""Ideas from outside as runs name them, once they are imported: their files may be edited while runs go on."""


def _named(choice: Choice) -> tuple[Kind, str, str | None, str | None]:
    return choice.kind, choice.name, choice.source, choice.sha256


def imported(choice: Choice) -> Callable[..., Any]:
    """Return the idea that a run's settings name, with its options, as it was when it was imported first.

    Raises:
        RequestError: if its source was not there any more by then, or had changed since it was chosen.
    """
    source, options = source_of(choice), choice.options
    if choice.source is None:
        function = load(source, own_declarations()[choice.kind, choice.name][1]).function
    elif _named(choice) in _imported:
        function = _imported[_named(choice)][1]
    else:
        if source.digest() != choice.sha256:
            raise RequestError(f"ideas={choice.source}", f"has changed since {choice.kind} {choice.name} was chosen")
        wanted = choice.kind, choice.name
        declaration = next(one for one in source.declarations() if (one.kind, one.name) == wanted)
        function = load(source, declaration).function
        _imported[_named(choice)] = source, function
    return partial(function, **options) if options else function


def read_again(choice: Choice) -> None:
    """Remember the declaration of an idea that another process has chosen, if its file is still the same."""
    if declaration_of(choice.kind, choice.name, choice.sha256) is None:
        with suppress(RequestError, OSError):
            source = source_of(choice)
            for one in source.declarations() if source.digest() == choice.sha256 else ():
                remember(source, one)


def source_of(choice: Choice) -> Source:
    """Return where the idea that a run's settings name is from."""
    if choice.source is None:
        return own_declarations()[choice.kind, choice.name][0]
    return _imported[_named(choice)][0] if _named(choice) in _imported else _source(choice.source)


class _Loader(SourceLoader):
    """Loads a file's content that was read already; a compiled file may be of other content of the same second."""

    def __init__(self, path: Path, content: bytes):
        self._path, self._content = path, content

    def get_filename(self, fullname: str) -> str:
        """Return the path of the file."""
        del fullname
        return str(self._path)

    def get_data(self, path: str | bytes) -> bytes:
        """Return the content."""
        del path
        return self._content


def _import_file(path: Path) -> ModuleType:
    """Import a file under a name that no other file, and no other content of this one, has; once."""
    content = path.read_bytes()
    name = f"frog_ideas_{path.stem}_{hashlib.sha256(bytes(path) + content).hexdigest()[:10]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_loader(name, _Loader(path, content))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def declarations(sources: Sequence[Source]) -> Iterator[tuple[Source, Declaration]]:
    """Yield all ideas of some sources with where they are from, frog's own first.

    A file that is named twice, such as by its relative and its absolute path, counts once; two ideas of one name are
    refused.
    """
    files: dict[Path, Source] = {}  # one may be named twice, as by its path and by a package
    for source in sources:
        files.setdefault(source.path.resolve(), source)
    yield from own_declarations().values()
    yield from _distinct(files.values(), {key: source for key, (source, _) in own_declarations().items()})


def _distinct(sources: Iterable[Source], seen: dict[tuple[Kind, str], Source]) -> Iterator[tuple[Source, Declaration]]:
    """Yield the ideas of some sources, and add them to those that were seen before.

    Raises:
        RequestError: if one is called like another.
    """
    for source in sources:
        for one in source.declarations():
            key = one.kind, one.name
            if key in seen:
                where = "built in" if seen[key].name == OWN_NAME else f"declared in {seen[key].path} as well"
                raise RequestError(f"ideas={source.name}, line {one.line}", f"{one.kind} {one.name} is {where}")
            seen[key] = source
            yield source, one
