"""The mathematics in float64 against oracles of plain autograd, on each device: `make test-cuda` has those of a GPU.

The CPU runs the same tests, so that those of a GPU are known to be right before the first one is met.
"""

from __future__ import annotations

import warnings
from copy import deepcopy
from functools import partial

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from frog_cli.cli import main
from frog_cli.data.dataset import load
from frog_cli.engine.batch_gradients import fast_curved_weights, fast_forward_gradient
from frog_cli.engine.regenerated import RegeneratedTangents, estimate_from_regenerated_weights
from frog_cli.gradients import AGGREGATIONS, TANGENTS, ForwardGradient, backprop, estimate_from_weights
from frog_cli.gradients.activities import activities
from frog_cli.gradients.estimate import estimate_along
from frog_cli.gradients.second_order import curved_weights
from frog_cli.gradients.weights import weights
from frog_cli.models.cnn import cnn
from frog_cli.models.cnn_cifar10 import cnn_cifar10
from frog_cli.models.lenet5 import lenet5
from frog_cli.models.logistic_regression import logistic_regression
from frog_cli.models.mlp import mlp
from frog_cli.models.mlp_mixer import mlp_mixer
from frog_cli.models.resnet18 import resnet18
from frog_cli.models.vit import vit
from frog_cli.objectives import devices
from frog_cli.objectives.classification import Classification
from frog_cli.sample_tangents.estimate import SampleTangents, estimate_from_sample_tangents
from frog_cli.sample_tangents.heads import Heads
from frog_cli.settings.requests import train_request
from tests.cases import activity_gradient, project, relative_error, sample_loss, weight_gradient
from tests.objectives.courses import check_that_it_goes_on_bitwise

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
pytestmark = pytest.mark.filterwarnings("default::frog_cli.engine.cuda_graphs.SlowOnGpuWarning")
on_each_device = pytest.mark.parametrize("device", DEVICES)
EXACT = 1e-9


@pytest.fixture(autouse=True)
def exact_convolutions():
    """Let a GPU's convolutions keep their digits, as those of runs do, and undo what a run sets for its process."""
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32, cudnn.deterministic
    cudnn.allow_tf32 = False
    yield
    cudnn.allow_tf32, cudnn.deterministic = before


class Attention(nn.Module):
    """Self-attention over the rows of an image, without a mask."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1, 2)
        return x + self.attention(x, x, x, need_weights=False)[0]


def networks() -> dict[str, nn.Sequential]:
    """Return networks that frog does not ship, all of smooth functions."""
    convolution = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.SiLU())
    return {
        "perceptron": nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(16, 7), nn.Tanh()), nn.Linear(7, 3)),
        "convolution": nn.Sequential(convolution, nn.AvgPool2d(2), nn.Sequential(nn.Flatten(), nn.Linear(16, 3))),
        "attention": nn.Sequential(Attention(), nn.LayerNorm(4), nn.Sequential(nn.Flatten(), nn.Linear(16, 3))),
    }


class Recurrent(nn.Module):
    """Reads the rows of an image."""

    def __init__(self, kind: type[nn.RNNBase]):
        super().__init__()
        self.cells = kind(4, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.cells(x.flatten(1, 2))[0].flatten(1)


def coupled_or_recurrent() -> dict[str, nn.Sequential]:
    """Return networks that a GPU has kernels of its own for, and whose samples may be coupled."""
    flat = nn.Flatten(start_dim=1)
    return {
        "batch norm": nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), flat, nn.Linear(16, 3)),
        "rms norm": nn.Sequential(flat, nn.Linear(16, 6), nn.RMSNorm(6), nn.Tanh(), nn.Linear(6, 3)),
        **{kind.__name__: nn.Sequential(Recurrent(kind), nn.Linear(12, 3)) for kind in (nn.LSTM, nn.GRU, nn.RNN)},
    }


OVER_WEIGHTS = [*networks(), *coupled_or_recurrent()]


def case(name: str, device: str) -> tuple[nn.Sequential, Tensor, Tensor]:
    """Return a network in double precision, images and labels."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    torch.manual_seed(1)
    model = (networks() | coupled_or_recurrent())[name].double().to(device)
    return model, torch.randn(6, 1, 4, 4).double().to(device), torch.randint(3, (6,)).to(device)


def generator(device: str) -> Generator:
    return Generator(device).manual_seed(0)


def flat(gradients: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])


def forward_gradient(**changes) -> ForwardGradient:
    usual = {"k": 5, "tangents": TANGENTS["normal"], "measure": "forward", "aggregation": AGGREGATIONS["projection"]}
    return ForwardGradient(**usual | changes)


@on_each_device
@pytest.mark.parametrize("name", OVER_WEIGHTS)
def test_slopes_over_weights_are_products_with_the_gradient(name, device):
    model, images, labels = case(name, device)
    gradient = weight_gradient(model, images, labels)
    V = TANGENTS["normal"]((5, len(gradient)), generator(device), torch.float64)
    for chunk_size in (None, 2):
        measured = weights(model, sample_loss, "forward", chunk_size).measure(images, labels, V)
        assert measured.slopes.device == images.device
        assert relative_error(measured.slopes.squeeze(1), V @ gradient) < EXACT
        torch.testing.assert_close(measured.loss, cross_entropy(model(images), labels).detach())


@on_each_device
@pytest.mark.parametrize("name", networks())
def test_slopes_over_activities_are_products_with_each_samples_gradient(name, device):
    model, images, labels = case(name, device)
    gradient = activity_gradient(model, images, labels)
    V = TANGENTS["normal"]((5, gradient.shape[1]), generator(device), torch.float64)
    measured = activities(model, sample_loss).measure(images, labels, V)
    assert relative_error(measured.slopes, V @ gradient.mT) < EXACT


@on_each_device
@pytest.mark.parametrize("name", networks())
def test_projection_is_that_of_a_qr(name, device):
    model, images, labels = case(name, device)
    gradient = weight_gradient(model, images, labels)
    V = TANGENTS["normal"]((5, len(gradient)), generator(device), torch.float64)
    found = estimate_along(V, AGGREGATIONS["projection"], weights(model, sample_loss), images, labels)
    assert relative_error(flat(found.gradients), project(V, gradient.unsqueeze(1)).squeeze(1)) < EXACT


@on_each_device
@pytest.mark.parametrize("name", OVER_WEIGHTS)
def test_recorded_steps_are_the_mathematics(name, device):
    model, images, labels = case(name, device)
    method = forward_gradient()
    recorded = fast_forward_gradient(method, weights(model, sample_loss), model)
    sources = generator(device), generator(device)
    for _ in range(2):  # the first records, the second replays
        expected = estimate_from_weights(method, model, sample_loss, images, labels, sources[0])
        found = recorded(images, labels, sources[1])
        assert relative_error(flat(found.gradients), flat(expected.gradients)) < EXACT


@on_each_device
@pytest.mark.parametrize("name", OVER_WEIGHTS)
def test_curvature_is_that_of_the_hessian(name, device):
    model, images, labels = case(name, device)
    shapes = {key: one.shape for key, one in model.named_parameters()}
    start = flat(tuple(one.detach() for one in model.parameters()))

    def loss(numbers: Tensor) -> Tensor:
        parts = numbers.split([shape.numel() for shape in shapes.values()])
        values = {key: part.view(shape) for (key, shape), part in zip(shapes.items(), parts, strict=True)}
        return cross_entropy(torch.func.functional_call(model, values, (images,)), labels)

    math = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)
    with math, torch.backends.cudnn.flags(enabled=False):  # whose recurrence has no second derivative
        H = torch.autograd.functional.hessian(loss, start)
    V = TANGENTS["normal"]((3, len(start)), generator(device), torch.float64)
    for space in (curved_weights(model, sample_loss), fast_curved_weights(model, sample_loss)):
        assert relative_error(space.measure(images, labels, V).curvature, V @ H @ V.mT) < EXACT


@on_each_device
@pytest.mark.parametrize("aggregation", ["mean", "projection"])
def test_tangents_that_are_drawn_again_are_those_that_were_measured(aggregation, device):
    model, images, labels = case("convolution", device)
    method = forward_gradient(aggregation=AGGREGATIONS[aggregation], chunk_size=2)
    n = sum(one.numel() for one in model.parameters())
    found = estimate_from_regenerated_weights(method, model, sample_loss, images, labels, generator(device))
    V = RegeneratedTangents(method.tangents, method.k, n, generator(device), torch.float64).rows(0, method.k)
    expected = estimate_along(V, method.aggregation, weights(model, sample_loss), images, labels)
    assert relative_error(flat(found.gradients), flat(expected.gradients)) < EXACT


@on_each_device
@pytest.mark.parametrize("name", networks())
def test_local_tangents_measure_forward_what_is_simulated(name, device):
    model, images, labels = case(name, device)
    heads = Heads(model, images)
    for parameter in heads.parameters():
        nn.init.normal_(parameter)
    estimates = []
    for measure in ("forward", "simulated"):
        method = SampleTangents(
            depth=1, random=2, tangents=TANGENTS["normal"], measure=measure, aggregation=AGGREGATIONS["projection"]
        )
        source = generator(device)
        estimates.append(
            estimate_from_sample_tangents(method, model, heads, sample_loss, images, labels, source).gradients
        )
    assert relative_error(flat(estimates[0]), flat(estimates[1])) < EXACT


@on_each_device
def test_all_chunks_of_tangents_see_the_same_dropout(device):
    model, images, labels = case("perceptron", device)
    model = nn.Sequential(model[0], nn.Dropout(0.5), model[1]).train()
    n = sum(one.numel() for one in model.parameters())
    V = TANGENTS["normal"]((5, n), generator(device), torch.float64)
    found = []
    for chunk_size in (None, 1):
        torch.manual_seed(3)
        found.append(weights(model, sample_loss, "forward", chunk_size).measure(images, labels, V).slopes)
    torch.manual_seed(3)
    gradient = flat(backprop(model, sample_loss, images, labels).gradients)
    assert relative_error(found[0], found[1]) < EXACT
    assert relative_error(found[0].squeeze(1), V @ gradient) < EXACT


@on_each_device
@pytest.mark.parametrize("name", TANGENTS)
def test_samplers_draw_on_the_device_of_their_generator(name, device):
    case("perceptron", device)
    draw = partial(TANGENTS[name], (400, 50))
    V = draw(generator(device), torch.float64)
    assert V.device.type == device
    assert V.dtype == torch.float64
    assert torch.equal(V, draw(generator(device), torch.float64))
    if name in ("normal", "rademacher"):
        torch.testing.assert_close((V.mT @ V / len(V)).cpu(), torch.eye(50).double(), atol=0.3, rtol=0)


SHIPPED = {
    "cnn": cnn,
    "cnn_cifar10": partial(cnn_cifar10, dropout=0.0),
    "lenet5": lenet5,
    "logistic_regression": logistic_regression,
    "mlp": partial(mlp, width=9, depth=2),
    "mlp_mixer": partial(mlp_mixer, patch=4, depth=2, hidden=6, token_mlp=5, channel_mlp=7),
    "resnet18": partial(resnet18, norm="group", width=8),
    "vit": partial(vit, patch=4, depth=2, heads=2, hidden=8, mlp=12, dropout=0.0),
}


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("perturb", ["weights", "activities"])
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_networks_have_the_steps_that_they_have_on_the_cpu(name, perturb, precision):
    """Two steps, the first recorded and the second launched as a graph, with weights that changed in between."""
    case("perceptron", "cuda")
    torch.manual_seed(2)
    exact = SHIPPED[name]((1, 28, 28), 10).double()
    model = deepcopy(exact).to("cuda", getattr(torch, precision))
    images, labels = torch.randn(4, 1, 28, 28).double(), torch.randint(10, (4,))
    space = {"weights": weights, "activities": activities}[perturb]
    drawn: list[Tensor] = []

    def keep(*arguments) -> Tensor:
        drawn.append(TANGENTS["normal"](*arguments))
        return drawn[-1]

    method = forward_gradient(tangents=keep, k=3)
    step = fast_forward_gradient(method, space(model, sample_loss), model)
    for _ in range(3):
        found = step(images.to(next(model.parameters())), labels.cuda(), generator("cuda"))
        V = drawn[-1].cpu().double()
        expected = estimate_along(V, method.aggregation, space(exact, sample_loss), images, labels)
        error = relative_error(flat(found.gradients).cpu().double(), flat(expected.gradients))
        assert error < (EXACT if precision == "float64" else 2e-3)
        with torch.no_grad():
            for one in [*model.parameters(), *exact.parameters()]:
                one.mul_(1.25)


COURSES = [
    "model=resnet18 model.width=16 gradient=backprop",
    "model=resnet18 model.width=16 gradient=projection gradient.k=4 gradient.measure=simulated",
    "model=resnet18 model.width=16 model.norm=group gradient=mean gradient.k=4 gradient.perturb=weights",
    "model=vit model.depth=2 model.hidden=16 model.mlp=16 model.heads=2 model.patch=2 gradient=projection gradient.k=4",
    "model=vit model.depth=1 model.hidden=16 model.mlp=16 model.dropout=0.1 model.patch=2 gradient=mean gradient.k=4",
    "model=mlp_mixer model.patch=2 gradient=mean gradient.k=4",
    "model=mlp gradient=projection gradient.k=4 tangents=regenerated gradient.perturb=weights",
    "model=mlp gradient=projection gradient.k=4 compile=true",
    "model=mlp gradient=fomoh_kd gradient.k=4",
    "model=mlp gradient=projection gradient.measure=greedy tangents=layerwise",
    "model=mlp gradient=projection gradient.k=4 tangents=gated",
    "model=mlp gradient=projection gradient.k=4",
    "model=mlp gradient=projection tangents=local",
    "model=mlp gradient=projection gradient.k=4 learning_rate=curvature",
]


@pytest.mark.cuda
@pytest.mark.parametrize("options", COURSES)
def test_a_run_on_a_gpu_goes_on_bitwise(options):
    case("perceptron", "cuda")
    device = devices.chosen("cuda")
    run = train_request(f"data.limit=200 epochs=2 learning_rate=0.01 device=cuda {options}".split()).runs[0]
    data = load(run.data, device)
    check_that_it_goes_on_bitwise(lambda: Classification(run, data, device))


@pytest.mark.cuda
@pytest.mark.parametrize("perturb", ["weights", "activities"])
def test_steps_do_not_wait_for_a_gpu(perturb):
    model, images, labels = case("perceptron", "cuda")
    space = {"weights": weights, "activities": activities}[perturb](model, sample_loss)
    step = fast_forward_gradient(forward_gradient(aggregation=AGGREGATIONS["mean"]), space, model)
    source = generator("cuda")
    step(images, labels, source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the mode is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        step(images, labels, source)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.cuda
@pytest.mark.parametrize(
    "options", ["gradient.k=4", "tangents=local", "gradient=fomoh_kd gradient.k=2 learning_rate=1"]
)
def test_the_command_trains_on_a_gpu(options):
    case("perceptron", "cuda")
    assert main(f"train data.limit=200 model.width=16 epochs=2 device=cuda {options}".split()) == 0


@pytest.mark.cuda
def test_a_trained_network_is_measured_on_each_device(runs, capsys):
    case("perceptron", "cuda")
    assert main(["train", "data.limit=200", "model.width=16", "epochs=2", "device=cuda"]) == 0
    (folder,) = runs.iterdir()
    told = {}
    for device in ("cpu", "cuda"):
        capsys.readouterr()
        assert main(["evaluate", str(folder), f"device={device}"]) == 0
        told[device] = [float(line.split()[2]) for line in capsys.readouterr().out.splitlines()[2:]]
    assert told["cuda"] == pytest.approx(told["cpu"], abs=2e-3)
