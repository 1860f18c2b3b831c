from __future__ import annotations

import subprocess
import sys

import pytest

from frog_cli.errors import RequestError
from frog_cli.ideas.declarations import declared

IDEAS = '''
from __future__ import annotations

from typing import Literal

import torch_that_nobody_has
from frog_cli import ideas
from frog_cli.ideas import aggregation as combine
from frog_cli.ideas.types import Positive


@ideas.tangents
def laplace(shape, generator, dtype, *, scale: float = 1.0):
    """Sample entries of the Laplace distribution.

    More about it.
    """


@combine(gram_only=True, name="clipped-mean")
def clipped_mean(tangents, slopes, *, largest: Positive = 10.0, how: Literal["hard", "soft"] = "hard"): ...


@ideas.function(start=-1.0)
def ackley(x): ...


@ideas.model
def lenet(image, classes, *, width: int = 6, sizes: list[int] = [1, 2], note: str | None = None): ...


@ideas.data
def moons(*, noise: float = 0.1): ...


@staticmethod
def no_idea(x, *, y): ...
'''


@pytest.fixture
def file(tmp_path):
    return tmp_path / "my_ideas.py"


def test_ideas_are_read_without_running_their_file(file):
    file.write_text(IDEAS)
    found = {one.name: one for one in declared(file)}
    assert [(one.kind, one.name) for one in found.values()] == [
        ("tangents", "laplace"), ("aggregation", "clipped-mean"), ("function", "ackley"), ("model", "lenet"),
        ("data", "moons"),
    ]  # fmt: skip
    assert found["laplace"].about == "Sample entries of the Laplace distribution."
    assert found["laplace"].line == 13
    (scale,) = found["laplace"].options
    assert (scale.name, scale.type, scale.default, scale.written) == ("scale", float, 1.0, "float")
    assert [one.default for one in found["lenet"].options] == [6, [1, 2], None]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("laplace", {"scale": 2.0}, [{"scale": "wide"}, {"scale": None}, {"width": 1}]),
        ("clipped-mean", {"largest": 1.0, "how": "soft"}, [{"largest": -1.0}, {"how": "other"}]),
        ("lenet", {"width": 3, "sizes": [4], "note": None}, [{"width": 1.5}, {"sizes": ["a"]}, {"note": 3}]),
        ("ackley", {}, [{"scale": 1.0}]),
    ],
)
def test_options_are_checked_by_their_types(file, name, good, bad):
    file.write_text(IDEAS)
    schema = next(one for one in declared(file) if one.name == name).schema
    assert good.items() <= schema.model_validate(good).model_dump().items()
    for wrong in bad:
        with pytest.raises(ValueError, match="validation error"):
            schema.model_validate(wrong)


WRONG = {
    "def f(shape, generator, *, a: int = 1): ...": "line 3: tangents f must be called with (shape, generator, dtype, *",
    "def f(shape, generator, dtype, a): ...": "line 3: tangents f must be called with",
    "def f(shape, generator, dtype, **more): ...": "line 3: tangents f must name its options",
    "def f(shape, generator, dtype, *, a=1): ...": "line 3: option a of f needs a type, as in a: float = 1.0",
    "def f(shape, generator, dtype, *, a: int): ...": "line 3: option a of f needs a default, as in a: int = ...",
    "def f(shape, generator, dtype, *, a: int = X): ...": "line 3: option a of f needs a default that is a plain value",
    "def f(shape, generator, dtype, *, k: int = 1): ...": "line 3: option k of f must have another name",
    "def f(shape, generator, dtype, *, a: Thing = 1): ...": "line 3: option a of f has the type Thing, which frog",
    "def f(shape, generator, dtype, *, a: print() = 1): ...": "line 3: option a of f has the type print(), which",
    "def f(shape, generator, dtype): ...\n\n@ideas.tangents\ndef f(shape, generator, dtype): ...": "line 6: f is decl",
    "def f(shape": "line 3: is no Python",
}
OPTIONS = {
    "a: int = 1.5": "the default 1.5 of option a of f must be a valid integer",
    "a: float = None": "the default None of option a of f must be a valid number",
    "a: Literal['b'] = 'c'": "the default 'c' of option a of f must be 'b'",
    "a: Count = 0": "the default 0 of option a of f must be a whole number, at least 1",
    "a: list[int] = {1}": "the default {1} of option a of f must be a valid list",
    "a: str = '${seed}'": "the default '${seed}' of option a of f must have no ${",
    "a: list[str] = ['???']": "the default ['???'] of option a of f must have no ${",
    "a: dict[str, int] = {[]: 1}": "option a of f needs a default that is a plain value",
    "a: dict[int, int] = {}": "option a of f has the type dict[int, int], which frog cannot check",
    "a: dict[str] = {}": "option a of f has the type dict[str], which frog cannot check",
    "a: list[int, str] = []": "option a of f has the type list[int, str], which frog cannot check",
    "a: Any = 1": "option a of f has the type Any, which frog cannot check",
    "a: Options = 1": "option a of f has the type Options, which frog cannot check",
    "a: None | None = None": "option a of f has the type None | None, which frog cannot check",
    "a: 'int int' = 1": "option a of f has the type 'int int', which frog cannot check",
    "model_config: int = 1": "option model_config of f must have another name",
    "model_dump: int = 1": "option model_dump of f must have another name",
    "_target_: int = 1": "option _target_ of f must have another name",
    "é: int = 1": "option é of f must have another name",
    "defaults: int = 1": "option defaults of f must have another name",
}
WRONG |= {f"def f(shape, generator, dtype, *, {text}): ...": f"line 3: {seen}" for text, seen in OPTIONS.items()}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_declared_wrongly_is_refused_with_its_line(file, text):
    file.write_text(f"from frog_cli import ideas\n@ideas.tangents\n{text}\n")
    with pytest.raises(RequestError) as refused:
        declared(file)
    assert str(refused.value).startswith(f"ideas={file}, {WRONG[text]}")


@pytest.mark.parametrize("name", ["copy", "json", "schema", "dict", "options", "kind", "self", "model_size"])
@pytest.mark.filterwarnings("error")
def test_options_may_be_called_like_what_other_things_have(name, file):
    file.write_text(f"from frog_cli import ideas\n@ideas.data\ndef f(*, {name}: float = 1): ...\n")
    schema = declared(file)[0].schema
    assert schema.model_validate({name: 2.0}).model_dump() == {name: 2.0}
    assert repr(schema.model_validate({}).model_dump()) == repr({name: 1.0})


@pytest.mark.parametrize(
    ("decorator", "seen"),
    [
        ("function(start=0, steps=STEPS)", "steps of f must be a plain value"),
        ("function(start=0, name=NAME)", "name of f must be a plain value"),
        ("function(start=0, name='../f')", "the name '../f' of f must begin with a letter"),
        ("function(start=0, name='a b')", "the name 'a b' of f must begin with a letter"),
        ("function(start=0, name='NULL')", "the name 'NULL' of f must begin with a letter"),
        (f"function(start=0, name='{'f' * 41}')", f"the name '{'f' * 41}' of f must begin with a letter"),
        ("function(start=0, name=3)", "the name 3 of f must begin with a letter"),
    ],
)
def test_decorators_say_plain_values(decorator, seen, file):
    file.write_text(f"from frog_cli import ideas\n@ideas.{decorator}\ndef f(x): ...\n")
    with pytest.raises(RequestError) as refused:
        declared(file)
    assert seen in str(refused.value)


def test_a_file_may_be_written_in_any_encoding_of_python(file):
    text = "from frog_cli import ideas\n@ideas.function(start=0)\ndef f(x):\n    'é'\n"
    for written in (text.encode("utf-8-sig"), f"# coding: latin-1\n{text}".encode("latin-1")):
        file.write_bytes(written)
        assert declared(file)[0].documentation == "é"


def test_a_function_needs_its_start(file):
    file.write_text("from frog_cli import ideas\n@ideas.function\ndef f(x): ...\n")
    with pytest.raises(RequestError, match=r"line 3: function f needs its start, as in @ideas.function\(start=0.0\)"):
        declared(file)


def test_a_file_that_is_not_there_is_refused(file):
    with pytest.raises(RequestError, match="cannot be read: No such file"):
        declared(file)


def test_nothing_heavy_is_imported_to_read_declarations():
    code = "import sys, frog_cli.ideas.sources as s; list(s.declarations([])); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
