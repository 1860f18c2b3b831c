"""What holds for forward gradients in every space."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from frog_cli.gradients import (
    AGGREGATIONS,
    TANGENTS,
    ForwardGradient,
    estimate_from_activities,
    estimate_from_weights,
)
from frog_cli.gradients.activities import activity_sizes
from frog_cli.jets import jet
from tests.cases import MODELS, case, relative_error, sample_loss, weight_gradient
from tests.spaces import (
    METHOD,
    activities,
    flat,
    generator,
    weight_dimension,
    weights,
)


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
    evaluate = jet.evaluate

    def spy(function, primals, tangents, order):
        sizes.append(len(tangents[0]))
        return evaluate(function, primals, tangents, order)

    monkeypatch.setattr(jet, "evaluate", spy)
    for estimator in (estimate_from_weights, estimate_from_activities):
        estimator(replace(METHOD, chunk_size=chunk_size), model, sample_loss, images, labels, generator())
    assert set(sizes) <= {chunk_size, 5 % chunk_size}
    assert sum(sizes) == 10


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


@pytest.mark.parametrize(
    "wrong", [{"k": 0}, {"chunk_size": 0}, {"measure": "foward"}, {"tangents": "normal"}, {"aggregation": None}]
)
def test_a_wrong_choice_is_refused(wrong):
    with pytest.raises((ValueError, TypeError)):
        replace(METHOD, **wrong)


@pytest.mark.parametrize(
    ("sampler", "saw"),
    [
        (lambda shape, generator, dtype: torch.ones(shape[0] + 1, shape[1], dtype=dtype), r"\[4, \d+\]"),
        (lambda shape, generator, dtype: torch.ones(shape[::-1], dtype=dtype), r"\[\d+, 3\]"),
        (lambda shape, generator, dtype: None, "a NoneType"),
    ],
)
def test_tangents_of_another_shape_are_refused(sampler, saw):
    model, images, labels = case("mlp")
    method = ForwardGradient(k=3, tangents=sampler, measure="forward", aggregation=AGGREGATIONS["mean"])
    with pytest.raises(ValueError, match=rf"tangents must be sampled as \[3, \d+\], k rows of n numbers, not {saw}"):
        estimate_from_weights(method, model, sample_loss, images, labels, torch.Generator())
