"""tangents=local in runs: what trains, resumes and is refused."""

from __future__ import annotations

import pytest
import torch

from frog_cli.cli import main
from frog_cli.data.dataset import load
from frog_cli.objectives.classification import Classification
from frog_cli.runs.identity import identity
from frog_cli.settings.requests import train_request
from tests.objectives.courses import check_that_it_goes_on_bitwise, remaining_rows

CPU = torch.device("cpu")
SMALL = ["data.limit=96", "batch_size=32", "epochs=2", "learning_rate=0.1"]
LOCAL = [*SMALL, "tangents=local"]
VIT = ["model=vit", "model.depth=1", "model.hidden=8", "model.mlp=8", "model.dropout=0.5"]


def network(*words: str) -> Classification:
    run = train_request([*LOCAL, *words]).runs[0]
    return Classification(run, load(run.data, CPU), CPU)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["tangents.depth=1", "tangents.random=3"],
        ["gradient.measure=simulated", "gradient=sum"],
        ["gradient.measure=greedy"],
        ["tangents.random=3", "tangents.per=sample"],
        ["tangents=normal", "tangents.per=sample", "gradient.k=4"],
        VIT,
    ],
)
def test_a_run_goes_on_bitwise_from_any_step(words):
    check_that_it_goes_on_bitwise(lambda: network(*words))


def test_greedy_slopes_give_the_gradients_of_the_layers_own_losses():
    """Each layer then follows its own loss alone, of which plain autograd says the gradient."""
    objective = network("gradient.measure=greedy", "model.width=16")
    model, heads = objective._model, objective._heads._heads
    images, labels = (one[:32] for one in objective._data.training)
    torch.manual_seed(0)
    for parameter in heads.parameters():
        torch.nn.init.normal_(parameter)
    entering, expected = images, []
    for layer, head in zip(model, [*heads, None], strict=True):
        output = layer(entering.detach())
        seen = output if head is None else head(output / output.norm(dim=1, keepdim=True))
        expected += torch.autograd.grad(torch.nn.functional.cross_entropy(seen, labels), list(layer.parameters()))
        entering = output
    found = objective._gradient(images, labels, torch.Generator()).gradients
    for gradient, own in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, own, rtol=1e-4, atol=1e-6)


def test_two_local_tangents_for_each_layer_learn_more_than_as_many_random_ones():
    def loss(*words: str) -> float:
        run = train_request(["data.limit=400", "batch_size=32", "epochs=4", "model.width=32", *words]).runs[0]
        objective = Classification(run, load(run.data, CPU), CPU)
        objective.measure()
        return min(row[0]["training_loss"] for row in remaining_rows(objective))

    local = loss("tangents=local", "tangents.depth=1", "learning_rate=0.3")
    assert local < 0.6 * loss("gradient.k=5", "learning_rate=0.3")


def test_the_number_of_tangents_has_no_part_in_the_identity_and_the_options_have():
    def name(*words: str) -> str:
        return identity(train_request([*LOCAL, *words]).runs[0])

    assert "projection-local" in name()
    assert "k16" not in name()
    assert len({name(), name("tangents.depth=1"), name("tangents.random=1"), name("tangents.rate=0.1")}) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tangents=normal", "tangents.per=sample", "objective=sphere"], "tangents.per=sample: needs the layers of a"),
        (
            ["tangents=normal", "tangents.per=sample", "gradient.perturb=weights"],
            "tangents.per=sample: needs the layer",
        ),
        (["tangents=normal", "tangents.per=sample", "gradient=fomoh"], "tangents.per=sample: needs the layers of a"),
        (["tangents=normal", "tangents.per=all"], "tangents.per=all: must be 'batch' or 'sample'"),
        (["objective=sphere"], "tangents=local: needs the layers of a network"),
        (["gradient.perturb=weights"], "tangents=local: needs the layers of a network"),
        (["gradient.chunk_size=2"], "tangents=local: needs the layers of a network"),
        (["compile=true"], "tangents=local: needs the layers of a network"),
        (["gradient=fomoh"], "tangents=local: needs the layers of a network"),
        (["gradient.k=4"], "gradient.k=4: tangents=local has one or more for each layer"),
        (["tangents=normal", "gradient.measure=greedy"], "gradient.measure=greedy: needs tangents=local"),
        (["tangents.depth=-1"], "tangents.depth=-1: must be a whole number, at least 0"),
        (["tangents.rate=0"], "tangents.rate=0: must be a finite number above 0"),
    ],
)
def test_refusals(words, message, capsys, runs):
    assert main(["train", *words, *([] if "tangents=normal" in words else ["tangents=local"])]) == 2
    assert capsys.readouterr().err.startswith(f"frog: {message}")
    assert not runs.exists()
