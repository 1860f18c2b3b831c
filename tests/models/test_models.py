from __future__ import annotations

import pytest
import torch

from frog_cli.errors import RequestError
from frog_cli.gradients.activities import activity_sizes
from frog_cli.models.cnn import cnn
from frog_cli.models.cnn_cifar10 import cnn_cifar10
from frog_cli.models.lenet5 import lenet5
from frog_cli.models.logistic_regression import logistic_regression
from frog_cli.models.mlp import mlp
from frog_cli.models.mlp_mixer import mlp_mixer
from frog_cli.models.resnet18 import resnet18
from frog_cli.models.vit import vit
from frog_cli.torchvision_import import torchvision

MNIST = (1, 28, 28)
IMAGES = torch.zeros(2, *MNIST)


@pytest.mark.parametrize("width", [256, 1024, 4096])
def test_mlp_has_the_papers_dimension(width):
    """The paper counts n = 2w + 10 activities (arXiv 2410.17764, Section IV-D)."""
    model = mlp(MNIST, 10, width=width, depth=2)
    assert activity_sizes(model, IMAGES) == [width, width, 10]
    assert sum(activity_sizes(model, IMAGES)) == 2 * width + 10


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_mlp_layers_end_with_their_nonlinearity(depth):
    model = mlp(MNIST, 10, width=3, depth=depth)
    assert len(model) == depth + 1
    assert [type(layer[-1]).__name__ for layer in model] == ["ReLU"] * depth + ["Linear"]


def test_logistic_regression_has_the_papers_parameters():
    """The second paper counts 7 850 parameters on MNIST (arXiv 2408.10419, Section 6.2)."""
    model = logistic_regression(MNIST, 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == 7850
    assert activity_sizes(model, IMAGES) == [10]


def test_cnn_has_the_papers_parameters():
    """The second paper counts 431 080 parameters on MNIST (arXiv 2408.10419, Section 6.3)."""
    model = cnn(MNIST, 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == 431_080
    assert activity_sizes(model, IMAGES) == [20 * 12 * 12, 50 * 4 * 4, 500, 10]


def test_lenet5_has_its_parameters():
    """Layer by layer 156, 2 416, 48 120, 10 164 and 850."""
    model = lenet5(MNIST, 10)
    counts = [sum(parameter.numel() for parameter in layer.parameters()) for layer in model]
    assert counts == [156, 2_416, 48_120, 10_164, 850]
    assert activity_sizes(model, IMAGES) == [6 * 14 * 14, 16 * 5 * 5, 120, 84, 10]


def test_cnn_for_cifar10_has_the_parameters_of_the_released_code():
    """That of arXiv 2408.10419 has as many: its batch normalisation has a weight and a bias for each channel, too."""
    convolutions = sum(9 * fan_in * fan_out + 3 * fan_out for fan_in, fan_out in
                       [(3, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)])  # fmt: skip
    linear = 128 * 4 * 4 * 1024 + 1024 + 1024 * 10 + 10
    model = cnn_cifar10((3, 32, 32), 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == convolutions + linear == 2_396_330
    assert activity_sizes(model, torch.zeros(2, 3, 32, 32)) == [32 * 256, 64 * 64, 128 * 16, 1024, 10]


def test_cnn_for_cifar10_drops_out_in_training_alone():
    torch.manual_seed(0)
    model, images = cnn_cifar10((1, 8, 8), 10, dropout=0.5), torch.randn(3, 1, 8, 8)
    assert not torch.equal(model(images), model(images))
    assert torch.equal(model.eval()(images), model(images))


def test_mlp_mixer_mixes_patches_and_hidden_units():
    """Without the perceptrons over patches the tokens do not meet before their mean; with them they do."""
    torch.manual_seed(0)
    model, images = mlp_mixer((1, 8, 8), 10, depth=1, hidden=6), torch.randn(1, 1, 8, 8)
    other = images.clone()
    other[..., 4:, 4:] += 1  # the last of four patches
    embedding, mixing, _ = model[0]
    changed = (mixing(embedding(images)) != mixing(embedding(other))).any(-1).squeeze(0)
    assert changed.tolist() == [True] * 4
    torch.nn.init.zeros_(mixing.over_patches[-1].weight)
    changed = (mixing(embedding(images)) != mixing(embedding(other))).any(-1).squeeze(0)
    assert changed.tolist() == [False] * 3 + [True]


def test_mlp_mixer_has_its_parameters():
    patches, hidden, token, channel, depth = 49, 128, 64, 256, 4
    block = 4 * hidden + 2 * patches * token + token + patches + 2 * hidden * channel + channel + hidden
    expected = 16 * hidden + hidden + depth * block + 2 * hidden + 10 * hidden + 10
    assert sum(parameter.numel() for parameter in mlp_mixer(MNIST, 10).parameters()) == expected
    assert activity_sizes(mlp_mixer(MNIST, 10), IMAGES) == [49 * 128] * 3 + [10]


def test_patches_that_do_not_tile_the_images_of_a_mixer_are_refused():
    with pytest.raises(RequestError, match=r"model.patch=5: must divide images of 28 x 28 pixels without rest"):
        mlp_mixer(MNIST, 10, patch=5)


@pytest.mark.parametrize("model", [cnn, cnn_cifar10, lenet5, mlp_mixer, resnet18, vit])
@pytest.mark.parametrize("image", [(2,), (3, 8), (1, 8, 8, 8)])
def test_networks_for_images_refuse_other_data(model, image):
    seen = ", ".join(map(str, image))
    with pytest.raises(RequestError, match=rf"model={model.__name__}: needs images .* not \[N, {seen}\]"):
        model(image, 10)


def test_images_that_are_too_small_for_the_cnn_are_refused():
    assert activity_sizes(cnn((1, 16, 16), 10), torch.zeros(2, 1, 16, 16))[1] == 50
    with pytest.raises(RequestError, match=r"model=cnn: needs images .* of at least 16 x 16 pixels, not \[N, 1, 16"):
        cnn((1, 16, 15), 10)


def test_counting_activities_leaves_the_model_in_its_mode():
    model = mlp(MNIST, 10, width=3, depth=1)
    for training in (True, False):
        model.train(training)
        activity_sizes(model, IMAGES)
        assert model.training is training


CIFAR10 = (3, 32, 32)
PAPERS_VIT = {"patch": 4, "depth": 6, "heads": 4, "hidden": 256, "mlp": 512, "dropout": 0.0}
GROUPINGS = ["fine", "paper", "coarse"]


@pytest.mark.parametrize(("image", "n"), [(CIFAR10, 11_786), (MNIST, 9_866)])
def test_resnet18_has_the_papers_dimension(image, n):
    """11.8e3 on CIFAR10 (arXiv 2410.17764, Section IV-D); the same count on MNIST, where the paper prints 11.2e3."""
    model = resnet18(image, 10)
    assert len(model) == 6
    assert sum(activity_sizes(model, torch.zeros(2, *image))) == n


@pytest.mark.parametrize(("image", "n"), [(CIFAR10, 83_210), (MNIST, 64_010)])
def test_vision_transformer_has_the_papers_dimension(image, n):
    model = vit(image, 10, **PAPERS_VIT)
    assert len(model) == 6
    assert sum(activity_sizes(model, torch.zeros(2, *image))) == n


@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize("channels", [1, 3])
def test_resnet18_is_torchvisions(channels, grouping):
    torch.manual_seed(0)
    theirs = torchvision().models.resnet18(num_classes=10)
    torch.manual_seed(0)
    ours = resnet18((channels, 32, 32), 10, grouping=grouping)
    if channels == 1:
        theirs.conv1 = ours[0][0]
        assert ours[0][0].weight.std().item() == pytest.approx((2 / (64 * 49)) ** 0.5, rel=0.05)
    images = torch.randn(4, channels, 32, 32)
    torch.testing.assert_close(ours(images), theirs(images))


@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("training", [True, False])
def test_vision_transformer_is_torchvisions(channels, grouping, training):
    torch.manual_seed(0)
    theirs = torchvision().models.VisionTransformer(32, 4, 6, 4, 256, 512, num_classes=10)
    torch.manual_seed(0)
    ours = vit((channels, 32, 32), 10, **PAPERS_VIT, grouping=grouping)
    if channels == 1:
        theirs.conv_proj = ours[0][0].projection
        assert theirs.conv_proj.weight.std().item() == pytest.approx(0.25, rel=0.2)  # truncated at two
    for head in (theirs.heads.head, ours[-1][-1].classify.head):  # which starts at zero
        torch.manual_seed(1)
        torch.nn.init.normal_(head.weight)
    images = torch.randn(2, channels, 32, 32)
    results = []
    for model in (ours.double().train(training), theirs.double().train(training)):
        logits = model(images.double())
        gradients = torch.autograd.grad(logits.square().sum(), list(model.parameters()))
        results.append([logits, *sorted(gradients, key=lambda gradient: (gradient.numel(), gradient.norm().item()))])
    torch.testing.assert_close(*results)


def test_vision_transformer_refuses_what_does_not_fit():
    for change, message in (({"patch": 5}, "model.patch=5"), ({"heads": 3}, "model.heads=3")):
        with pytest.raises(RequestError, match=message):
            vit(CIFAR10, 10, **{**PAPERS_VIT, **change})


@pytest.mark.parametrize("width", [2, 6, 16, 20, 36, 64, 128])
def test_resnet18_of_any_even_width_has_groups_of_at_least_two_channels(width):
    model = resnet18((3, 32, 32), 10, norm="group", width=width)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.GroupNorm)]
    assert [norms[0].num_channels, norms[-1].num_channels] == [width, 8 * width]
    assert all(norm.num_channels // norm.num_groups >= 2 for norm in norms)
    assert all(norm.num_groups == 32 for norm in norms) or width < 64
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 10)
