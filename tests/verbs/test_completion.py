"""Completion as the shells do it, and that it knows what there is."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest

from frog_cli.cli import VERBS, main
from frog_cli.settings import composing
from frog_cli.verbs.completion import words

CASES = [
    ("frog tr", {"train"}),
    ("frog train gradient=pro", {"gradient=projection"}),
    ("frog train -m gradient.measure=s", {"gradient.measure=simulated"}),
    ("frog train seed=0 model=mlp", {"model=mlp", "model=mlp_mixer"}),
    ("frog train tangents.ang", {"tangents.angle="}),
    ("frog reproduce fomoh_r", {"fomoh_rosenbrock_2d", "fomoh_rosenbrock_10d"}),
    ("frog submit slurm.ti", {"slurm.time="}),
    ("frog search search.evalu", {"search.evaluations="}),
    ("frog evaluate runs/x which=", {"which=best", "which=last"}),
    ("frog table --h", {"--html"}),
    ("frog data ci", {"cifar10", "cifar100"}),
    ("frog train nothing_like_this", set()),
]
# what bash breaks words at by itself, = among it
BASH = """
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
compopt() { :; }
COMP_LINE="$1" COMP_POINT=${#1}
_frog
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
compdef() {} ; _files() {}
compadd() { if [[ $@[-1] == options ]]; then print -l -- $options; else print -l -- $values; fi }
words=(${=1}) CURRENT=${#words}
"""


def script(shell: str, capsys) -> str:
    assert main(["--completion", shell]) == 0
    return capsys.readouterr().out


def found(shell: str, code: str, line: str) -> set[str]:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    done = subprocess.run([shell, "-c", code, shell, line], capture_output=True, text=True, check=True)
    return {word for word in done.stdout.splitlines() if word}


@pytest.mark.parametrize(("line", "expected"), CASES)
def test_bash(line, expected, capsys):
    start = line.rpartition(" ")[2]
    before = start.rpartition("=")[0] + "=" if "=" in start else ""
    assert found("bash", script("bash", capsys) + BASH, line) == {word.removeprefix(before) for word in expected}


@pytest.mark.parametrize(("line", "expected"), CASES)
def test_zsh(line, expected, capsys):
    """Which takes of all words that it is given those that begin as the one that is completed."""
    offered = found("zsh", ZSH + script("zsh", capsys).removesuffix("compdef _frog frog\n") + "\n_frog\n", line)
    assert {word for word in offered if word.startswith(line.rpartition(" ")[2])} == expected


@pytest.mark.parametrize(("line", "expected"), CASES)
def test_fish(line, expected, capsys):
    code = script("fish", capsys) + "\ncomplete -C $argv[1]\n"
    if shutil.which("fish") is None:
        pytest.skip("needs fish")
    done = subprocess.run(["fish", "-c", code, line], capture_output=True, text=True, check=True)
    offered = {word.split("\t")[0] for word in done.stdout.splitlines()}
    assert {word for word in offered if word.startswith(line.rpartition(" ")[2])} == expected


def test_a_key_takes_less_than_a_fifth_of_a_second(capsys):
    code = script("bash", capsys) + BASH
    start = time.perf_counter()
    for line, _ in CASES[:5]:
        found("bash", code, line)
    assert (time.perf_counter() - start) / 5 < 0.2


def test_every_verb_choice_and_option_is_known():
    known = words("train")
    for group, names in composing.groups("train").items():
        assert {f"{group}={name}" for name in names} <= {*known}
    for option in ("seeds=", "gradient.k=", "gradient.eigenvalues=signed", "data.size=", "keep_weights=true",
                   "optimizer.name=", "objective.n=", "checkpoint.rows=", "learning_rate=curvature"):  # fmt: skip
        assert option in known or any(word.startswith(option.partition("=")[0] + "=") for word in known), option
    assert not any(" " in word for verb in VERBS for word in words(verb))


@pytest.mark.parametrize("arguments", [[], ["tcsh"], ["bash", "zsh"]])
def test_other_shells_are_refused(arguments, capsys):
    assert main(["--completion", *arguments]) == 2
    assert capsys.readouterr().err == f"frog: {' '.join(['--completion', *arguments])}: needs one of bash, zsh, fish\n"
