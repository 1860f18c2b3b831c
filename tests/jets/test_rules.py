"""The table: each operation is reached by a case, and whole networks pass through."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.func import functional_call

from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import RULES, evaluate, laid_over, measure_second_order
from frog_cli.torchvision_import import torchvision
from tests.cases import MODELS, case
from tests.jets import (
    test_attention,
    test_cells,
    test_composed,
    test_elementwise,
    test_formulas,
    test_linear,
    test_losses,
    test_matrices,
    test_mutation,
    test_norms,
    test_pieces,
    test_placing,
    test_products,
    test_selections,
    test_shapes,
    test_softmax,
)
from tests.jets.oracles import K, by_differences, by_reverse_mode, function_and_points, randn

TABLES = (
    test_attention,
    test_cells,
    test_composed,
    test_elementwise,
    test_formulas,
    test_linear,
    test_losses,
    test_matrices,
    test_mutation,
    test_norms,
    test_pieces,
    test_placing,
    test_products,
    test_selections,
    test_shapes,
    test_softmax,
)
NEEDS_CUDA = {torch.ops.aten.cudnn_batch_norm.default}


def test_each_operation_is_reached_by_a_case():
    reached = set()

    def watched(operation, rule):
        return lambda *args, **kwargs: reached.add(operation) or rule(*args, **kwargs)

    with laid_over({operation: watched(operation, rule) for operation, rule in RULES.items()}):
        for kind in TABLES:
            for row in kind.CASES.values():
                function, points = function_and_points(row)
                evaluate(function, points, [randn(1, *point.shape) for point in points], order=2)
    assert set(RULES) - reached == NEEDS_CUDA


def in_weights(model, images, labels):
    names, parameters = zip(*model.named_parameters(), strict=True)

    def loss(*values: Tensor) -> Tensor:
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        outputs = functional_call(model, ({**dict(zip(names, values, strict=True)), **buffers},), (images,))
        return F.cross_entropy(outputs, labels)

    return loss, [parameter.detach() for parameter in parameters]


class Recurrent(nn.Module):
    """Reads a sequence and classifies by what it knows at the end."""

    def __init__(self, kind, **options):
        super().__init__()
        self.cells = kind(3, 4, **options)
        self.last = nn.Linear(8 if options.get("bidirectional") else 4, 3)

    def forward(self, x):
        states = self.cells(x)[0]
        return self.last(states[:, -1] if self.cells.batch_first else states[-1])


RECURRENT = {
    "lstm": lambda: Recurrent(nn.LSTM, batch_first=True),
    "gru": lambda: Recurrent(nn.GRU, batch_first=True),
    "rnn": lambda: Recurrent(nn.RNN, batch_first=True),
    "two lstms both ways": lambda: Recurrent(nn.LSTM, num_layers=2, bidirectional=True),
    "gru without bias": lambda: Recurrent(nn.GRU, bias=False),
}


def small_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(20, 7), nn.ReLU(), nn.Linear(7, 3),
    )  # fmt: skip


def small_vit():
    vit = torchvision().models.VisionTransformer(
        image_size=8, patch_size=4, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=3
    )
    nn.init.normal_(vit.heads.head.weight)
    return vit


def resnet10():
    """ResNet18 with one of the two blocks of each stage."""
    resnet = torchvision().models.resnet
    return resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1], num_classes=3)


NETWORKS = {
    "cnn": (small_cnn, (1, 14, 14)),
    "resnet10": (resnet10, (3, 40, 40)),
    "vit": (small_vit, (3, 8, 8)),
    **{name: (make, (4, 3)) for name, make in RECURRENT.items()},
}


def network(name):
    make, shape = NETWORKS[name]
    return make(), randn(4, *shape), torch.tensor([0, 1, 2, 1])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", [*MODELS, *RECURRENT, "cnn", "resnet10", "vit"])
def test_network(name, training):
    torch.manual_seed(0)
    model, images, labels = case(name) if name in MODELS else network(name)
    loss, weights = in_weights(model.double().train(training), images, labels)
    tangents = [randn(2, *weight.shape, seed=index) for index, weight in enumerate(weights)]
    for ours, expected in zip(
        measure_second_order(loss, weights, tangents), by_reverse_mode(loss, weights, tangents), strict=True
    ):
        torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-8 * expected.abs().max().item())
    small = [0.01 * tangent for tangent in tangents]
    differences = 1e4 * by_differences(loss, weights, small, step=1e-2)
    exact = measure_second_order(loss, weights, tangents)[2]
    if name not in ("cnn", "resnet10"):  # so many ReLUs and pools that every finite step crosses a kink
        assert (exact - differences).norm() < 1e-3 * exact.norm()


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_networks_in_single_precision(name):
    """Where torch runs a whole LSTM in one kernel that forward mode does not know."""
    torch.manual_seed(0)
    model, x, labels = network(name)
    losses, weights = {}, {}
    for dtype in (torch.float32, torch.float64):
        losses[dtype], weights[dtype] = in_weights(model.to(dtype), x.to(dtype), labels)
        weights[dtype] = tuple(weight.clone() for weight in weights[dtype])
    tangents = tuple(randn(K, *weight.shape, seed=index) for index, weight in enumerate(weights[torch.float64]))
    expected = by_reverse_mode(losses[torch.float64], weights[torch.float64], tangents)
    in_single = tuple(tangent.float() for tangent in tangents)
    model.float()
    _, slopes, _ = forward(lambda *values: (losses[torch.float32](*values), ()), weights[torch.float32], in_single)
    torch.testing.assert_close(slopes.double(), expected[1], rtol=1e-5, atol=1e-6)
    _, _, curvature = measure_second_order(losses[torch.float32], weights[torch.float32], in_single)
    torch.testing.assert_close(curvature.double(), expected[2], rtol=1e-4, atol=1e-5)


OF_TORCHVISION = [
    "mobilenet_v2",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("efficientnet_b0", "convnext_tiny", "swin_t")),
]


@pytest.mark.parametrize("name", OF_TORCHVISION)
def test_networks_that_write_in_place_and_lay_images_channels_last(name):
    torch.manual_seed(0)
    model = getattr(torchvision().models, name)(num_classes=3).double().eval()
    loss, weights = in_weights(model, randn(2, 3, 32, 32), torch.tensor([0, 1]))
    tangents = [randn(1, *weight.shape, seed=index) * 0.01 for index, weight in enumerate(weights)]
    for ours, expected in zip(
        measure_second_order(loss, weights, tangents), by_reverse_mode(loss, weights, tangents), strict=True
    ):
        torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-10)
