"""What ideas a file declares, and their options, read without running it: refusals come before any import."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from docstring_parser import DocstringStyle, parse
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError

from frog_cli.errors import RequestError
from frog_cli.ideas import types
from frog_cli.ideas.registry import KINDS, Curvature, Kind, name_of
from frog_cli.ideas.types import Options

ARGUMENTS: dict[Kind, tuple[str, ...]] = {
    "tangents": ("shape", "generator", "dtype"),
    "aggregation": ("tangents", "slopes"),
    "step_rule": ("slopes", "curvature"),
    "function": ("x",),
    "model": ("image", "classes"),
    "data": (),
}
"""What each kind is called with, before its options."""

_OF_ALL = ("defaults", "name", "source", "sha256", "k", "measure", "perturb", "chunk_size")
RESERVED: dict[Kind, tuple[str, ...]] = {
    "tangents": (*_OF_ALL, "per"),
    "aggregation": (*_OF_ALL, "on_failure", "spacing"),
    "step_rule": (*_OF_ALL, "on_failure"),
    "function": (*_OF_ALL, "n", "dtype", "start", "start_seed"),
    "model": _OF_ALL,
    "data": (*_OF_ALL, "validation", "limit"),
}
"""Options of frog's own that stand beside those of an idea."""

_NAME = re.compile(r"(?!(?i:null|true|false|nan|inf)$)[A-Za-z][A-Za-z0-9_.-]{,39}")
"""Names that command lines and folders can have."""

_OBJECTS = ("start", "without_branch")
"""What a decorator says that need not be a plain value."""

_HOME = "frog_cli.ideas"
_SIMPLE = {"int": int, "float": float, "str": str, "bool": bool, "None": None}


class Option(NamedTuple):
    """An option of an idea.

    Attributes:
        name: of the keyword.
        type: what its value must be.
        default: the value if none is given.
        written: its type as it stands in the file.
    """

    name: str
    type: Any
    default: Any
    written: str

    @property
    def is_root(self) -> bool:
        """Whether it is the folder of a data set, for which FROG_DATA stands."""
        return bool(self.type == types.Root)

    @property
    def has_effect(self) -> bool:
        """Whether results depend on it, so that it counts in a run's identity."""
        return not any(isinstance(one, types.WithoutEffect) for one in getattr(self.type, "__metadata__", ()))


@dataclass(frozen=True)
class Declaration:
    """An idea as its file declares it.

    Attributes:
        kind: what it is an idea of.
        name: by which it is chosen.
        options: its keyword-only parameters.
        traits: what its decorator says of it, as far as it is written as plain values.
        documentation: its docstring.
        path: of the file.
        line: of the function.
    """

    kind: Kind
    name: str
    options: tuple[Option, ...]
    traits: dict[str, Any]
    documentation: str
    path: Path
    line: int

    @property
    def about(self) -> str:
        """The first line of its docstring."""
        return self.documentation.partition("\n")[0]

    @cached_property
    def schema(self) -> type[Options]:
        """What checks its options, each described as in the docstring."""
        described = {one.arg_name: one.description for one in parse(self.documentation, DocstringStyle.GOOGLE).params}
        fields: dict[str, Any] = {}
        for one in self.options:
            text = " ".join((described.get(one.name) or "").removesuffix(".").split())
            fields[one.name] = one.type, Field(one.default, description=text) if text else Field(one.default)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an option may be called copy or json
            return create_model(self.name, __base__=Options, **fields)


def declared(path: Path) -> list[Declaration]:
    """Return the ideas that a file declares, in its order.

    Raises:
        RequestError: naming the file and the line, if it cannot be read or an idea is declared wrongly.
    """
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except OSError as error:
        raise RequestError(f"ideas={path}", f"cannot be read: {error.strerror}") from None
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise RequestError(f"ideas={path}{line}", f"is no Python: {error.args[0]}") from None
    decorators = _decorators(tree)
    found: list[Declaration] = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            kind = _kind(decorator, decorators)
            if kind is not None:
                found.append(_declaration(kind, node, decorator, path))
    for one in found:
        others = [other for other in found if (other.kind, other.name) == (one.kind, one.name) and other is not one]
        if others:
            raise _wrong(path, max(one.line, others[0].line), f"{one.name} is declared on line {one.line} as well")
    return found


def _decorators(tree: ast.Module) -> dict[str, str]:
    """Return what the names that a file imports from frog stand for, such as `ideas` for `frog_cli.ideas`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                alias.asname or alias.name.split(".")[0]: alias.name if alias.asname else alias.name.split(".")[0]
                for alias in node.names
                if alias.name.split(".")[0] == "frog_cli"
            }
        elif isinstance(node, ast.ImportFrom) and node.module in ("frog_cli", _HOME, f"{_HOME}.registry"):
            home = "frog_cli" if node.module == "frog_cli" else _HOME
            names |= {alias.asname or alias.name: f"{home}.{alias.name}" for alias in node.names}
    return names


def _kind(decorator: ast.expr, names: dict[str, str]) -> Kind | None:
    """Return the kind of idea that a decorator registers, None for other decorators."""
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    dotted = ast.unparse(target)
    first, dot, rest = dotted.partition(".")
    full = names.get(first, "") + dot + rest
    for kind in KINDS:
        if full == f"{_HOME}.{kind}":
            return kind
    return None


def _declaration(kind: Kind, node: ast.FunctionDef, decorator: ast.expr, path: Path) -> Declaration:
    """Return what a decorated function declares."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    expected = ARGUMENTS[kind]
    if len(positional) != len(expected) or arguments.defaults:
        wanted = f"({', '.join(expected)}, *, options)" if expected else "(*, options)"
        raise _wrong(path, node.lineno, f"{kind} {node.name} must be called with {wanted}")
    if arguments.vararg or arguments.kwarg:
        raise _wrong(path, node.lineno, f"{kind} {node.name} must name its options, without * or ** for others")
    keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
    traits = {one.arg: one.value for one in keywords if one.arg}
    if kind == "function" and "start" not in traits:
        raise _wrong(path, node.lineno, f"function {node.name} needs its start, as in @ideas.function(start=0.0)")
    plain: dict[str, Any] = {}
    for trait, value in traits.items():
        try:
            plain[trait] = ast.literal_eval(value)
        except (ValueError, TypeError):
            if trait not in _OBJECTS:
                raise _wrong(path, value.lineno, f"{trait} of {node.name} must be a plain value") from None
    if kind == "step_rule" and plain.get("curvature", "hessian") not in get_args(Curvature):
        allowed = " or ".join(get_args(Curvature))
        raise _wrong(path, node.lineno, f"the curvature {plain['curvature']!r} of {node.name} must be {allowed}")
    options = tuple(_options(kind, node, path))
    name = name_of(node.name, plain.pop("name", None))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        allowed = "must begin with a letter and have at most 40 letters, digits and _ . - only, unlike null or true"
        raise _wrong(path, node.lineno, f"the name {name!r} of {node.name} {allowed}")
    return Declaration(kind, name, options, plain, ast.get_docstring(node) or "", path, node.lineno)


def _options(kind: Kind, node: ast.FunctionDef, path: Path) -> Iterator[Option]:
    """Yield the options of an idea: its keyword-only parameters."""
    for parameter, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        option = f"option {parameter.arg} of {node.name}"
        if parameter.arg in RESERVED[kind]:
            reserved = ", ".join(RESERVED[kind])
            raise _wrong(path, parameter.lineno, f"{option} must have another name; {reserved} are frog's")
        if parameter.arg.startswith("_") or _is_of_pydantic(parameter.arg) or not parameter.arg.isascii():
            allowed = "without _ in front, in plain letters, and unlike model_config and its kind"
            raise _wrong(path, parameter.lineno, f"{option} must have another name, {allowed}")
        if parameter.annotation is None:
            raise _wrong(path, parameter.lineno, f"{option} needs a type, as in {parameter.arg}: float = 1.0")
        written = ast.unparse(parameter.annotation)
        unknown = (
            f"{option} has the type {written}, which frog cannot check: it must be made of int, float, str, bool, "
            "None, list, dict[str, ..], Literal and the types of frog_cli.ideas.types"
        )
        try:
            allowed = _type(parameter.annotation)
            check = TypeAdapter[Any](allowed, config=ConfigDict(strict=True))
        except (ValueError, TypeError, SyntaxError, NameError, AssertionError, PydanticUserError):
            raise _wrong(path, parameter.lineno, unknown) from None
        if default is None:
            raise _wrong(path, parameter.lineno, f"{option} needs a default, as in {parameter.arg}: {written} = ...")
        try:
            value = ast.literal_eval(default)
        except (ValueError, TypeError):
            raise _wrong(path, parameter.lineno, f"{option} needs a default that is a plain value") from None
        try:
            value = check.validate_python([*value] if isinstance(value, tuple) else value)
        except ValidationError as error:
            message = error.errors()[0]["msg"].replace("Input should", "must")
            raise _wrong(path, parameter.lineno, f"the default {value!r} of {option} {message}") from None
        if "${" in repr(value) or "'???'" in repr(value):
            what = f"the default {value!r} of {option} must have no ${{ and not be ???, which Hydra replaces"
            raise _wrong(path, parameter.lineno, what)
        yield Option(parameter.arg, allowed, value, written)


def _is_of_pydantic(name: str) -> bool:
    """Return whether a model of pydantic cannot have a field of that name."""
    return name.startswith("model_") and hasattr(BaseModel, name)


def _type(node: ast.expr) -> Any:
    """Return the type that an annotation writes.

    Raises:
        ValueError: if it is made of other parts than those that frog checks.
    """
    if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, str)):
        return None if node.value is None else _type(ast.parse(node.value, mode="eval").body)
    if isinstance(node, ast.Name | ast.Attribute):
        name = node.id if isinstance(node, ast.Name) else node.attr
        found = _SIMPLE.get(name, getattr(types, name, None))
        if name not in _SIMPLE and get_origin(found) not in (Annotated, Literal):
            raise ValueError(name)
        return found
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _type(node.left) | _type(node.right)
    if isinstance(node, ast.Subscript):
        outer = ast.unparse(node.value).rpartition(".")[2]
        inner = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer == "Literal":
            return Literal[tuple(ast.literal_eval(one) for one in inner)]
        if outer == "Optional":
            return _type(inner[0]) | None
        if outer in ("list", "dict"):
            of = tuple(_type(one) for one in inner)
            if len(of) != {"list": 1, "dict": 2}[outer] or (outer == "dict" and of[0] is not str):
                raise ValueError(ast.unparse(node))
            return {"list": list, "dict": dict}[outer][of]  # type: ignore[index]
    raise ValueError(ast.unparse(node))


def _wrong(path: Path, line: int, what: str) -> RequestError:
    return RequestError(f"ideas={path}, line {line}", what)
