from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch.nn.functional import cross_entropy

from frog_cli.data.dataset import load
from frog_cli.objectives.classification import Classification
from frog_cli.settings.requests import train_request

CPU = torch.device("cpu")


def start(*overrides: str) -> tuple[Classification, object]:
    run = train_request(overrides).runs[0]
    data = load(run.data, CPU)
    return Classification(run, data, CPU), data


def epochs(objective: Classification) -> list[dict]:
    rows = objective.measure()
    while objective.outcomes() == ["running"]:
        objective.epoch()
        rows += objective.measure()
    return rows


def test_measures_whole_splits_whatever_the_batch():
    losses = []
    for size in (7, 4096):
        objective, data = start(f"evaluation_batch_size={size}")
        (row,) = objective.measure()
        losses.append([row[f"{split}_loss"] for split in ("training", "validation", "test")])
        outputs = objective._model(data.test.images)
        assert row["test_loss"] == pytest.approx(cross_entropy(outputs, data.test.labels).item(), rel=1e-5)
        correct = (outputs.argmax(1) == data.test.labels).sum().item()
        assert row["test_accuracy_percent"] == pytest.approx(100 * correct / 300)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_backprop_epoch_is_plain_sgd():
    objective, data = start("gradient=backprop", "learning_rate=0.1", "batch_size=50")
    model = start("gradient=backprop")[0]._model
    order = objective._order.clone_state()
    objective.epoch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch in torch.randperm(1200, generator=order).split(50):
        optimizer.zero_grad()
        cross_entropy(model(data.training.images[batch]), data.training.labels[batch]).backward()
        optimizer.step()
    for expected, found in zip(model.parameters(), objective._model.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_a_run_goes_on_from_the_state_of_another_kind_of_device():
    """Generators of a GPU have states of 16 bytes; all else that they leave is the same."""
    words = ("model.width=8", "data.limit=64", "gradient=mean", "gradient.k=2", "epochs=2")
    objective, _ = start(*words)
    objective.measure()
    objective.epoch()
    (state,) = objective.states()
    of_card = torch.arange(16, dtype=torch.uint8)
    own, _, *others = state["random_numbers"]
    state |= {"tangents": of_card, "random_numbers": [own, of_card, *others]}
    losses = []
    for _ in range(2):
        going_on = start(*words)[0]
        going_on.restore([deepcopy(state)])
        losses.append([row["training_loss"] for row in epochs(going_on)])
    assert losses[0] == losses[1]
    assert len(losses[0]) == 2


@pytest.mark.parametrize("perturb", ["weights", "activities"])
def test_simulated_and_forward_train_alike(perturb):
    rows = {}
    for measure in ("forward", "simulated"):
        options = (f"gradient.measure={measure}", f"gradient.perturb={perturb}", "epochs=2", "learning_rate=0.3")
        rows[measure] = epochs(start(*options)[0])
    for forward, simulated in zip(rows["forward"], rows["simulated"], strict=True):
        assert simulated["training_loss"] == pytest.approx(forward["training_loss"], rel=1e-3)


def test_same_seed_same_rows_other_seed_others():
    first, again, other = (epochs(start("epochs=1", f"seed={seed}")[0]) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_gradients_share_initial_weights_and_batches():
    weights = [start(f"gradient={name}")[0]._model[0][1].weight for name in ("backprop", "mean", "projection")]
    assert all(torch.equal(weights[0], other) for other in weights)


def test_the_last_smaller_batch_counts():
    objective, _ = start("batch_size=1000", "epochs=2")
    assert [row["step"] for row in epochs(objective)] == [0, 2, 4]


def test_stops_early_by_the_validation_loss():
    objective, _ = start("gradient=backprop", "early_stopping.patience=2", "epochs=40")
    losses = [row["validation_loss"] for row in epochs(objective)]
    assert objective.outcomes() == ["stopped_early"]
    assert losses.index(min(losses)) == len(losses) - 3
    for end in range(3, len(losses)):
        assert losses.index(min(losses[:end])) > end - 3


def test_divergence_names_the_step():
    objective, _ = start("gradient=backprop", "learning_rate=0.1", "epochs=3", "batch_size=100")
    objective.measure()
    objective.epoch()
    objective.measure()
    with torch.no_grad():
        objective._model[0][1].weight.fill_(torch.nan)
    objective.epoch()
    objective.measure()
    assert objective.outcomes() == ["diverged"]
    assert objective.summaries()[0]["diverged_at_step"] == 13
    best = objective.summaries()[0]["best_test_error_epoch"]
    assert best < 2  # what a network of NaN weights answers by chance is no result


def test_a_loss_above_the_bound_counts_as_divergence():
    objective, _ = start("diverged_above=0.5")
    assert epochs(objective)[-1]["epoch"] == 0
    assert objective.outcomes() == ["diverged"]


def test_summary_tells_best_and_last():
    objective, _ = start("epochs=4", "gradient=backprop")
    rows = epochs(objective)
    errors = [100 - row["test_accuracy_percent"] for row in rows]
    (summary,) = objective.summaries()
    assert summary["best_test_error_percent"] == min(errors)
    assert summary["last_test_error_percent"] == errors[-1]
    assert errors[summary["best_test_error_epoch"]] == min(errors)
    assert summary["best_validation_loss"] == min(row["validation_loss"] for row in rows)


@pytest.mark.parametrize("model", ["mlp", "logistic_regression"])
def test_forward_gradients_learn_the_digits(model):
    objective, _ = start(f"model={model}", "epochs=25")
    rows = epochs(objective)
    assert rows[-1]["test_accuracy_percent"] > 85


SECOND_ORDER = ["gradient=fomoh", "gradient=fomoh_bp", "gradient=fomoh_kd gradient.k=3"]


@pytest.mark.parametrize("gradient", SECOND_ORDER)
def test_second_order_searches_learn_the_digits(gradient):
    objective, _ = start(*gradient.split(), "model=logistic_regression", "learning_rate=0.1", "epochs=5")
    rows = epochs(objective)
    assert rows[-1]["training_loss"] < 0.9 * rows[0]["training_loss"]
    assert objective.summaries()[0]["failed_steps"] == 0


@pytest.mark.parametrize("gradient", SECOND_ORDER)
def test_second_order_searches_train_mnist_at_the_published_settings(mnist_root, gradient):
    overrides = ["experiment=fomoh_logistic_regression", *gradient.split(), f"data.root={mnist_root}", "epochs=1"]
    run = train_request(overrides).runs[0]
    rows = epochs(Classification(run, load(run.data, CPU), CPU))
    assert rows[1]["training_loss"] < rows[0]["training_loss"]


def test_published_rate_trains_mnist(mnist_root):
    overrides = ("experiment=mlp_mnist", "model.width=256", "gradient=projection", "gradient.k=16")
    run = train_request([*overrides, "learning_rate=published", f"data.root={mnist_root}", "epochs=2"]).runs[0]
    assert run.learning_rate == 0.0423211210327168
    rows = epochs(Classification(run, load(run.data, CPU), CPU))
    assert [row["step"] for row in rows] == [0, 782, 1564]
    assert rows[-1]["test_accuracy_percent"] > 75
    assert rows[-1]["training_loss"] < rows[1]["training_loss"] < rows[0]["training_loss"]
