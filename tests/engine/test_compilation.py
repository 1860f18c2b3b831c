"""Compiled recordings: the numbers of those that are not, whatever the weights become, and no silent others."""

from __future__ import annotations

import pytest
import torch

from frog_cli.engine import compilation, fast_products, fast_self_attention
from frog_cli.engine.fast_products import LONG, matrix_product
from frog_cli.engine.faster_rules import faster_jets
from frog_cli.engine.recording import record
from frog_cli.gradients import AGGREGATIONS, TANGENTS, ForwardGradient
from frog_cli.gradients.measurement import forward
from frog_cli.jets.attention import self_attention as attend
from tests.cases import case, sample_loss
from tests.engine.test_recording import SPACES, change, replayed
from tests.engine.test_recording import generator as new_generator


@pytest.mark.first
@pytest.mark.parametrize("aggregation", ["mean", "projection"])
@pytest.mark.parametrize("space", SPACES)
def test_a_compiled_step_follows_the_weights_as_they_change(space, aggregation):
    model, images, labels = case("mlp")
    estimator, where = SPACES[space]
    method = ForwardGradient(k=6, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS[aggregation])
    compiled = replayed(method, where, model, compiled=True)
    run_from, compiled_from = new_generator(), new_generator()
    for _ in range(3):
        run = estimator(method, model, sample_loss, images, labels, run_from)
        found = compiled(images, labels, compiled_from)
        for expected, ours in zip([run.loss, *run.gradients], [found.loss, *found.gradients], strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-12)
        change(model)


def test_operations_that_the_compiler_does_not_know_are_called(generator, monkeypatch):
    monkeypatch.setattr(fast_self_attention, "LARGE", 0)
    monkeypatch.setattr(fast_products, "FASTER_HERE", fast_products.AVAILABLE)
    weight, bias = torch.randn(300, 100, generator=generator), torch.randn(300, generator=generator)
    projections, changes = torch.randn(18, 6, generator=generator), torch.randn(8, 4, 5, 6, generator=generator)

    def function(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        tokens = x[:40, :3].reshape(4, 5, 6)
        attended = (
            forward(lambda x, A=A: (attend(x, projections, bias[:18], 2, A), ()), (tokens,), given)
            for A, given in ((None, (changes[:1],)), (1, (changes,)))  # projected first and last
        )
        return (
            torch.nn.functional.linear(x, weight, bias),
            matrix_product(x, weight.mT),
            torch.ones(len(x), 20).mT @ x,
            *(slopes for _, slopes, _ in attended),
        )

    x = torch.randn(LONG, 100, generator=generator)
    with faster_jets():
        compiled = record(function, x, compiled=True)
        torch.testing.assert_close(compiled(x), function(x), rtol=1e-4, atol=1e-3)


def test_a_compiler_that_miscomputes_is_found_out(monkeypatch):
    monkeypatch.setattr(compilation, "compile_graph", lambda recording, examples: lambda *_: (examples[0] + 1e-3,))
    with pytest.raises(RuntimeError, match="differs from the same step without compilation"):
        record(lambda x: (x * 1,), torch.ones(3, dtype=torch.float64), compiled=True)


def test_a_compiler_that_fails_is_told_in_one_line(monkeypatch):
    def fail(recording, examples):
        raise OSError("no C++ compiler found")

    monkeypatch.setattr(compilation, "compile_graph", fail)
    with pytest.raises(RuntimeError, match="compile=true: a step cannot be compiled here: no C"):
        record(lambda x: (x + 1,), torch.ones(3), compiled=True)
