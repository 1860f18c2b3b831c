"""What --help shows: every option of every choice, with its default, its meaning and what is allowed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import yaml
from pydantic import BaseModel

from frog_cli.cli import main
from frog_cli.files.shipped import folder
from frog_cli.settings import idea_groups, schema, verb_options
from frog_cli.settings.composing import GROUPS, compose_settings, groups
from frog_cli.settings.option_help import INDENT, WIDTH, about

SCHEMAS = [
    one
    for one in (vars(schema) | vars(verb_options)).values()
    if isinstance(one, type) and issubclass(one, BaseModel) and one is not BaseModel
]
OWN = {
    "search": ("search", "search."),
    "slurm": ("submit", "slurm."),
    "bench": ("bench", "bench."),
    "quality": ("quality", ""),
}
CHOICES = [f"{group}={name}" for group, names in groups("train").items() for name in names]


def shown(capsys, *words: str) -> str:
    assert main([*words, "--help"]) == 0
    return capsys.readouterr().out


def described(text: str) -> dict[str, str]:
    """Return the entries of the two columns, by what stands on the left, in one line each."""
    entries: dict[str, str] = {}
    left = ""
    for line in text.splitlines():
        if line.startswith(" " * 30) and left:
            entries[left] = f"{entries[left]} {line.strip()}".strip()
        elif line.startswith("  ") and "=" in line:
            left = line[:30].strip() if line[29:30] in ("", " ") else line.strip()
            entries[left] = line[30:].strip() if left != line.strip() else ""
    return entries


def leaves(settings: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@pytest.mark.parametrize("one", SCHEMAS, ids=lambda one: one.__name__)
def test_every_option_of_every_schema_has_a_description(one):
    """But for the name of a choice, the bounds of an interval, and what has options of its own."""
    for name, field in one.model_fields.items():
        nested = any(f"{other.__name__}" in str(field.annotation) for other in SCHEMAS) and name != "also"
        if not nested and name != "name" and one is not verb_options.Interval:
            assert field.description, f"{one.__name__}.{name}"


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_is_explained_where_it_stands(choice):
    group, _, name = choice.partition("=")
    if name not in idea_groups.own_names(group):
        assert (folder("conf") / group / f"{name}.yaml").read_text().startswith("# ")
    assert len(about(group, name)) <= WIDTH - INDENT


@pytest.mark.parametrize("choice", CHOICES)
def test_every_default_of_every_choice_is_shown(choice, capsys):
    text = shown(capsys, "train", choice)
    assert f"\n* {choice}" in text
    entries = described(text)
    for name, value in leaves(compose_settings("train", [choice])[1]):
        if name.removesuffix(".name") not in GROUPS:
            default = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
            assert len(entries[f"{name}={default}"]) > 10, name


@pytest.mark.parametrize("verb", OWN)
def test_every_default_of_a_verb_is_shown(verb, capsys):
    command, prefix = OWN[verb]
    entries = described(shown(capsys, command))
    defaults = yaml.safe_load((folder("conf") / verb / f"{verb}.yaml").read_text())
    for name, value in defaults.items():
        default = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
        assert len(entries[f"{prefix}{name}={default}"]) > 10, name


def test_what_is_allowed_is_told(capsys):
    entries = described(shown(capsys, "train", "gradient=fomoh_kd", "tangents=cone", "data=image_folder"))
    assert entries["gradient.k=2"] == "number of tangents (a whole number, at least 1)"
    assert entries["gradient.on_failure=skip"].endswith("(skip | stop)")
    assert entries["tangents.angle=45.0"].endswith("(an angle in degrees above 0, at most 90)")
    assert entries["data.stands_for=null"].endswith("(mnist | cifar10 | null)")
    assert "gradient.measure=forward" not in entries


def test_plain_help_names_the_options_of_other_choices(capsys):
    entries = described(shown(capsys, "train"))
    assert entries["gradient=fomoh, fomoh_bp"] == "gradient.damping, gradient.on_failure"
    assert entries["gradient=fomoh_kd"] == "gradient.on_failure, gradient.eigenvalues"
    assert entries["gradient=newton"] == "gradient.eigenvalues, gradient.on_failure"
    assert entries["tangents=cone, normalised_cone"] == "tangents.angle"
    assert entries["data=cifar10, cifar100, mnist, fashion_mnist, svhn"] == "data.root, data.download"
    assert "steps, record_every" in entries["objective=sphere, rosenbrock, styblinski-tang"]


def test_the_options_of_a_sweep_are_those_of_its_first_choices(capsys):
    assert "gradient.damping=1.0e-08" in described(shown(capsys, "train", "-m", "gradient=fomoh,mean", "seed=0,1"))


def test_an_own_idea_and_its_options_are_shown_also_without_a_description(tmp_path, capsys):
    file = tmp_path / "my_ideas.py"
    file.write_text(
        "from frog_cli import ideas\n\n@ideas.model\ndef small(image, classes, *, width: int = 6, depth: int = 2):\n"
        '    """A small one.\n\n    Args:\n        depth: hidden layers.\n    """\n'
    )
    text = shown(capsys, "train", f"ideas=[{file}]", "model=small")
    assert re.search(r"^\* model=small +A small one$", text, flags=re.MULTILINE)
    entries = described(text)
    assert (entries["model.width=6"], entries["model.depth=2"]) == ("", "hidden layers")


def test_other_words_do_not_matter(capsys):
    entries = described(shown(capsys, "train", "gradient.k=0", "gradint=x", "gradient.tangents=cone", "--cfg"))
    assert {"gradient.k=16", "tangents.angle=45.0"} < entries.keys()


def test_an_experiment_may_change_what_a_search_does(capsys):
    entries = described(shown(capsys, "search", "experiment=fomoh_logistic_regression"))
    assert "search.also={batch_size: [128, 512, 1024, 2048]}" in entries


@pytest.mark.parametrize("words", [["gradient=foo"], ["gradient=mean,sum"]])
def test_wrong_choices_are_refused(words, capsys):
    assert main(["train", *words, "--help"]) == 2
    assert capsys.readouterr().err.startswith(f"frog: {words[0]}: ")


@pytest.mark.parametrize("words", [["train", "model=vit"], ["search"], ["submit"], ["bench"], ["quality"]])
def test_help_is_narrow_and_needs_no_torch(words):
    code = "import sys; from frog_cli.cli import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *words, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\nFalse\n")
    assert max(map(len, done.stdout.splitlines())) <= 120
