"""Every operation with a second-order rule, in float64, against reverse over reverse and central differences."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.func import functional_call, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from frog_cli.engine.recording import record
from frog_cli.gradients.measurement import forward
from frog_cli.jets import jets
from frog_cli.jets.jets import measure_second_order
from frog_cli.objectives.functions import FUNCTIONS
from frog_cli.torchvision_import import torchvision
from tests.cases import MODELS, case

K = 3


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weigh(result: Tensor) -> Tensor:
    """Make a scalar that depends on every entry in its own, curved way."""
    return (result.tanh() * randn(*result.shape, seed=9)).sum()


def by_reverse_mode(function, primals, tangents):
    """Return value, slopes and curvature by reverse over reverse."""
    points = [primal.clone().requires_grad_() for primal in primals]
    with sdpa_kernel(SDPBackend.MATH):
        value = function(*points)
        gradients = torch.autograd.grad(value, points, create_graph=True, materialize_grads=True)
        slopes = torch.stack([_dot(gradients, [t[i] for t in tangents]) for i in range(len(tangents[0]))])
        rows = [torch.autograd.grad(s, points, retain_graph=True, materialize_grads=True) for s in slopes]
    curvature = torch.stack(
        [torch.stack([_dot(row, [t[j] for t in tangents]) for j in range(len(slopes))]) for row in rows]
    )
    return value.detach(), slopes.detach(), curvature.detach()


def by_differences(function, primals, tangents, step=1e-4):
    """Return the curvature by central differences of the value along sums and differences of directions."""

    def value(shift: list[Tensor]) -> float:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            return function(*(p + step * s for p, s in zip(primals, shift, strict=True))).item()

    count = len(tangents[0])
    curvature = torch.empty(count, count, dtype=torch.float64)
    for i in range(count):
        for j in range(count):
            corners = [value([a * t[i] + b * t[j] for t in tangents]) * a * b for a in (1, -1) for b in (1, -1)]
            curvature[i, j] = sum(corners) / (4 * step**2)
    return curvature


def _dot(a, b):
    return sum((x * y).sum() for x, y in zip(a, b, strict=True))


def check(function, *primals: Tensor, tolerance: float = 1e-8) -> None:
    tangents = [randn(K, *primal.shape, seed=index + 1) for index, primal in enumerate(primals)]
    found = measure_second_order(function, primals, tangents)
    for ours, expected in zip(found, by_reverse_mode(function, primals, tangents), strict=True):
        scale = expected.norm().clamp(min=1e-12)
        assert ((ours - expected).norm() / scale) < tolerance, (ours, expected)
    _, slopes, _ = forward(lambda *x: (function(*x), ()), primals, tangents)  # by jets of first order
    assert (slopes - found[1]).norm() <= tolerance * found[1].norm()
    differences = by_differences(function, primals, tangents)
    assert (found[2] - differences).norm() <= 1e-4 * (1 + differences.norm())


X = randn(4, 6)
LABELS = torch.tensor([0, 5, 2, 2])
UNARY = {
    "exp": torch.exp, "log": lambda x: (x * x + 1).log(), "log1p": lambda x: (x * x).log1p(), "sin": torch.sin,
    "cos": torch.cos, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": F.relu, "abs": torch.abs,
    "relu in place": lambda x: F.relu(x * 1, inplace=True), "leaky relu": F.leaky_relu, "gelu": F.gelu,
    "gelu by tanh": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu, "elu": F.elu, "mish": F.mish,
    "hardswish": F.hardswish, "softplus": F.softplus, "clamp": lambda x: x.clamp(-0.5, 0.5),
    "softmax": lambda x: F.softmax(x, 1), "log softmax": lambda x: F.log_softmax(x, 0),
    "logsumexp": lambda x: x.logsumexp(1), "cube": lambda x: x**3, "square": lambda x: x**2, "one": lambda x: x**1,
    "root": lambda x: (x * x + 1) ** 0.5, "sqrt": lambda x: (x * x + 1).sqrt(), "rsqrt": lambda x: (x * x + 1).rsqrt(),
    "to the power": lambda x: (x * x + 1) ** x, "power of two": lambda x: 2**x, "reciprocal": lambda x: 1 / (x * x + 1),
    "quotient": lambda x: x / (x * x + 1), "divided": lambda x: x / 3, "product": lambda x: x * x.exp(),
    "difference": lambda x: 1 - x + x.sin() - 2 * x, "constant": lambda x: x * torch.ones(6).double() + randn(4, 1),
    "sum": lambda x: x.sum(), "sum of rows": lambda x: x.sum(1, keepdim=True) * x, "mean": lambda x: x.mean((0, 1)),
    "variance": lambda x: x.var(0), "variance of all": lambda x: x.var([0, 1]), "deviation": lambda x: x.std(1), "norm": lambda x: x.norm(), "cumsum": lambda x: x.cumsum(0),
    "maximum": lambda x: x.max(), "maxima": lambda x: x.max(1).values, "largest": lambda x: x.amax(0),
    "layer norm": lambda x: F.layer_norm(x, (6,)), "batch norm": lambda x: F.batch_norm(x, None, None, training=True),
    "masked fill of a row": lambda x: x[0].masked_fill(X[:3] > 0, 0.5),
    "to powers": lambda x: x ** torch.tensor([2.0, 3.0, 4.0, 1.0, 0.0, 2.0]).double(), "to a power": lambda x: (x * x) ** torch.tensor(1.5).double(),
    "negative to whole powers": lambda x: (-x * x - 1) ** torch.tensor([2.0, 3.0, 1.0] * 2).double(),
    "powers of 1 and 2": lambda x: torch.tensor([1.0, 2.0] * 3).double() ** (x * x + 1), "channels last": lambda x: x.view(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
    "by integers": lambda x: x / torch.arange(1, 7), "masked mean": lambda x: (x * (X > 0)).sum() / (X > 0).sum(),
    "nothing to choose": lambda x: torch._safe_softmax(torch.cat([x * x, torch.full((1, 6), -torch.inf).double()]), 1),
    "pad": lambda x: F.pad(x, (1, 2), value=2.0) * 3, "to integers": lambda x: x * (10 * x).long(),
    "view": lambda x: x.view(2, 12), "flatten": lambda x: x.flatten(), "permute": lambda x: x.reshape(2, 2, 6).permute(2, 0, 1),
    "transpose": lambda x: x.transpose(0, -1), "expand": lambda x: x[:1].expand(3, 6), "squeeze": lambda x: x[None].squeeze(),
    "slice": lambda x: x[:, 1:5:2], "index": lambda x: x[:, [0, 0, 2]], "select": lambda x: x[..., 1],
    "gather": lambda x: x.gather(1, LABELS[:, None]), "cat": lambda x: torch.cat([x, x * x, torch.ones(1, 6).double()]),
    "cat columns": lambda x: torch.cat([x.exp(), x], 1), "stack": lambda x: torch.stack([x, x.sin()], 1),
    "split": lambda x: x.split(2, 1)[1] * x.chunk(3, 1)[0], "unbind": lambda x: x.unbind(0)[2],
    "where": lambda x: torch.where(x > 0, x * x, x), "masked fill": lambda x: x.masked_fill(x > 1, 0.5),
    "einsum": lambda x: torch.einsum("ij,kj->ik", x, x), "outer": lambda x: x[:, 0].outer(x[:, 1]),
    "vectors": lambda x: x[0] @ x[1] * (x @ x[2]), "in place": lambda x: (x * 1).add_(x * x).mul_(x),
    "cross entropy": lambda x: F.cross_entropy(x, LABELS), "each cross entropy": lambda x: F.cross_entropy(x, LABELS, reduction="none"),
    "smoothed cross entropy": lambda x: F.cross_entropy(x, LABELS, label_smoothing=0.1),
    "nll": lambda x: F.nll_loss(x.sin(), LABELS, reduction="sum"), "mse": lambda x: F.mse_loss(x, torch.ones(4, 6).double()),
}  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_operation(name):
    check(lambda x: weigh(UNARY[name](x)), X)


SEVERAL = {
    "trained bias": (lambda x, b: F.conv2d(randn(2, 3, 5, 5), randn(4, 3, 3, 3), b) * x, (1,), (4,)),
    "embedding": (lambda w: F.embedding(torch.tensor([[0, 2], [2, 1]]), w), (4, 6)),
    "matrix product": (lambda a, b: a @ b, (4, 6), (6, 5)),
    "batched matrix product": (lambda a, b: a @ b, (2, 4, 6), (2, 6, 5)),
    "broadcast matrix product": (lambda a, b: a @ b, (2, 3, 4, 6), (6, 5)),
    "broadcast batched matrix product": (lambda a, b: a @ b, (2, 3, 4, 6), (3, 6, 5)),
    "matrix by batched matrix": (lambda a, b: a @ b, (4, 6), (3, 6, 5)),
    "product of stacks of matrices": (torch.ops.aten.matmul, (2, 3, 4, 6), (1, 3, 6, 5)),
    "broadcast product": (lambda a, b: a * b + a - b, (4, 1, 6), (3, 1)),
    "linear": (F.linear, (4, 6), (5, 6), (5,)),
    "linear over a sequence": (F.linear, (2, 4, 6), (5, 6), (5,)),
    "convolution": (lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1), (2, 3, 7, 7), (4, 3, 3, 3), (4,)),
    "grouped convolution": (lambda x, w: F.conv2d(x, w, groups=3), (2, 3, 5, 5), (6, 1, 3, 3)),
    "convolution of given images": (lambda w, b: F.conv2d(randn(2, 3, 5, 5), w, b), (4, 3, 3, 3), (4,)),
    "convolution with given weights": (lambda x: F.conv2d(x, randn(4, 3, 3, 3)), (2, 3, 5, 5)),
    "max pooling": (lambda x: F.max_pool2d(x, 2), (2, 3, 6, 6)),
    "overlapping max pooling": (lambda x: F.max_pool2d(x, 3, 2, 1), (2, 3, 6, 6)),
    "average pooling": (lambda x: F.avg_pool2d(x, 3, padding=1), (2, 3, 6, 6)),
    "adaptive average pooling": (lambda x: F.adaptive_avg_pool2d(x, 3), (2, 3, 6, 6)),
    "layer norm with weights": (lambda x, w, b: F.layer_norm(x, (6,), w, b), (2, 4, 6), (6,), (6,)),
    "group norm": (lambda x, w, b: F.group_norm(x, 3, w, b), (2, 6, 4, 4), (6,), (6,)),
    "instance norm": (lambda x: F.instance_norm(x), (2, 3, 4, 4)),
    "attention": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v), (2, 2, 5, 4), (2, 2, 5, 4), (2, 2, 5, 4)),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_operation_of_several(name):
    function, *shapes = SEVERAL[name]
    check(lambda *x: weigh(function(*x)), *(randn(*shape, seed=20 + index) for index, shape in enumerate(shapes)))


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_with_statistics(training):
    def normalised(x, weight, bias):
        mean, variance = torch.zeros(3).double(), torch.ones(3).double() * 2
        return weigh(F.batch_norm(x, mean, variance, weight, bias, training=training))

    check(normalised, randn(4, 3, 5, 5), randn(3), randn(3))


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


def networks():
    vision = torchvision()
    labels = torch.tensor([0, 1, 2, 1])
    cnn = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(20, 7), nn.ReLU(), nn.Linear(7, 3),
    )  # fmt: skip
    vit = vision.models.VisionTransformer(
        image_size=8, patch_size=4, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=3
    )
    nn.init.normal_(vit.heads.head.weight)
    return {
        "cnn": (cnn, randn(4, 1, 14, 14), labels),
        "resnet18": (vision.models.resnet18(num_classes=3), randn(4, 3, 40, 40), labels),
        "vit": (vit, randn(4, 3, 8, 8), labels),
        **{name: (make(), randn(4, 4, 3), labels) for name, make in RECURRENT.items()},
    }


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", [*MODELS, *RECURRENT, "cnn", "resnet18", "vit"])
def test_network(name, training):
    torch.manual_seed(0)
    model, images, labels = case(name) if name in MODELS else networks()[name]
    loss, weights = in_weights(model.double().train(training), images, labels)
    tangents = [randn(2, *weight.shape, seed=index) for index, weight in enumerate(weights)]
    for ours, expected in zip(
        measure_second_order(loss, weights, tangents), by_reverse_mode(loss, weights, tangents), strict=True
    ):
        torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-8 * expected.abs().max().item())
    small = [0.01 * tangent for tangent in tangents]
    differences = 1e4 * by_differences(loss, weights, small, step=1e-2)
    exact = measure_second_order(loss, weights, tangents)[2]
    if name not in ("cnn", "resnet18"):  # so many ReLUs and pools that every finite step crosses a kink
        assert (exact - differences).norm() < 1e-3 * exact.norm()


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_networks_in_single_precision(name):
    """Where torch runs a whole LSTM in one kernel that forward mode does not know."""
    torch.manual_seed(0)
    model, x, labels = networks()[name]
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


@pytest.mark.parametrize("kind", ["layer norm", "batch norm"])
def test_would_notice_the_wrong_formulas_of_nested_jvp(kind):
    """torch 2.13 is silently wrong there (pytorch issues 196700 and 196699); if this fails, it has been repaired."""

    def function(x):
        return weigh(UNARY[kind](x))

    tangents = [randn(K, 4, 6, seed=1)]
    _, _, right = by_reverse_mode(function, [X], tangents)
    _, _, ours = measure_second_order(function, [X], tangents)
    v = tangents[0][0]
    _, nested = jvp(lambda x: jvp(function, (x,), (v,))[1], (X,), (v,))
    assert abs(ours[0, 0] - right[0, 0]) < 1e-10 * abs(right[0, 0])
    assert abs(nested - right[0, 0]) > 1e-2 * abs(right[0, 0])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradient_and_hessian_from_forward_passes(name):
    """The basis as directions gives the exact gradient and the whole Hessian (arXiv 2408.10419, Section 4.1)."""
    function, x = FUNCTIONS[name].function, randn(7)
    value, slopes, curvature = measure_second_order(function, [x], [torch.eye(7).double()])
    assert value == function(x)
    torch.testing.assert_close(slopes, torch.func.grad(function)(x), rtol=1e-12, atol=1e-12)
    hessian = torch.func.hessian(function)(x)
    torch.testing.assert_close(curvature, hessian, rtol=1e-12, atol=1e-12)
    u, v = randn(2, 7, seed=5)
    both = measure_second_order(function, [x], [torch.stack([u, v])])[2]
    assert both[0, 1].item() == pytest.approx((u @ hessian @ v).item(), rel=1e-12)


def test_many_points_at_once():
    function, points, V = FUNCTIONS["rosenbrock"].function, randn(5, 6), randn(2, 5, 6, seed=1)
    values, slopes, curvature = measure_second_order(function, [points], [V])
    assert (values.shape, slopes.shape, curvature.shape) == ((5,), (5, 2), (5, 2, 2))
    for index in range(5):
        _, slope, bend = measure_second_order(function, [points[index]], [V[:, index]])
        torch.testing.assert_close(slopes[index], slope, rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(curvature[index], bend, rtol=1e-13, atol=1e-13)


def test_what_has_no_rule_is_named():
    with pytest.raises(NotImplementedError, match=r"no forward-mode rule for the operation aten\.erfinv"):
        measure_second_order(lambda x: x.erfinv().sum(), [X], [randn(K, 4, 6)])


def without_gradient(x):
    with torch.no_grad():
        factor = torch.cat([x, x]).exp()[:4]
    return factor * x


@pytest.mark.parametrize(
    "stops",
    [lambda x: x.detach() * x, lambda x: x.data * x, lambda x: x * x + (x.round() - x).detach(), without_gradient],
    ids=["detach", "data", "straight through", "no_grad"],
)
def test_what_stops_the_reverse_mode_stops_the_forward_mode(stops):
    tangents = [randn(K, *X.shape, seed=1)]
    expected = by_reverse_mode(lambda x: weigh(stops(x)), [X], tangents)
    found = measure_second_order(lambda x: weigh(stops(x)), [X], tangents)
    torch.testing.assert_close(found, expected)
    value, slopes, _ = forward(lambda x: (weigh(stops(x)), ()), (X,), tuple(tangents))
    torch.testing.assert_close((value, slopes), expected[:2])


def test_padding_of_an_embedding_is_not_trained():
    indices, w, tangents = torch.tensor([[0, 2], [2, 1]]), randn(4, 6), [randn(K, 4, 6, seed=1)]
    expected = by_reverse_mode(lambda w: weigh(F.embedding(indices, w, padding_idx=2)), [w], tangents)
    found = measure_second_order(lambda w: weigh(F.embedding(indices, w, padding_idx=2)), [w], tangents)
    torch.testing.assert_close(found, expected)


def test_an_embedding_scaled_by_frequency_has_the_slopes_of_the_reverse_mode():
    indices, w, tangents = torch.tensor([[0, 2, 2], [2, 1, 1]]), randn(4, 6), [randn(K, 4, 6, seed=1)]

    def function(w):
        return weigh(F.embedding(indices, w, padding_idx=1, scale_grad_by_freq=True))

    value, slopes, _ = forward(lambda w: (function(w), ()), (w,), tuple(tangents))
    torch.testing.assert_close((value, slopes), _first_order(function, w, tangents[0]))
    with pytest.raises(NotImplementedError, match="no forward-mode rule of second order for embeddings with scale_"):
        measure_second_order(function, [w], tangents)


def _first_order(function, point, tangents):
    point = point.clone().requires_grad_()
    value = function(point)
    return value.detach(), torch.einsum("kij,ij->k", tangents, torch.autograd.grad(value, point)[0])


@pytest.mark.parametrize("root", [lambda x: (0 * x).norm(), lambda x: x.std(0)])
def test_a_root_has_no_slope_at_its_kink(root):
    x = torch.ones(3, 2, dtype=torch.float64)
    _, slopes, _ = forward(lambda x: (root(x).sum(), ()), (x,), (randn(K, 3, 2),))
    assert slopes.tolist() == [0] * K


@pytest.mark.parametrize("along", [lambda x: x.cumsum(0) * x, lambda x: x.sum(0) * x])
def test_the_one_dimension_of_a_number_is_not_that_of_the_directions(along):
    x, tangents = randn(), randn(K)
    _, slopes, _ = forward(lambda x: (along(x), ()), (x,), (tangents,))
    torch.testing.assert_close(slopes, torch.stack([jvp(along, (x,), (v,))[1] for v in tangents]))


@pytest.mark.parametrize(
    "of_a_number",
    [
        lambda x: x.norm(),
        lambda x: x.sum(dim=()),
        lambda x: x.mean(dim=()),
        lambda x: x.log_softmax(0),
        lambda x: x.var(correction=0),
    ],
)
def test_numbers(of_a_number):
    x, tangents = randn().square() + 1, randn(K)
    _, slopes, _ = forward(lambda x: (of_a_number(x * x), ()), (x,), (tangents,))
    torch.testing.assert_close(
        slopes, torch.stack([jvp(lambda x: of_a_number(x * x), (x,), (v,))[1] for v in tangents])
    )


def test_types_and_layouts_are_those_of_the_values():
    x, double = randn(2, 3, 4, 4).float(), randn(4)
    tangents = (randn(K, 2, 3, 4, 4).float(),)

    def function(x):
        x = x.to(memory_format=torch.channels_last) + double.float()
        x = (x + double) @ randn(4, 4)
        narrow = x.float()
        narrow += double
        return torch.cat([torch.empty(0), (narrow @ randn(4, 4).float()).flatten()]).sum()

    _, slopes, _ = forward(lambda x: (function(x), ()), (x,), tangents)
    torch.testing.assert_close(
        slopes, torch.stack([jvp(function, (x,), (v,))[1] for v in tangents[0]]), rtol=1e-4, atol=1e-4
    )


def test_powers_of_zero():
    base, x, tangents = torch.tensor([0.0, 2.0]).double(), randn(2).square() + 1, randn(K, 2, seed=1)
    _, slopes, _ = forward(lambda x: (base**x, ()), (x,), (tangents,))
    torch.testing.assert_close(slopes, torch.stack([jvp(lambda x: base**x, (x,), (v,))[1] for v in tangents]))


@pytest.mark.parametrize("base", [torch.tensor(-2.0).double(), -2.0], ids=["tensor", "number"])
def test_powers_of_a_negative_base_vary_where_the_exponent_does_not(base):
    x, w, tangents = randn(3), torch.tensor([2.0, 3.0, 1.0]).double(), [randn(K, 3, seed=1), torch.zeros(K, 3).double()]
    value, slopes, curvature = measure_second_order(lambda x, w: ((base**w) * x.tanh()).sum(), [x, w], tangents)
    expected = by_reverse_mode(lambda x: ((base**w) * x.tanh()).sum(), [x], tangents[:1])
    torch.testing.assert_close((value, slopes, curvature), expected)
    both = measure_second_order(lambda x, w: ((-2 - x * x) ** w).sum(), [x, w], tangents)
    expected = by_reverse_mode(lambda x: ((-2 - x * x) ** w).sum(), [x], tangents[:1])
    torch.testing.assert_close(both, expected)
    along_both = forward(lambda x, w: ((-2 - x * x) ** w, ()), (x, w), (tangents[0], tangents[0]))
    torch.testing.assert_close(along_both[0], (-2 - x * x) ** w)
    assert along_both[1].isnan().all()  # there is no real number for it


def test_a_variance_over_no_named_dimension_is_over_all():
    value, slopes, _ = forward(lambda x: (x.var(dim=[]), ()), (X,), (randn(K, 4, 6, seed=1),))
    torch.testing.assert_close((value, slopes), by_reverse_mode(torch.var, [X], [randn(K, 4, 6, seed=1)])[:2])


COMPLEX = {
    "fft": lambda x: torch.fft.fft(x).abs(), "fft2": lambda x: torch.fft.fft2(x).real,
    "fftn": lambda x: torch.fft.fftn(x).imag, "hfft": torch.fft.hfft, "irfft": lambda x: torch.fft.irfft(torch.fft.rfft(x)),
    "conversion": lambda x: x.to(torch.complex128).exp().real, "abs": lambda x: (x * 2j + x * x).abs(),
    "norm": lambda x: torch.linalg.vector_norm(x * 2j + x * x), "variance": lambda x: (x * 2j + x * x).var(),
    "parts": lambda x: torch.view_as_real(torch.complex(x, x * x).sin()),
    "product": lambda x: (x.to(torch.complex128) @ torch.complex(X.mT, X.mT.sin())).abs(),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_numbers_are_left_to_torch_or_refused(name):
    tangents = [randn(K, 4, 6, seed=1)]

    def function(x):
        return weigh(COMPLEX[name](x))

    value, slopes, _ = forward(lambda x: (function(x), ()), (X,), tuple(tangents))
    torch.testing.assert_close((value, slopes), by_reverse_mode(function, [X], tangents)[:2])
    with pytest.raises(NotImplementedError, match=r"no forward-mode rule for (complex numbers|the operation aten\.)"):
        measure_second_order(function, [X], tangents)


def test_logsumexp_of_infinite_numbers():
    rows = torch.tensor([[-torch.inf, -torch.inf], [torch.inf, 0]]).double()
    value, _, _ = forward(lambda x: ((x + rows).logsumexp(1), ()), (torch.zeros(2, 2).double(),), (randn(K, 2, 2),))
    assert value.tolist() == [-torch.inf, torch.inf]


def test_no_grad_is_heeded_or_refused_where_an_operation_has_no_rule():
    with pytest.raises(NotImplementedError, match=r"torch\.no_grad in a model, together with"):
        forward(lambda x: (F.celu(without_gradient(x)).sum(), ()), (X,), (randn(K, *X.shape),))


class Rounded(torch.autograd.Function):
    """The straight-through estimator."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x.round()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, gradient):
        return gradient

    @staticmethod
    def jvp(ctx, tangent):
        return tangent.clone()


def test_a_derivative_of_ones_own_is_not_replaced():
    tangents = (randn(K, *X.shape, seed=1),)
    rounded = Rounded.apply
    expected = by_reverse_mode(lambda x: weigh(Rounded.apply(x) * x), [X], tangents)
    _, slopes, _ = forward(lambda x: (weigh(Rounded.apply(x) * x), ()), (X,), tangents)
    torch.testing.assert_close(slopes, expected[1])
    with pytest.raises(NotImplementedError, match="Rounded, which has a derivative of its own"):
        measure_second_order(lambda x: weigh(Rounded.apply(x)), (X,), tangents)
    assert rounded(X).equal(X.round())  # as ever


def into_a_view(x):
    y = x * 2
    y.view(-1).mul_(x.view(-1))
    return y


def into_what_a_view_shows(x):
    y = x * 2
    shown = y.view(-1)
    y.mul_(x)
    return shown * shown


def into_a_row(x):
    y = x * x
    y[0].mul_(x[1])
    return y


def into_a_chunk(x):
    y = x * x
    y.chunk(2)[0].add_(x[:2])
    return y


@pytest.mark.parametrize("writes", [into_a_view, into_what_a_view_shows, into_a_row, into_a_chunk])
def test_what_is_written_into_a_view_is_not_lost(writes):
    tangents = randn(K, *X.shape, seed=1)
    _, slopes, _ = forward(lambda x: (weigh(writes(x)), ()), (X,), (tangents,))
    expected = torch.stack([jvp(lambda x: weigh(writes(x)), (X,), (v,))[1] for v in tangents])
    torch.testing.assert_close(slopes, expected)
    with pytest.raises(NotImplementedError, match="would write into memory that a view shows, too"):
        measure_second_order(lambda x: weigh(writes(x)), (X,), (tangents,))


def test_what_no_view_shows_may_be_written_to():
    weight, x = randn(5, 6), randn(2, 3, 6)
    check(lambda x, weight: weigh(F.relu(F.linear(x, weight), inplace=True) * F.linear(x, weight)), x, weight)


def test_what_does_not_depend_on_the_point_has_no_derivatives():
    value, slopes, curvature = measure_second_order(lambda x: torch.ones(()), [X], [randn(K, 4, 6)])
    assert (value, slopes.abs().sum(), curvature.abs().sum()) == (1, 0, 0)


def test_the_value_and_first_derivatives_are_computed_once():
    """K directions cost as many calls of an operation as one, however many pairs there are."""

    def calls(count: int) -> dict[str, int]:
        with torch.profiler.profile() as profile:
            measure_second_order(lambda x: (x @ x.mT).tanh().sum(), [X], [randn(count, 4, 6)])
        return {
            event.key: event.count for event in profile.key_averages() if event.key in ("aten::tanh", "aten::matmul")
        }

    assert calls(1) == calls(5) != {}


def test_recording():
    function, points, V = FUNCTIONS["styblinski-tang"].function, randn(3, 6), randn(2, 3, 6, seed=1)

    def measured(points, V):
        return measure_second_order(function, (points,), (V,))

    for ours, expected in zip(record(measured, points, V)(points, V), measured(points, V), strict=True):
        assert torch.equal(ours, expected)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: (x @ w).tanh(),
        lambda x, w: F.linear(x, w.mT, randn(5)).sin(),
        lambda x, w: F.conv2d(x.view(4, 1, 2, 3), w[:4].reshape(5, 1, 2, 2)).exp(),
        lambda x, w: F.linear(x + 2, w.mT) * x.sum(1, keepdim=True),
        lambda x, w: ((x @ w) * (x @ w)).cos(),
    ],
)
def test_directions_that_a_batch_shares_are_multiplied_once_and_give_the_same(function, order, monkeypatch):
    w = randn(6, 5, seed=3)
    shared = randn(K, 1, 6, seed=4).expand(K, 4, 6)
    rows = []

    def spy(left, right):
        rows.append(left.shape[-2])
        return left @ right

    monkeypatch.setattr(jets, "matrix_product", spy)
    found = jets.evaluate(lambda x: function(x, w), [X], [shared], order)
    assert all(number == 1 for number in rows[1::2])  # after each value
    expected = jets.evaluate(lambda x: function(x, w), [X], [shared.contiguous()], order)
    torch.testing.assert_close(found.value, expected.value, rtol=0, atol=0)
    torch.testing.assert_close(found.terms, expected.terms, rtol=1e-12, atol=1e-12)
