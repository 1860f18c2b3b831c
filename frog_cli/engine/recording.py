"""Record the tensor operations of a function once and replay them without the transforms' overhead.

`torch.func.vmap` and `jvp` cost far more Python time than arithmetic on small problems, and under `vmap` they multiply
by the zero tangents of weights that are not perturbed. The operations of a step do not depend on the values, so frog
records them for given shapes, drops those whose results nobody uses, and replays the list.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Protocol

import torch
from torch import Generator, Tensor
from torch._guards import TracingContext, tracing
from torch._ops import OpOverload
from torch._subclasses import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import Module, MultiheadAttention, RNNBase
from torch.nn.modules.dropout import _DropoutNd

from frog_cli.engine.compilation import compiled_recording
from frog_cli.engine.overwriting import overwriting
from frog_cli.engine.phases import begins
from frog_cli.engine.products import with_fast_products
from frog_cli.gradients.aggregation import Aggregation, projection, projection_if_well_conditioned
from frog_cli.gradients.estimate import Estimate, ForwardGradient, SampleLoss
from frog_cli.gradients.weights import backprop
from frog_cli.modules.calls import trainable

Tensors = tuple[Tensor, ...]

RANDOM = MultiheadAttention, RNNBase
"""Modules that drop out without a module for it."""


class Estimator(Protocol):
    """How a forward gradient is carried out in one of the spaces that tangents can live in."""

    def __call__(
        self,
        method: ForwardGradient,
        model: Module,
        loss: SampleLoss,
        inputs: Tensor,
        targets: Tensor,
        generator: Generator,
    ) -> Estimate:
        """Estimate the gradient of the model's mean loss over a batch."""


BatchGradient = Callable[[Tensor, Tensor, Generator], Estimate]
"""Estimates the gradient of one model and loss, from inputs, targets and a source of tangents."""


def recordable(model: Module) -> bool:
    """Return whether a model's operations can be recorded: it keeps no statistics and draws no random numbers."""
    draws = any(isinstance(module, _DropoutNd) and module.p > 0 for module in model.modules())
    draws = draws or any(getattr(module, "dropout", 0) for module in model.modules() if isinstance(module, RANDOM))
    return not draws and not any(True for _ in model.buffers())


def replayed(
    method: ForwardGradient,
    estimator: Estimator,
    dimension: Callable[[Any, Tensor], int],
    model: Module,
    loss: SampleLoss,
    compiled: bool = False,
) -> BatchGradient:
    """Return a forward gradient that is recorded for each shape of a batch and then replayed.

    For recordable models. It reads the parameters where they are, so
    optimisers must change them in place, as those of torch.optim do.

    Args:
        method: the forward gradient.
        estimator: carries it out.
        dimension: returns n for a model and a batch.
        model: whose gradient is estimated.
        loss: of each sample.
        compiled: whether to compile the recordings, too.

    Returns:
        The same estimates as the estimator's, from a generator in the same state, but for the rounding of products.
    """
    projects = method.aggregation is projection
    aggregation = projection_if_well_conditioned if projects else method.aggregation
    dtype = trainable(model)[0][1].dtype
    n = 0

    def estimate(aggregation: Aggregation, inputs: Tensor, targets: Tensor, V: Tensor) -> Tensors:
        given = dataclasses.replace(method, tangents=lambda *_: V, aggregation=aggregation)
        value, gradients, _ = estimator(given, model, loss, inputs, targets, Generator())
        return value, *gradients

    replay = recorded_by_shape(partial(estimate, aggregation), compiled, weights_and_modes(model))

    def gradient(inputs: Tensor, targets: Tensor, generator: Generator) -> Estimate:
        nonlocal n
        n = n or dimension(model, inputs)
        begins("tangents")
        V = method.tangents((method.k, n), generator, dtype)
        value, *gradients = replay(inputs, targets, V)
        if projects and not gradients[-1].isfinite().all():  # tangents that need the general solution
            value, *gradients = estimate(method.aggregation, inputs, targets, V)
        return Estimate(value, tuple(gradients))

    return gradient


def replayed_backprop(model: Module, loss: SampleLoss, compiled: bool = False) -> BatchGradient:
    """Return backpropagation through a recordable model, recorded for each shape of a batch, and compiled if wanted."""

    def estimate(inputs: Tensor, targets: Tensor) -> Tensors:
        value, gradients, _ = backprop(model, loss, inputs, targets, Generator())
        return value, *gradients

    replay = recorded_by_shape(estimate, compiled, weights_and_modes(model))

    def gradient(inputs: Tensor, targets: Tensor, generator: Generator) -> Estimate:
        del generator
        value, *gradients = replay(inputs, targets)
        return Estimate(value, tuple(gradients))

    return gradient


def weights_and_modes(model: Module) -> Callable[[], Hashable]:
    """Return what tells where a model's weights are and which of its modules are in training mode."""
    modules = list(model.modules())

    def state() -> Hashable:
        return tuple(
            (module.training, *(weight.data_ptr() for weight in module._parameters.values() if weight is not None))
            for module in modules
        )

    return state


def recorded_by_shape(
    function: Callable[..., Tensors], compiled: bool = False, state: Callable[[], Hashable] = tuple
) -> Callable[..., Tensors]:
    """Return a fast equivalent of a function that is recorded anew for each shape of its first argument.

    Args:
        function: what is recorded.
        compiled: whether to compile the recordings, too.
        state: returns what else the recordings hold for; they are made anew when it changes.
    """
    recordings: dict[Hashable, Callable[..., Tensors]] = {}

    def replay(*arguments: Tensor) -> Tensors:
        key = arguments[0].shape, state()
        if key not in recordings:
            recordings[key] = record(function, *arguments, compiled=compiled)
        return recordings[key](*arguments)

    return replay


def record(function: Callable[..., Tensors], *examples: Tensor, compiled: bool = False) -> Callable[..., Tensors]:
    """Return a fast equivalent of a pure function of tensors, for arguments of the examples' shapes and strides.

    Args:
        function: of tensors only; its control flow may not depend on their values.
        examples: arguments to record with.
        compiled: whether to compile the recording, which takes seconds and needs a C++ compiler; numbers may then
            differ in their rounding.

    Returns:
        A callable that runs without gradients and gives the same numbers, but for the rounding of matrix products in
        float32 on the CPU.

    Raises:
        RuntimeError: if the recording does not reproduce the function on the examples.
    """
    with torch.no_grad(), torch.random.fork_rng():
        with tracing(TracingContext(FakeTensorMode())):  # one for all nodes; make_fx would make one for each
            recording = make_fx(lambda *tensors: function(*tensors))(*examples)  # which is no method, as it demands
        for node in recording.graph.nodes:
            if node.target in (torch.ops.aten.alias.default, torch.ops.aten.detach.default):  # names of the same memory
                node.replace_all_uses_with(node.args[0])
        _without_idle_copies(recording)
        recording.graph.eliminate_dead_code()
        overwriting(recording, examples)
        results = []
        for either in (function, recording):
            torch.manual_seed(0)  # of dropout
            results.append([result.clone() for result in either(*examples)])
        for expected, replayed in zip(*results, strict=True):
            if not torch.equal(expected.nan_to_num(), replayed.nan_to_num()):
                raise RuntimeError("a recording differs from the function that it records")
        with_fast_products(recording)
        fastest = compiled_recording(recording, examples, results[0]) if compiled else recording

    def replay(*arguments: Tensor) -> Any:
        with torch.no_grad():
            return fastest(*arguments)

    return replay


def _without_idle_copies(recording: GraphModule) -> None:
    """Drop copies of arguments, which are made for models that may write to them, if nothing is written at all."""
    operations = [node.target for node in recording.graph.nodes if isinstance(node.target, OpOverload)]
    if any(operation._schema.is_mutable for operation in operations):
        return
    for node in recording.graph.find_nodes(op="call_function", target=torch.ops.aten.clone.default):
        if node.args[0].op == "placeholder" and not node.kwargs and not any(user.op == "output" for user in node.users):
            node.replace_all_uses_with(node.args[0])
