"""Weight and activity perturbation against reverse mode and an independent projection."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from frog_cli.gradients import (
    AGGREGATIONS,
    TANGENTS,
    ForwardGradient,
    estimate_from_activities,
    estimate_from_weights,
    measurement,
)
from frog_cli.gradients.activities import activity_sizes
from frog_cli.gradients.aggregation import projection
from frog_cli.gradients.weights import backprop
from frog_cli.models.resnet18 import resnet18
from frog_cli.models.vit import vit
from frog_cli.settings.schema import ResNet18, ViT
from tests.cases import MODELS, Follows, activity_gradient, case, project, relative_error, sample_loss, weight_gradient

METHOD = ForwardGradient(k=5, tangents=TANGENTS["normal"], measure="forward", aggregation=projection)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def weight_dimension(model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def flat(gradients) -> torch.Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])


def weights(method, name, seed=0):
    return estimate_from_weights(method, *_arguments(name), generator(seed))


def activities(method, name, seed=0):
    return estimate_from_activities(method, *_arguments(name), generator(seed))


def _arguments(name):
    model, images, labels = case(name)
    return model, sample_loss, images, labels


def weights_from_activities(model, images, activity_gradients):
    """Return the weight gradients that follow from given gradients of all outputs, one layer at a time."""
    found, activity, start = [], images, 0
    for layer in model:
        inputs = activity.detach()
        activity = layer(inputs)
        end = start + activity[0].numel()
        cotangent = activity_gradients[:, start:end].view_as(activity) / len(images)
        found += torch.autograd.grad((activity * cotangent).sum(), list(layer.parameters()))
        start = end
    return flat(found)


@pytest.mark.parametrize("measure", ["forward", "simulated"])
@pytest.mark.parametrize("k", [1, 5, 40])
@pytest.mark.parametrize("name", MODELS)
def test_projection_in_weight_space(name, k, measure):
    model, images, labels = case(name)
    gradient = weight_gradient(model, images, labels).unsqueeze(1)
    V = TANGENTS["normal"]((k, len(gradient)), generator(), torch.float64)
    estimate = weights(replace(METHOD, k=k, measure=measure), name)
    found = flat(estimate.gradients).unsqueeze(1)
    assert relative_error(found, project(V, gradient)) < 1e-10
    assert found.norm() <= gradient.norm() * (1 + 1e-12)
    torch.testing.assert_close(estimate.loss, sample_loss(model(images), labels).mean().detach(), rtol=1e-13, atol=0)


@pytest.mark.parametrize("measure", ["forward", "simulated"])
@pytest.mark.parametrize("k", [1, 5, 40])
@pytest.mark.parametrize("name", MODELS)
def test_projection_in_activity_space(name, k, measure):
    model, images, labels = case(name)
    gradient = activity_gradient(model, images, labels).mT  # [n, B]
    V = TANGENTS["normal"]((k, len(gradient)), generator(), torch.float64)
    projected = project(V, gradient)
    assert (projected.norm(dim=0) <= gradient.norm(dim=0) * (1 + 1e-12)).all()
    expected = weights_from_activities(model, images, projected.mT)
    estimate = activities(replace(METHOD, k=k, measure=measure), name)
    assert relative_error(flat(estimate.gradients), expected) < 1e-10
    torch.testing.assert_close(estimate.loss, sample_loss(model(images), labels).mean().detach(), rtol=1e-13, atol=0)


@pytest.mark.parametrize("measure", ["forward", "simulated"])
@pytest.mark.parametrize("space", [weights, activities])
@pytest.mark.parametrize("name", MODELS)
def test_as_many_tangents_as_dimensions_give_the_gradient(name, space, measure):
    model, images, labels = case(name)
    n = weight_dimension(model) if space is weights else sum(activity_sizes(model, images))
    found = flat(space(replace(METHOD, k=n + 3, measure=measure), name).gradients)
    assert relative_error(found, weight_gradient(model, images, labels)) < 1e-9


@pytest.mark.parametrize("space", [weights, activities])
@pytest.mark.parametrize("name", MODELS)
def test_sum_over_the_standard_basis_gives_the_gradient(name, space):
    model, images, labels = case(name)
    n = weight_dimension(model) if space is weights else sum(activity_sizes(model, images))
    method = replace(METHOD, k=n, tangents=TANGENTS["standard_basis"], aggregation=AGGREGATIONS["sum"])
    assert relative_error(flat(space(method, name).gradients), weight_gradient(model, images, labels)) < 1e-12


@pytest.mark.parametrize("space", [weights, activities])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("k", [1, 4, 200])
def test_simulated_is_forward(space, aggregation, k):
    method = replace(METHOD, k=k, aggregation=AGGREGATIONS[aggregation])
    forward = flat(space(method, "mlp").gradients)
    simulated = flat(space(replace(method, measure="simulated"), "mlp").gradients)
    assert relative_error(simulated, forward) < 1e-10


def slopes_of_both_measurements(model, images, labels) -> dict[str, torch.Tensor]:
    """Return the slopes `[k, B]` of each sample along the same tangents, measured forward and simulated."""
    seen = {}
    for measure in ("forward", "simulated"):

        def spy(V, slopes, measure=measure):
            seen[measure] = slopes
            return projection(V, slopes)

        method = replace(METHOD, measure=measure, aggregation=spy)
        estimate_from_activities(method, model, sample_loss, images, labels, generator())
    return seen


def test_simulated_is_forward_for_each_sample_of_activity_space():
    model, images, labels = case("mlp")
    seen = slopes_of_both_measurements(model, images, labels)
    assert seen["forward"].shape == (5, len(images))
    assert relative_error(seen["simulated"], seen["forward"]) < 1e-12


ARCHITECTURES = {
    "resnet18": lambda grouping: resnet18(ResNet18(name="resnet18", grouping=grouping), (3, 32, 32), 3),
    "vit": lambda grouping: vit(small_vit(grouping), (3, 8, 8), 3),
}


def small_vit(grouping: str) -> ViT:
    return ViT(name="vit", patch=4, depth=3, heads=2, hidden=8, mlp=12, dropout=0.0, grouping=grouping)


def architecture(name: str, grouping: str = "paper", batch: int = 4):
    """Return a network in float64 with images and labels."""
    torch.manual_seed(0)
    model = ARCHITECTURES[name](grouping).double()
    for parameter in model.parameters():
        if parameter.ndim == 1 or not parameter.any():  # no weight of a norm or of the head stays 1 or 0
            torch.nn.init.normal_(parameter, mean=0.7, std=0.2)
    size = 32 if name == "resnet18" else 8
    return model, torch.randn(batch, 3, size, size).double(), torch.arange(batch) % 3


@pytest.mark.filterwarnings("ignore::frog_cli.gradients.CoupledSamplesWarning")
@pytest.mark.parametrize("grouping", ["fine", "paper", "coarse"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_have_the_same_slopes_forward_and_simulated(name, grouping):
    """Per sample without batch normalisation or in evaluation mode, in sum with it in training mode."""
    model, images, labels = architecture(name, grouping)
    if name == "resnet18":
        coupled = slopes_of_both_measurements(model, images, labels)
        assert relative_error(coupled["simulated"], coupled["forward"]) > 0.01
        assert relative_error(coupled["simulated"].sum(1), coupled["forward"].sum(1)) < 1e-8
        model.eval()
    seen = slopes_of_both_measurements(model, images, labels)
    assert relative_error(seen["simulated"], seen["forward"]) < 1e-10


@pytest.mark.parametrize("measure", ["forward", "simulated"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_are_projected_exactly(name, measure):
    model, images, labels = architecture(name)
    model.eval()
    gradient = activity_gradient(model, images, labels).mT
    V = TANGENTS["normal"]((5, len(gradient)), generator(), torch.float64)
    expected = weights_from_activities(model, images, project(V, gradient).mT)
    method = replace(METHOD, measure=measure)
    found = estimate_from_activities(method, model, sample_loss, images, labels, generator())
    assert relative_error(flat(found.gradients), expected) < 1e-8


@pytest.mark.filterwarnings("ignore::frog_cli.gradients.CoupledSamplesWarning")
def test_statistics_of_batch_normalisation_do_not_depend_on_the_gradient():
    def after(estimate):
        model, images, labels = architecture("resnet18")
        estimate(model, sample_loss, images, labels, generator())
        return dict(model.named_buffers())

    expected = after(backprop)
    assert expected["0.1.num_batches_tracked"] == 1
    for estimator in (estimate_from_activities, estimate_from_weights):
        for measure in ("forward", "simulated"):
            for k in (1, 4, 16):
                found = after(partial(estimator, replace(METHOD, k=k, measure=measure, chunk_size=5)))
                assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_vision_transformer_trains_the_same_forward_and_simulated():
    losses = {}
    for measure in ("forward", "simulated"):
        model, images, labels = architecture("vit", batch=8)
        source, losses[measure] = generator(), []
        for _ in range(20):
            method = replace(METHOD, k=16, measure=measure)
            loss, gradients, _ = estimate_from_activities(method, model, sample_loss, images, labels, source)
            losses[measure].append(loss)
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                    parameter -= 0.05 * gradient
    forward, simulated = (torch.stack(losses[measure]) for measure in ("forward", "simulated"))
    assert forward[-1] < forward[0]
    torch.testing.assert_close(forward, simulated, rtol=0, atol=1e-10)


@pytest.mark.parametrize("space", [weights, activities])
@pytest.mark.parametrize("chunk_size", [1, 2, 5, 9])
def test_chunked_looped_or_at_once_is_the_same(space, chunk_size):
    at_once = flat(space(METHOD, "mlp").gradients)
    assert relative_error(flat(space(replace(METHOD, chunk_size=chunk_size), "mlp").gradients), at_once) < 1e-12


@pytest.mark.parametrize("measure", ["forward", "simulated"])
@pytest.mark.parametrize("space", [weights, activities])
def test_mean_is_unbiased(space, measure):
    """20 000 single tangents: every component of the mean within 4 standard errors, in the worst of them 5."""
    model, images, labels = case("logistic_regression", batch=2)
    gradient = weight_gradient(model, images, labels)
    method = replace(METHOD, k=2000, aggregation=AGGREGATIONS["mean"], measure=measure)
    estimator = {weights: estimate_from_weights, activities: estimate_from_activities}[space]
    source = generator()
    draws = torch.stack(
        [flat(estimator(method, model, sample_loss, images, labels, source).gradients) for _ in range(10)]
    )
    # one projection onto the gradient itself has a known variance: (g.v)^2 / |g|^2 is chi-squared
    along = draws @ gradient / gradient.square().sum()
    z = (along.mean() - 1) / (along.std() / len(along) ** 0.5)
    assert abs(z) < 4
    standard_error = gradient.norm() / 20_000**0.5
    if space is weights:
        assert ((draws.mean(0) - gradient).abs() < 5 * 2**0.5 * standard_error).all()


def test_parameters_that_are_frozen_or_unused_are_left_alone():
    model, images, labels = case("mlp")
    model[0][1].weight.requires_grad_(False)
    for estimator in (estimate_from_weights, estimate_from_activities):
        gradients = estimator(METHOD, model, sample_loss, images, labels, generator()).gradients
        assert [g.shape for g in gradients] == [p.shape for p in model.parameters() if p.requires_grad]


def test_batch_normalisation_updates_its_statistics_once_in_weight_space():
    model, images, labels = case("mlp")
    model.insert(1, torch.nn.BatchNorm1d(7).double())
    for k in (1, 6):
        measured, plain = (torch.nn.BatchNorm1d(7).double() for _ in range(2))
        model[1] = measured
        estimate_from_weights(replace(METHOD, k=k), model, sample_loss, images, labels, generator())
        model[1] = plain
        model(images)
        for name, buffer in plain.named_buffers():
            assert torch.equal(buffer, getattr(measured, name)), name


def test_activity_space_needs_layers():
    model, images, labels = case("mlp")
    with pytest.raises(TypeError, match=r"Sequential of layers, not a Linear"):
        estimate_from_activities(METHOD, model[2][0], sample_loss, images, labels, generator())


def test_any_module_works_in_weight_space():
    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.shared = torch.nn.Linear(3, 3).double()

        def forward(self, x):
            return self.shared(self.shared(x).sin()) * x

    torch.manual_seed(0)
    model, x, y = Odd(), torch.randn(4, 3).double(), torch.randint(3, (4,))
    method = replace(METHOD, k=12)
    found = flat(estimate_from_weights(method, model, sample_loss, x, y, generator()).gradients)
    assert relative_error(found, weight_gradient(model, x, y)) < 1e-10


@pytest.mark.parametrize("estimator", [estimate_from_weights, estimate_from_activities])
def test_forward_mode_never_goes_backward_through_the_network(estimator, monkeypatch):
    """Over weights nothing is differentiated in reverse; over activities each layer alone, once."""
    model, images, labels = case("deep_mlp")
    calls = []
    reverse = torch.autograd.grad

    def spy(outputs, inputs, *arguments, **options):
        calls.append((outputs, inputs))
        return reverse(outputs, inputs, *arguments, **options)

    monkeypatch.setattr(torch.autograd, "grad", spy)
    estimator(METHOD, model, sample_loss, images, labels, generator())
    if estimator is estimate_from_weights:
        assert not calls
        return
    for layer, (output, _) in zip(model, calls, strict=True):
        others = [p for other in model if other is not layer for p in other.parameters()]
        found = reverse(output.sum(), others, retain_graph=True, allow_unused=True) if output.grad_fn else []
        assert all(gradient is None for gradient in found)


@pytest.mark.parametrize("chunk_size", [1, 2])
def test_a_pass_holds_no_more_tangents_than_the_chunk(chunk_size, monkeypatch):
    model, images, labels = case("mlp")
    sizes = []
    evaluate = measurement.evaluate

    def spy(function, primals, tangents, order):
        sizes.append(len(tangents[0]))
        return evaluate(function, primals, tangents, order)

    monkeypatch.setattr(measurement, "evaluate", spy)
    for estimator in (estimate_from_weights, estimate_from_activities):
        estimator(replace(METHOD, chunk_size=chunk_size), model, sample_loss, images, labels, generator())
    assert set(sizes) <= {chunk_size, 5 % chunk_size}
    assert sum(sizes) == 10


@pytest.mark.filterwarnings("ignore::frog_cli.gradients.CoupledSamplesWarning")
def test_forward_slopes_of_activities_are_no_estimate_with_batch_normalisation_and_are_with_group_normalisation():
    """With k = n and the standard basis, where nothing is random: only the sums of the slopes over the batch agree."""
    cosines = {}
    for norm in (torch.nn.BatchNorm1d(7), torch.nn.GroupNorm(1, 7), torch.nn.LayerNorm(7)):
        model, images, labels = case("mlp", batch=8)
        model.insert(1, norm.double())
        torch.nn.init.normal_(norm.weight)
        name = type(norm).__name__
        n = sum(activity_sizes(model, images))
        for measure in ("forward", "simulated"):
            method = replace(METHOD, k=n, tangents=TANGENTS["standard_basis"], measure=measure)
            found = flat(estimate_from_activities(method, model, sample_loss, images, labels, generator()).gradients)
            expected = weight_gradient(model, images, labels)
            cosines[name, measure] = torch.nn.functional.cosine_similarity(found, expected, dim=0).item()
        seen = slopes_of_both_measurements(model, images, labels)
        assert relative_error(seen["simulated"].sum(1), seen["forward"].sum(1)) < 1e-10
        assert (relative_error(seen["simulated"], seen["forward"]) < 1e-10) == (name != "BatchNorm1d")
    assert cosines.pop(("BatchNorm1d", "forward")) < 0.9
    assert min(cosines.values()) > 1 - 1e-12


@pytest.mark.parametrize("measure", ["forward", "simulated"])
def test_resnet18_with_group_normalisation_is_projected_exactly_in_training_mode(measure):
    torch.manual_seed(0)
    model = resnet18(ResNet18(name="resnet18", grouping="paper", norm="group"), (3, 32, 32), 3).double().train()
    images, labels = torch.randn(4, 3, 32, 32).double(), torch.arange(4) % 3
    gradient = activity_gradient(model, images, labels).mT
    V = TANGENTS["normal"]((5, len(gradient)), generator(), torch.float64)
    expected = weights_from_activities(model, images, project(V, gradient).mT)
    found = estimate_from_activities(replace(METHOD, measure=measure), model, sample_loss, images, labels, generator())
    assert relative_error(flat(found.gradients), expected) < 1e-8
    seen = slopes_of_both_measurements(model, images, labels)
    assert relative_error(seen["simulated"], seen["forward"]) < 1e-10


def without_parameters():
    """Return a model whose first and third layers have none."""
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(16, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3)
    )  # fmt: skip


def in_place():
    """Return a model with a layer that writes over its input."""
    first = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 5))
    return torch.nn.Sequential(first, torch.nn.ReLU(inplace=True), torch.nn.Linear(5, 3))


@pytest.mark.parametrize("make", [without_parameters, in_place])
@pytest.mark.parametrize("measure", ["forward", "simulated"])
def test_layers_of_any_kind_in_activity_space(make, measure):
    _, images, labels = case("mlp")
    model = make().double()
    n = sum(activity_sizes(model, images))
    method = replace(METHOD, k=n, measure=measure)
    found = flat(estimate_from_activities(method, model, sample_loss, images, labels, generator()).gradients)
    assert relative_error(found, weight_gradient(model, images, labels)) < 1e-9
    model[0].requires_grad_(False)
    estimate_from_activities(method, model, sample_loss, images, labels, generator())


class Tied(torch.nn.Module):
    """Two modules that share a parameter."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x).sin())


def used_twice():
    """Return a model that uses a module twice."""
    middle = torch.nn.Linear(3, 3)
    return torch.nn.Sequential(torch.nn.Linear(3, 3), middle, torch.nn.Tanh(), middle)


@pytest.mark.parametrize("make", [Tied, used_twice])
def test_shared_parameters_are_perturbed_together_and_stay_parameters(make):
    torch.manual_seed(0)
    model, x, y = make().double(), torch.randn(4, 3).double(), torch.randint(3, (4,))
    n = weight_dimension(model)
    for _ in range(2):
        estimate = estimate_from_weights(replace(METHOD, k=n), model, sample_loss, x, y, generator())
        assert relative_error(flat(estimate.gradients), weight_gradient(model, x, y)) < 1e-9
    assert all(isinstance(parameter, torch.nn.Parameter) for parameter in model.parameters())


def test_dropout_is_one_function_for_all_chunks_in_weight_space():
    model, images, labels = case("mlp")
    model.insert(1, torch.nn.Dropout(0.5))
    found = []
    for chunk_size in (None, 2):
        torch.manual_seed(3)
        estimate = estimate_from_weights(
            replace(METHOD, chunk_size=chunk_size), model, sample_loss, images, labels, generator()
        )
        found.append(flat(estimate.gradients))
    assert relative_error(found[1], found[0]) < 1e-12


@pytest.mark.parametrize("chunk_size", [None, 2])
def test_dropout_is_one_function_for_all_passes_in_activity_space(chunk_size):
    """The plain pass, every chunk of tangents and the local weight gradients see the same units dropped out."""
    model, images, labels = case("mlp")
    for layer in list(model):
        layer.append(torch.nn.Dropout(0.4))
    found = {}
    for measure in ("forward", "simulated"):
        torch.manual_seed(3)
        method = replace(METHOD, measure=measure, chunk_size=chunk_size)
        found[measure] = estimate_from_activities(method, model, sample_loss, images, labels, generator())
        found[f"{measure} next"] = torch.rand(3)
    assert relative_error(flat(found["forward"].gradients), flat(found["simulated"].gradients)) < 1e-10
    assert torch.equal(found["forward next"], found["simulated next"])


class DropsAlways(torch.nn.Module):
    """Drops out and counts whatever its mode."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x * torch.nn.functional.dropout(torch.ones_like(x), 0.5)


@pytest.mark.parametrize("chunk_size", [None, 2])
def test_randomness_that_does_not_heed_the_mode_is_one_function_for_all_passes(chunk_size):
    model, images, labels = case("mlp")
    model.insert(1, DropsAlways().double())
    found = {}
    for measure in ("forward", "simulated"):
        torch.manual_seed(3)
        method = replace(METHOD, measure=measure, chunk_size=chunk_size)
        found[measure] = flat(
            estimate_from_activities(method, model, sample_loss, images, labels, generator()).gradients
        )
    assert relative_error(found["forward"], found["simulated"]) < 1e-10
    assert model[1].calls == 2


@pytest.mark.parametrize("measure", ["forward", "simulated"])
@pytest.mark.parametrize("estimator", [estimate_from_activities, estimate_from_weights])
def test_a_batch_that_the_first_layer_writes_to_stays_as_it_is(estimator, measure):
    _, images, labels = case("mlp")
    first = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LeakyReLU(0.1, inplace=True), torch.nn.Linear(16, 5))
    model = torch.nn.Sequential(first, torch.nn.Tanh(), torch.nn.Linear(5, 3)).double()
    expected, before = weight_gradient(model, images.clone(), labels), images.clone()
    method = replace(METHOD, k=128, measure=measure, chunk_size=50)
    found = flat(estimator(method, model, sample_loss, images, labels, generator()).gradients)
    assert torch.equal(images, before)
    assert relative_error(found, expected) < 1e-8


@pytest.mark.parametrize("measure", ["forward", "simulated"])
def test_buffers_that_a_model_replaces_are_kept_in_weight_space(measure):
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), Follows(), torch.nn.Tanh()).double()
    x, y = torch.randn(4, 3).double(), torch.randint(3, (4,))
    estimate_from_weights(replace(METHOD, measure=measure), model, sample_loss, x, y, generator())
    torch.testing.assert_close(model[1].average, 0.1 * model[0](x).mean(0).detach())


def test_attention_takes_the_kernel_that_can_be_differentiated():
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    model = torch.nn.Sequential(layer, torch.nn.Flatten(), torch.nn.Linear(12, 3)).double()
    x, y = torch.randn(4, 3, 4).double(), torch.randint(3, (4,))
    method = replace(METHOD, k=weight_dimension(model))
    for training in (True, False):
        found = estimate_from_weights(method, model.train(training), sample_loss, x, y, generator())
        assert relative_error(flat(found.gradients), weight_gradient(model, x, y)) < 1e-8


@pytest.mark.parametrize(
    "wrong", [{"k": 0}, {"chunk_size": 0}, {"measure": "foward"}, {"tangents": "normal"}, {"aggregation": None}]
)
def test_a_wrong_choice_is_refused(wrong):
    with pytest.raises((ValueError, TypeError)):
        replace(METHOD, **wrong)


def test_backprop_is_reverse_mode():
    model, images, labels = case("mlp")
    loss, gradients, _ = backprop(model, sample_loss, images, labels, generator())
    assert torch.equal(flat(gradients), weight_gradient(model, images, labels))
    assert torch.equal(loss, sample_loss(model(images), labels).mean())


def test_activity_sizes():
    model, images, _ = case("mlp")
    assert activity_sizes(model, images) == [7, 7, 3]
