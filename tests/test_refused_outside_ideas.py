"""What is refused of ideas from outside, and when."""

from __future__ import annotations

import subprocess
import sys

import pytest

from frog_cli.cli import main
from frog_cli.errors import RequestError
from frog_cli.settings.requests import search_request, train_request
from tests.test_outside_ideas import CHOICES, DIGITS, IDEAS


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_ideas.py"
    path.write_text(IDEAS)
    return path


REFUSED = {
    "tangents=laplace tangents.scale=wide": "tangents.scale=wide: must be a valid number",
    "tangents=laplace tangents.width=1": "tangents.width=1: unknown option",
    "tangents=laplac": "tangents=laplac: must be one of antithetic, cone, gated, hadamard, layerwise, local, normal",
    "gradient=clipped_mean gradient.k=0": "gradient.k=0: must be a whole number, at least 1",
    "tangents=laplace ideas=my_ideas.py": "ideas=my_ideas.py: must be a list of files and modules",
    "tangents=laplace ideas=[*.py]": "ideas=[*.py]: must be a list of files and modules",
    "tangents=regenerated gradient.perturb=weights gradient=clipped_mean": "tangents=regenerated: needs an aggregation",
}


@pytest.mark.parametrize(
    ("kind", "name", "choice"),
    [
        ("aggregation(gram_only=True)", "newton", "gradient=newton"),
        ("aggregation", "backprop", "gradient=backprop"),
        ("aggregation", "mean", "aggregation mean"),
        ("function(start=0.0)", "classification", "objective=classification"),
    ],
)
def test_an_idea_that_is_called_like_one_of_frogs_choices_is_refused(kind, name, choice, file, runs, capsys):
    arguments = "x" if kind.startswith("function") else "tangents, slopes"
    file.write_text(f"{IDEAS}\n\n@ideas.{kind}\ndef {name}({arguments}): ...\n")
    chosen = choice if "=" in choice else "gradient=mean"
    for words in ([chosen], ["tangents=laplace"]):
        assert main(["train", f"ideas=[{file}]", *words, *DIGITS]) == 2
        assert f"line 50: {choice} is built in\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "arguments", "name", "told"),
    [
        (
            "aggregation",
            "tangents, slopes",
            "gauss_newton",
            "is the name of one step rule as well",
        ),
        ("step_rule", "slopes, curvature", "mean", "is the name of one aggregation as well"),
        (
            "step_rule",
            "slopes, curvature",
            "clipped_mean",
            "is the name of one aggregation as well",
        ),
        (
            'step_rule(curvature="fisher")',
            "slopes, curvature",
            "own",
            "of own must be hessian or gauss_newton",
        ),
        (
            "aggregation",
            "tangents, slopes, *, on_failure: int = 1",
            "own",
            "on_failure of own must have another",
        ),
        ("aggregation", "tangents, slopes, *, spacing: float = 1.0", "own", "spacing of own must have another"),
        ("step_rule", "slopes, curvature, *, on_failure: int = 1", "own", "on_failure of own must have another"),
    ],
)
def test_what_would_be_taken_for_something_else_is_refused(kind, arguments, name, told, file, runs, capsys):
    file.write_text(f"{IDEAS}\n\n@ideas.{kind}\ndef {name}({arguments}): ...\n")
    assert main(["train", f"ideas=[{file}]", "gradient=mean", *DIGITS]) == 2
    assert told in capsys.readouterr().err


def test_an_option_that_is_frogs_in_another_kind_is_an_ideas_own(file, runs, capsys):
    file.write_text(
        f"{IDEAS}\n\n@ideas.model\ndef wide(image, classes, *, epsilon: float = 0.5, spacing: float = 2.0):\n"
        '    """One."""\n    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, classes))\n'
    )
    assert main(["train", f"ideas=[{file}]", "model=wide", "model.spacing=3.0", *DIGITS]) == 0


def test_an_aggregation_that_says_it_needs_more_than_the_gram_matrix_is_refused_at_once(file):
    file.write_text(
        IDEAS.replace("@ideas.aggregation\ndef clipped", "@ideas.aggregation(gram_only=False)\ndef clipped")
    )
    words = ["tangents=regenerated", "gradient=clipped_mean", "gradient.perturb=weights", *DIGITS]
    with pytest.raises(RequestError, match="says so with gram_only; clipped_mean does not"):
        train_request([f"ideas=[{file}]", *words])


@pytest.mark.parametrize("promise", ["gram_only=True", "of_slopes_alone=True"])
@pytest.mark.parametrize("factor", ["tangents.shape[-1]", "tangents.abs().sum()", "1"])
def test_a_promise_that_does_not_hold_is_refused_where_it_matters(promise, factor, file, runs, capsys):
    text = IDEAS.replace("@ideas.aggregation\ndef clipped", f"@ideas.aggregation({promise})\ndef clipped")
    file.write_text(text.replace("return slopes.clamp", f"return {factor} * slopes.clamp"))
    words = ["gradient=clipped_mean", "gradient.perturb=weights", "gradient.k=2", "model.width=2", *DIGITS, "epochs=1"]
    status = main(["train", f"ideas=[{file}]", "tangents=regenerated", *words])
    assert status == (0 if factor == "1" else 2)
    assert ("aggregation clipped_mean depends on V otherwise" in capsys.readouterr().err) == (status == 2)


@pytest.mark.parametrize("words", REFUSED)
def test_wrong_requests_are_refused_in_one_line(words, file, runs, capsys):
    given = words.split()
    ideas = [] if any(word.startswith("ideas=") for word in given) else [f"ideas=[{file}]"]
    assert main(["train", *ideas, *given, *DIGITS]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"frog: {REFUSED[words]}")
    assert told.count("\n") == 1
    assert not runs.exists()


def test_a_sampler_of_a_wrong_shape_is_refused_before_the_run(file, runs, capsys):
    file.write_text(IDEAS.replace("return -scale", "return -scale * torch.ones(3, 1, 1)"))
    assert main(["train", f"ideas=[{file}]", *CHOICES["tangents"]]) == 2
    assert "tangents laplace must return a tensor of shape [2, 4]" in capsys.readouterr().err
    assert not list(runs.glob("*/metrics.csv"))


SEARCHED = {
    "{objective.depth: [1.0, wide, 2.0]}": "objective.depth=wide: must be a valid number",
    "{objective.depth: [1.0, true]}": "objective.depth=true: must be a valid number",
    "{objective.how: [a, c, b]}": "objective.how=c: must be 'a' or 'b'",
    "{objective.times: {low: 1, high: 2, log: false}}": "objective.times=1.0: must be a valid integer",
    "{objective.width: [1]}": "objective.width=1: unknown option",
    "{objective.depth: [[1], [2]]}": "search.also.objective.depth=[[1], [2]]: must be a list of values",
}


@pytest.mark.parametrize("also", SEARCHED)
def test_a_search_refuses_all_values_that_an_option_cannot_have(also, file, runs):
    options = "depth: float = 20.0, how: Literal['a', 'b'] = 'a', times: int = 1"
    file.write_text(IDEAS.replace("depth: float = 20.0", options))
    words = [f"ideas=[{file}]", "objective=ackley", "objective.n=4", f"search.also={also}"]
    with pytest.raises(RequestError) as refused:
        search_request(words)
    assert str(refused.value).startswith(SEARCHED[also])


def test_a_search_tries_any_text(file):
    file.write_text(IDEAS.replace("depth: float = 20.0", "depth: float = 20.0, note: str = ''"))
    words = ["objective=ackley", "search.also={objective.note: ['true', '1', 'a, b', \"it's\"]}"]
    assert search_request([f"ideas=[{file}]", *words]).search.also == {"objective.note": ["true", "1", "a, b", "it's"]}


WRONG = {
    "what a sampler raises": (
        "return -scale",
        "1 / 0; return -scale",
        "tangents",
        "tangents laplace raises: ZeroDivi",
    ),
    "slopes that are left out": (
        "clamp(-largest, largest)",
        "sum(-2)",
        "aggregation",
        "must return a tensor of shape [2",
    ),
    "one coefficient": (
        "return slopes.clamp(-largest, largest)",
        "return slopes[0, 0]",
        "aggregation",
        "of shape [2, 3]",
    ),
    "two values": ("mean(-1).exp()", "mean(-1, keepdim=True).exp()", "function", "must return values [2] of torch.f"),
    "one value": ("mean(-1).exp()", "mean().exp()", "function", "must have one value at a point, whichever"),
    "a start of another length": (
        "start=-1.0",
        "start=lambda n: torch.ones(n + 1)",
        "function",
        "8 finite real numbers",
    ),
    "a start that is no number": ("start=-1.0", "start=float('nan')", "function", "8 finite real numbers, not [8] of"),
    "a start that changes": (
        "start=-1.0",
        "start=torch.randn",
        "function",
        "start of ackley must be the same each time",
    ),
    "points that are written to": ("x.square()", "x.mul_(2)", "function", "ackley must not write to its points"),
}


@pytest.mark.parametrize("what", WRONG)
def test_ideas_that_return_something_else_are_refused_before_the_run(what, file, runs, capsys):
    right, wrong, kind, message = WRONG[what]
    assert right in IDEAS
    file.write_text(IDEAS.replace(right, wrong))
    assert main(["train", f"ideas=[{file}]", *CHOICES[kind]]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not list(runs.glob("*/metrics.csv"))


def test_rounding_at_a_minimum_is_no_reason_to_refuse(file, runs):
    file.write_text(IDEAS.replace("start=-1.0", "start=0.0"))
    assert main(["train", f"ideas=[{file}]", *CHOICES["function"], "objective.dtype=float32", "objective.n=999"]) == 0


def test_a_sampler_is_held_to_the_shape_that_it_is_asked_for(file, capsys):
    file.write_text(IDEAS.replace("return -scale", "uniform = uniform[:2]; return -scale"))
    words = ["gradient=mean", "gradient.k=3", "gradient.perturb=weights"]
    assert main(["train", f"ideas=[{file}]", *CHOICES["tangents"], *words]) == 2
    assert "tangents laplace must return a tensor of shape [3," in capsys.readouterr().err


def test_refusals_import_neither_torch_nor_the_idea(file):
    file.write_text(f"{IDEAS}\nraise SystemExit('imported')\n")
    code = (
        "import sys; from frog_cli.cli import main; status = main(sys.argv[1:]); "
        "print(status, 'torch' in sys.modules, file=sys.stderr)"
    )
    words = ["train", f"ideas=[{file}]", "tangents=laplace", "tangents.scale=wide", *DIGITS]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stderr.endswith("2 False\n")


MODELS = {
    "five scores": (
        "nn.Sequential(nn.Flatten(), nn.Linear(64, 5))",
        "must return scores [2, 10] for images [2, 1, 8, 8]",
    ),
    "no flattening": (
        "nn.Sequential(nn.Linear(8, 10))",
        "must return scores [2, 10] for images [2, 1, 8, 8], not [2, 1",
    ),
    "no module": ("[nn.Linear(64, 10)]", "must return a torch.nn.Module, not a list"),
    "raises": ("nn.Linear(64)", "line 6: model own raises: TypeError"),
    "several tensors": ("Two()", "must return scores [2, 10] for images [2, 1, 8, 8], not a tuple"),
    "another size": ("nn.Sequential(nn.Flatten(), nn.Linear(63, 10))", "model own raises: RuntimeError"),
}


@pytest.mark.parametrize("what", MODELS)
def test_a_network_that_does_not_score_classes_is_refused_before_the_run(what, tmp_path, runs, capsys):
    built, told = MODELS[what]
    path = tmp_path / "own.py"
    path.write_text(
        "from torch import nn\nfrom frog_cli import ideas\n\n@ideas.model\ndef own(image, classes):\n"
        f"    return {built}\n\nclass Two(nn.Flatten):\n    def forward(self, x):\n        return x, x\n"
    )
    assert main(["train", f"ideas=[{path}]", "model=own", "epochs=1", "gradient=backprop", "learning_rate=0.1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert line.startswith(f"frog: ideas={path}")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["gradient=fomoh"], "gradient=fomoh: the curvature cannot be measured: no forward-mode rule"),
        (["gradient=fomoh_kd", "gradient.k=2"], "gradient=fomoh_kd: the curvature cannot be measured: no forward"),
        (["learning_rate=curvature"], "learning_rate=curvature: the curvature cannot be measured: no forward"),
    ],
)
def test_a_network_whose_curvature_cannot_be_measured_is_refused_before_the_run(words, told, tmp_path, runs, capsys):
    path = tmp_path / "own.py"
    path.write_text(
        "import torch\nfrom torch import nn\nfrom frog_cli import ideas\n\nclass Log(nn.Module):\n"
        "    def forward(self, x):\n        return torch.sinc(x.square() + 1)\n\n@ideas.model\n"
        "def own(image, classes):\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes), Log())\n"
    )
    words = ["epochs=1", "data.limit=20", "learning_rate=0.1", *words]
    assert main(["train", f"ideas=[{path}]", "model=own", *words]) == 2
    assert told in capsys.readouterr().err
