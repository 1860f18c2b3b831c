"""Tangents of local losses against dense per-sample oracles written with plain autograd."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from frog_cli.gradients import AGGREGATIONS, TANGENTS, ForwardGradient, estimate_from_activities
from frog_cli.gradients.activities import activity_sizes
from frog_cli.models.resnet18 import resnet18
from frog_cli.models.vit import vit
from frog_cli.sample_tangents.blocks import Blocks, combined, gram, root
from frog_cli.sample_tangents.estimate import SampleTangents, estimate_from_sample_tangents
from frog_cli.sample_tangents.heads import Heads
from frog_cli.sample_tangents.measurement import measure_growing
from tests.cases import MODELS, activity_gradient, case, relative_error, sample_loss, weight_gradient
from tests.spaces import flat, generator, weights_from_activities


def method(**changes) -> SampleTangents:
    usual = {"depth": 0, "random": 0, "tangents": TANGENTS["normal"], "measure": "forward"}
    return SampleTangents(**{**usual, "aggregation": AGGREGATIONS["projection"], **changes})


def convolutions() -> nn.Sequential:
    """Return layers that frog does not ship: convolutions, group norm, a layer without weights, smooth functions."""
    first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.SiLU())
    return nn.Sequential(
        first, nn.AvgPool2d(2), nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.Tanh()), nn.Linear(6, 3)
    )


def network(name: str) -> tuple[nn.Sequential, torch.Tensor, torch.Tensor]:
    if name in MODELS:
        return case(name)
    torch.manual_seed(2)
    model, image = {
        "convolutions": lambda: (convolutions(), (1, 4, 4)),
        "resnet18": lambda: (resnet18((3, 32, 32), 3, norm="group", width=8), (3, 32, 32)),
        "vit": lambda: (vit((3, 8, 8), 3, depth=2, heads=2, hidden=8, mlp=16), (3, 8, 8)),
    }[name]()
    return model.double(), torch.randn(4, *image).double(), torch.arange(4) % 3


NETWORKS = [*MODELS, "convolutions", "resnet18", "vit"]


def trained_heads(model, images) -> Heads:
    heads = Heads(model, images)
    torch.manual_seed(3)
    for parameter in heads.parameters():
        nn.init.normal_(parameter)
    return heads


def dense_tangents(model, heads, images, labels, depth: int) -> torch.Tensor:
    """Return all local tangents `[B, k, n]`, each by autograd through a graph of its own, and not of unit length."""
    activities = [images]
    for layer in model:
        activities.append(layer(activities[-1]).detach())
    sizes = [one[0].numel() for one in activities[1:]]
    found = []
    for index in range(len(model)):
        for further in range(depth + 1):
            end = index + further
            if end >= len(model):
                continue
            x = here = activities[index + 1].clone().requires_grad_()
            for layer in list(model)[index + 1 : end + 1]:
                x = layer(x)
            if end < len(model) - 1:
                x = heads[end](x.flatten(1) / x.flatten(1).norm(dim=1, keepdim=True))
            (own,) = torch.autograd.grad(cross_entropy(x, labels, reduction="sum"), here)
            dense = torch.zeros(len(images), sum(sizes)).to(images)
            dense[:, sum(sizes[:index]) : sum(sizes[: index + 1])] = own.flatten(1)
            found.append(dense)
    return torch.stack(found, 1)


def projected(tangents: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Return the projection of one gradient `[n]` onto tangents `[k, n]`, through singular values."""
    rows = tangents / tangents.norm(dim=1, keepdim=True).clamp(min=1e-300)
    _, S, Vh = torch.linalg.svd(rows, full_matrices=False)
    kept = Vh[S > 1e-9]
    return kept.mT @ (kept @ gradient)


@pytest.mark.parametrize("measure", ["forward", "simulated"])
@pytest.mark.parametrize(("depth", "random"), [(0, 0), (1, 0), (0, 3), (2, 2)])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_estimate_is_the_projection_of_each_samples_gradient(name, depth, random, measure):
    model, images, labels = network(name)
    heads = trained_heads(model, images)
    found = estimate_from_sample_tangents(
        method(depth=depth, random=random, measure=measure), model, heads, sample_loss, images, labels, generator()
    )
    gradient = activity_gradient(model, images, labels)
    tangents = dense_tangents(model, heads, images, labels, depth)
    if random:
        V = TANGENTS["normal"]((random, gradient.shape[1]), generator(), torch.float64)
        tangents = torch.cat([tangents, V.expand(len(images), -1, -1)], 1)
    expected = torch.stack([projected(*one) for one in zip(tangents, gradient, strict=True)])
    assert (expected.norm(dim=1) <= gradient.norm(dim=1) * (1 + 1e-12)).all()
    assert relative_error(flat(found.gradients), weights_from_activities(model, images, expected)) < 1e-8
    torch.testing.assert_close(found.loss, sample_loss(model(images), labels).mean().detach())


@pytest.mark.parametrize("name", ["mlp", "deep_mlp", "convolutions"])
def test_with_the_depth_of_the_network_it_is_backpropagation(name):
    """For all tangents of a layer include the pulled back derivative of the loss itself."""
    model, images, labels = network(name)
    depth = len(model) - 1
    found = estimate_from_sample_tangents(
        method(depth=depth), model, trained_heads(model, images), sample_loss, images, labels, generator()
    )
    assert relative_error(flat(found.gradients), weight_gradient(model, images, labels)) < 1e-10


def test_heads_that_are_zero_leave_their_layers_as_they_are_and_the_last_layer_is_exact():
    model, images, labels = case("deep_mlp")
    found = estimate_from_sample_tangents(
        method(), model, Heads(model, images), sample_loss, images, labels, generator()
    )
    expected = torch.autograd.grad(cross_entropy(model(images), labels), list(model.parameters()))
    for gradient in found.gradients[:-2]:
        assert not gradient.any()
    for gradient, exact in zip(found.gradients[-2:], expected[-2:], strict=True):
        torch.testing.assert_close(gradient, exact, rtol=1e-10, atol=1e-12)
    assert all(gradient.isfinite().all() for gradient in found.gradients)


def test_heads_follow_the_gradient_of_their_own_mean_loss():
    model, images, labels = case("mlp")
    heads = trained_heads(model, images)
    found = estimate_from_sample_tangents(method(), model, heads, sample_loss, images, labels, generator())
    activity, expected = images, []
    for layer, head in zip(model, heads, strict=False):
        activity = layer(activity).detach()
        value = cross_entropy(head(activity / activity.norm(dim=1, keepdim=True)), labels)
        expected += torch.autograd.grad(value, list(head.parameters()))
    assert relative_error(flat(found.of_heads), flat(expected)) < 1e-12


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_nothing_passes_backward_through_more_layers_than_the_depth(depth):
    """The real loss is measured forward, so each layer's backward passes are all that are counted here."""
    model, images, labels = case("deep_mlp")
    passed: list[tuple[int, int]] = []

    class Counted(nn.Module):
        def __init__(self, layer, index):
            super().__init__()
            self.layer, self.index = layer, index

        def forward(self, x):
            y = self.layer(x)
            if y.requires_grad and x.requires_grad and torch.is_grad_enabled():
                x.register_hook(lambda _: passed.append((self.index, 1)))
            return y

    counted = nn.Sequential(*(Counted(layer, index) for index, layer in enumerate(model)))
    heads = trained_heads(counted, images)
    passed.clear()
    estimate_from_sample_tangents(method(depth=depth), counted, heads, sample_loss, images, labels, generator())
    last = len(model) - 1
    expected = {index: min(depth, last - index + 1) for index in range(1, len(model))}
    counts = {index: sum(one == index for one, _ in passed) for index in range(1, len(model))}
    assert counts == expected


def test_one_growing_pass_measures_what_passes_along_each_tangent_alone_do():
    model, images, labels = network("convolutions")
    sizes = activity_sizes(model, images)
    torch.manual_seed(4)
    blocks = [torch.randn(len(images), 2, size).double() for size in sizes]
    V = torch.randn(3, sum(sizes)).double()
    losses, slopes = measure_growing(
        model, {}, sample_loss, model[0](images).detach(), labels, Blocks(V.split(sizes, 1), blocks)
    )
    gradient = activity_gradient(model, images, labels)
    own = [
        torch.einsum("bmn,bn->bm", block, share) for block, share in zip(blocks, gradient.split(sizes, 1), strict=True)
    ]
    torch.testing.assert_close(slopes, torch.cat([gradient @ V.mT, *own], 1), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(losses, sample_loss(model(images), labels).detach())


@pytest.mark.parametrize("measure", ["forward", "simulated"])
def test_dropout_and_buffers_are_those_of_one_pass(measure):
    torch.manual_seed(5)
    model = nn.Sequential(
        nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Dropout(0.5)), nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 3))
    ).double()
    images, labels = torch.randn(5, 1, 4, 4).double(), torch.arange(5) % 3
    heads = trained_heads(model, images)
    torch.manual_seed(6)
    found = estimate_from_sample_tangents(
        method(depth=1, measure=measure), model, heads, sample_loss, images, labels, generator()
    )
    after = torch.get_rng_state()
    torch.manual_seed(6)
    assert relative_error(flat(found.gradients), weight_gradient(model, images, labels)) < 1e-10
    assert after.equal(torch.get_rng_state())


def test_sums_and_means_add_up_slopes_along_tangents_of_unit_length():
    model, images, labels = case("mlp")
    heads = trained_heads(model, images)
    found = {
        name: flat(
            estimate_from_sample_tangents(
                method(depth=1, aggregation=AGGREGATIONS[name]), model, heads, sample_loss, images, labels, generator()
            ).gradients
        )
        for name in ("sum", "mean")
    }
    T = dense_tangents(model, heads, images, labels, 1)
    T = T / T.norm(dim=2, keepdim=True)
    d = torch.einsum("bkn,bn->bk", T, activity_gradient(model, images, labels))
    expected = weights_from_activities(model, images, torch.einsum("bk,bkn->bn", d, T))
    assert relative_error(found["sum"], expected) < 1e-10
    assert relative_error(found["mean"], expected / T.shape[1]) < 1e-10


def test_heads_need_layers():
    with pytest.raises(TypeError, match="Sequential of layers, not a Linear"):
        Heads(nn.Linear(3, 3), torch.randn(2, 3))


@pytest.mark.parametrize("measure", ["forward", "simulated"])
@pytest.mark.parametrize("heads", [False, True])
@pytest.mark.parametrize("name", ["mlp", "convolutions", "vit"])
def test_random_tangents_of_each_samples_own(name, heads, measure):
    """Each sample's gradient is projected onto tangents that no other sample has."""
    model, images, labels = network(name)
    some = trained_heads(model, images) if heads else None
    drawn = method(depth=1, random=3, per="sample", measure=measure)
    found = estimate_from_sample_tangents(drawn, model, some, sample_loss, images, labels, generator())
    gradient = activity_gradient(model, images, labels)
    tangents = TANGENTS["normal"]((len(images), 3, gradient.shape[1]), generator(), torch.float64)
    if some is not None:
        tangents = torch.cat([tangents, dense_tangents(model, some, images, labels, 1)], 1)
    expected = torch.stack([projected(*one) for one in zip(tangents, gradient, strict=True)])
    assert relative_error(flat(found.gradients), weights_from_activities(model, images, expected)) < 1e-8


def test_random_tangents_that_samples_share_are_those_of_the_space_of_activities():
    model, images, labels = case("deep_mlp")
    shared = method(random=4)
    found = estimate_from_sample_tangents(shared, model, None, sample_loss, images, labels, generator())
    usual = ForwardGradient(k=4, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["projection"])
    expected = estimate_from_activities(usual, model, sample_loss, images, labels, generator())
    assert relative_error(flat(found.gradients), flat(expected.gradients)) < 1e-10


class RunningScale(nn.Module):
    """Divides by a running mean of sizes, a buffer that each pass replaces."""

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("scale", torch.ones(size))

    def forward(self, x):
        """Take in a batch, and divide it."""
        self.scale = 0.5 * self.scale + 0.5 * x.detach().abs().mean(0)
        return torch.tanh(x / self.scale)


def test_layers_that_replace_their_buffers_are_measured_as_they_were():
    def network():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Linear(7, 5), RunningScale(5), nn.Linear(5, 5), RunningScale(5), nn.Linear(5, 3)
        ).double()

    inputs, targets = 3 * torch.randn(6, 7).double(), torch.arange(6) % 3
    plain = network()
    loss = sample_loss(plain(inputs), targets).mean()
    found = {}
    for measure in ("forward", "simulated"):
        model = network()
        drawn = method(random=3, measure=measure)
        found[measure] = estimate_from_sample_tangents(drawn, model, None, sample_loss, inputs, targets, generator())
        torch.testing.assert_close(found[measure].loss, loss.detach())
        assert all(one.equal(other) for one, other in zip(model.buffers(), plain.buffers(), strict=True))
    assert relative_error(*(flat(one.gradients) for one in found.values())) < 1e-12


def test_tangents_in_single_precision_may_be_nearly_parallel():
    """Down to angles that the slopes' own precision tells apart; the projection is never longer than the gradient."""
    torch.manual_seed(7)
    g, v, w = torch.nn.functional.normalize(torch.randn(3, 500, 40).double(), dim=2)
    for angle in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 0.0):
        V = torch.stack([v, torch.nn.functional.normalize(v + angle * w, dim=1)], 1).float()
        blocks = Blocks([V.new_zeros(0, 40)], [V])
        d = torch.einsum("bkn,bn->bk", V.double(), g).float()
        factor = root(gram(blocks), torch.float32)
        c = AGGREGATIONS["projection"](factor, d.unsqueeze(-1).double()).squeeze(-1).float()
        (estimate,) = combined(blocks, c)
        assert (estimate.norm(dim=1) <= 1.001 * g.norm(dim=1)).all()
        if angle >= 1e-3:
            exact = torch.stack([projected(*one) for one in zip(V.double(), g, strict=True)])
            assert relative_error(estimate.double(), exact) < 1e-3


@pytest.mark.parametrize("measure", ["forward", "simulated"])
def test_mixed_precision_estimates_what_single_precision_does(measure):
    torch.manual_seed(8)
    model = nn.Sequential(
        nn.Sequential(nn.Linear(12, 8), nn.Tanh()), nn.Sequential(nn.Linear(8, 8), nn.Tanh()), nn.Linear(8, 3)
    )
    inputs, targets = torch.randn(6, 12), torch.arange(6) % 3
    heads, wanted = trained_heads(model, inputs), method(depth=1, random=2, per="sample", measure=measure)
    exact = estimate_from_sample_tangents(wanted, model, heads, sample_loss, inputs, targets, generator())
    with torch.autocast("cpu", torch.bfloat16):
        found = estimate_from_sample_tangents(wanted, model, heads, sample_loss, inputs, targets, generator())
    assert relative_error(flat(found.gradients), flat(exact.gradients)) < 0.1


def test_a_loss_that_keeps_state_is_asked_once():
    class Growing(nn.Module):
        """Weighs each call more than the one before."""

        calls = 0

        def forward(self, outputs, targets):
            """Return the losses."""
            self.calls += 1
            return self.calls * sample_loss(outputs, targets)

    model, images, labels = case("mlp")
    once = sample_loss(model(images), labels).mean()
    for measure in ("forward", "simulated", "greedy"):
        found = estimate_from_sample_tangents(
            method(measure=measure), model, trained_heads(model, images), Growing(), images, labels, generator()
        )
        torch.testing.assert_close(found.loss, once.detach())


def test_weights_that_are_not_reached_through_modules_are_refused():
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 3)
            self.weights = [self.inner.weight]

        def forward(self, x):
            """Multiply."""
            return x @ self.weights[0].T

    model = nn.Sequential(nn.Linear(5, 4), Listed()).double()
    with pytest.raises(NotImplementedError, match="reached otherwise than through its module"):
        estimate_from_sample_tangents(
            method(),
            model,
            Heads(model, torch.randn(2, 5).double()),
            sample_loss,
            torch.randn(3, 5).double(),
            torch.arange(3),
            generator(),
        )


def test_a_sample_without_finite_tangents_has_no_estimate_and_leaves_the_others_theirs():
    V = torch.randn(3, 4, 6, dtype=torch.float64)
    grams = V @ V.mT
    grams[1, 2, 3] = grams[1, 3, 2] = torch.nan
    found = root(grams, torch.float32)
    assert found[1].isnan().all()
    for sample in (0, 2):
        torch.testing.assert_close(found[sample] @ found[sample].mT, grams[sample])
