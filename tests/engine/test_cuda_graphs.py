"""A function that runs as a CUDA graph is that function: `make test-cuda`."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from frog_cli.engine.batch_gradients import fast_backprop
from frog_cli.engine.cuda_graphs import LARGEST, SlowOnGpuWarning, as_cuda_graph, one_by_one
from frog_cli.engine.memory import peak_memory
from frog_cli.engine.phases import timed_by
from tests.cases import case, sample_loss

pytestmark = pytest.mark.cuda


@pytest.fixture(autouse=True)
def device() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


class Counted:
    """A function that counts how often its operations are launched one by one."""

    def __init__(self, function=lambda x, y: (x @ y, x.sin())):
        self.calls, self._function = 0, function

    def __call__(self, *arguments):
        self.calls += 1
        return self._function(*arguments)


def arguments(rows: int = 3, **options) -> list[torch.Tensor]:
    return [torch.randn(rows, 4, device="cuda", **options), torch.randn(4, 5, device="cuda", **options)]


@torch.no_grad()
def test_a_graph_gives_what_its_function_gives_and_leaves_earlier_results_alone():
    counted = Counted()
    graph = as_cuda_graph(counted)
    kept = []
    for _ in range(5):
        x, y = arguments(dtype=torch.float64)
        kept.append((graph(x, y), (x @ y, x.sin())))
    for found, expected in kept:
        assert all(map(torch.equal, found, expected))
    assert counted.calls == 2  # before the capture, and captured


@torch.no_grad()
def test_arguments_of_other_shapes_types_and_strides_are_taken_as_they_are():
    graph = as_cuda_graph(Counted())
    graph(*arguments())
    for x, y in (arguments(rows=1), arguments(dtype=torch.float64), (arguments()[0], torch.randn(5, 4).cuda().mT)):
        for found, expected in zip(graph(x, y), (x @ y, x.sin()), strict=True):  # a product by another kernel
            torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_what_a_function_holds_is_read_where_it_is():
    weight = torch.ones(4, device="cuda")
    graph = as_cuda_graph(lambda x: (x * weight,))
    x = arguments()[0]
    graph(x)
    weight.fill_(3)
    assert torch.equal(graph(x)[0], 3 * x)


@torch.no_grad()
@pytest.mark.parametrize("refused", [torch.nonzero, lambda x: x.cpu().cuda(), lambda x: x * x.sum().item()])
def test_a_function_that_waits_for_the_device_runs_as_it_is(refused):
    graph, x = as_cuda_graph(lambda x: (refused(x),)), arguments()[0]
    with pytest.warns(SlowOnGpuWarning, match="one by one"):
        assert torch.equal(graph(x)[0], refused(x))
    assert torch.equal(graph(2 * x)[0], refused(2 * x))
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    torch.manual_seed(0)
    numbers = torch.randn(3, device="cuda")  # from the device's own generator, whose state no capture may keep
    torch.manual_seed(0)
    assert torch.equal(numbers, torch.randn(3, device="cuda"))
    counted = Counted()
    other = as_cuda_graph(counted)  # whose capture must find everything as it was
    for _ in range(3):
        other(*arguments())
    assert counted.calls == 2


@torch.no_grad()
def test_large_arguments_are_not_copied():
    counted = Counted(lambda x: (x + 1,))
    graph = as_cuda_graph(counted)
    x = torch.zeros(LARGEST // 4 + 1, device="cuda")
    for _ in range(3):
        graph(x)
    assert counted.calls == 3


@torch.no_grad()
def test_operations_run_one_by_one_while_somebody_watches():
    counted = Counted()
    graph = as_cuda_graph(counted)
    x, y = arguments()
    with timed_by(lambda phase: None):
        graph(x, y)
    graph(x, y)
    before = counted.calls
    with FlopCounterMode(display=False) as counter:
        graph(x, y)
    assert counter.get_total_flops() == 2 * 3 * 4 * 5
    assert counted.calls == before + 1
    with one_by_one():
        graph(x, y)
    assert counted.calls == before + 2


@torch.no_grad()
def test_the_memory_of_a_step_is_that_of_its_operations():
    x = torch.zeros(2**18, device="cuda")
    graph = as_cuda_graph(lambda x: ((x + 1).cos().sum().reshape(1),))
    graph(x)
    assert peak_memory(lambda: graph(x), x.device) >= 2 * x.nbytes


@torch.no_grad()
def test_graphs_that_share_memory_do_not_disturb_each_other():
    model, images, labels = case("deep_mlp")
    model, images, labels = model.cuda(), images.cuda(), labels.cuda()
    step = fast_backprop(model, sample_loss)
    source = torch.Generator("cuda")
    expected = {size: step(images[:size], labels[:size], source).gradients for size in (6, 4, 2)}
    for size in (2, 6, 4, 4, 2, 6):
        found = step(images[:size], labels[:size], source).gradients
        assert all(map(torch.equal, found, expected[size]))
