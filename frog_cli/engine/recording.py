"""Record the tensor operations of a function once and replay them without the transforms' overhead.

`torch.func.vmap` and `jvp` cost far more Python time than arithmetic on small problems, and under `vmap` they multiply
by the zero tangents of weights that are not perturbed. The operations of a step do not depend on the values, so frog
records them for given shapes, drops those whose results nobody uses, and replays the list.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._guards import TracingContext, tracing
from torch._ops import OpOverload
from torch._subclasses import FakeTensor, FakeTensorMode
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.fx import GraphModule, Node
from torch.fx._lazy_graph_module import _use_lazy_graph_module
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import Module
from torch.overrides import TorchFunctionMode
from torch.utils._mode_utils import no_dispatch

from frog_cli.engine.compilation import compiled_recording
from frog_cli.engine.cuda_graphs import as_cuda_graph
from frog_cli.engine.fast_products import with_fast_products
from frog_cli.engine.faster_rules import faster_jets
from frog_cli.engine.overwriting import overwriting
from frog_cli.gradients.space import Measured, Space, Tensors
from frog_cli.modules.restoring import kept_as_it_is
from frog_cli.modules.state import changes, held, identity

_MOST_STATES = 8
"""In so many states of a model its operations are recorded; what changes more often would be recorded for ever."""


def recorded_by_shape(
    function: Callable[..., Tensors],
    model: Module | None = None,
    compiled: bool = False,
    may_draw: bool = True,
    as_it_is: Callable[..., Tensors] | None = None,
) -> Callable[..., Tensors]:
    """Return a fast equivalent of a function that is recorded anew for each shape of its first argument.

    Args:
        function: what is recorded.
        model: which it calls. Recordings are made anew when its modes, attributes, buffers, hooks or submodules are
            others; if it changes them itself, or draws random numbers otherwise than from torch, it runs as it is.
        compiled: whether to compile the recordings, too.
        may_draw: whether it may draw random numbers of torch and be recorded nevertheless.
        as_it_is: what runs where it is not recorded, with branches that it does without; None for itself.
    """
    recordings: dict[tuple[torch.Size, Hashable], tuple[Callable[..., Tensors], list[Any]]] = {}
    plain = _as_it_is(as_it_is or function)
    record_one = partial(record, function, compiled=compiled, may_draw=may_draw, as_it_is=as_it_is)
    changing = False  # whether the model was seen to change what it keeps

    def replay(*arguments: Tensor) -> Tensors:
        nonlocal changing
        if changing:
            return plain(*arguments)
        key = arguments[0].shape, () if model is None else identity(model)
        if key in recordings:
            return recordings[key][0](*arguments)
        if sum(shape == key[0] for shape, _ in recordings) == _MOST_STATES:
            changing = True
            _warn_that_it_is_slow("of a model that changes all the time")
            return plain(*arguments)
        if model is None:
            recordings[key] = record_one(*arguments), []
        else:
            with kept_as_it_is(model, arguments[0].device):
                changed = changes(model)
                recording = record_one(*arguments, changed=changed)
                changing = changed()
            recordings[key] = recording, held(model)
        return recordings[key][0](*arguments)

    return replay


def with_recorded_measurement(
    space: Space, recorder: Callable[[Callable[..., Tensors]], Callable[..., Tensors]]
) -> Space:
    """Return a space whose measurement of slopes and curvature is recorded.

    Args:
        space: what is measured.
        recorder: returns a fast equivalent of a function.
    """

    def tensors(*where: Tensor) -> Tensors:
        loss, slopes, curvature, _ = space.measure(*where)
        assert curvature is not None
        return loss, slopes, curvature

    replay = recorder(tensors)
    return replace(space, measure=lambda *where: Measured(*replay(*where)))


def with_recorded_parts(space: Space, recorder: Callable[[Callable[..., Tensors]], Callable[..., Tensors]]) -> Space:
    """Return a space whose measurement of slopes and whose steps are recorded, each by itself.

    Over activities the step makes the layers' outputs from the inputs, which what is measured has instead of them.

    Args:
        space: of a model that keeps no statistics.
        recorder: returns a fast equivalent of a function; over activities not one that draws random numbers in it,
            since both parts must draw the same.
    """

    def slopes(inputs: Tensor, targets: Tensor, V: Tensor) -> Tensors:
        return space.measure(inputs, targets, V)[:2]

    def step(inputs: Tensor, V: Tensor, coefficients: Tensor) -> Tensors:
        return space.step(V, coefficients, Measured(coefficients, coefficients, outputs=space.outputs(inputs)))

    replay, replay_step = recorder(slopes), recorder(step)

    def measure(inputs: Tensor, targets: Tensor, V: Tensor) -> Measured:
        loss, slopes = replay(inputs, targets, V)
        return Measured(loss, slopes, outputs=(inputs,))

    return replace(
        space,
        measure=measure,
        step=lambda V, coefficients, measured: replay_step(*measured.outputs, V, coefficients),
    )


def record(
    function: Callable[..., Tensors],
    *examples: Tensor,
    compiled: bool = False,
    changed: Callable[[], bool] = lambda: False,
    may_draw: bool = True,
    as_it_is: Callable[..., Tensors] | None = None,
) -> Callable[..., Tensors]:
    """Return a fast equivalent of a pure function of tensors, for arguments of the examples' shapes and strides.

    Args:
        function: of tensors only. One whose control flow depends on their values is returned as it is, with a warning.
        examples: arguments to record with.
        compiled: whether to compile the recording, which takes seconds and needs a C++ compiler; numbers may then
            differ in their rounding.
        changed: returns whether calling the function has changed what it depends on, so that a recording would not be
            it: then it is returned as it is, with a warning.
        may_draw: whether one that draws random numbers is recorded, too; else it is returned as it is, with a warning.
        as_it_is: what is returned instead of a function that is returned as it is; None for itself.

    Returns:
        A callable that runs without gradients and gives the same numbers, but for the rounding of matrix products in
        float32 on the CPU; a recording that does not is refused with a RuntimeError, unless random numbers are why,
        or it is on a GPU, where some operations add in any order: then the function is returned, with a warning.
    """
    plain = _as_it_is(as_it_is or function)
    cards = {example.device for example in examples if example.is_cuda}
    with torch.no_grad(), torch.random.fork_rng(cards), faster_jets():
        try:
            recording = _traced(function, examples)
        except _NotRecordableError:
            _warn_that_it_is_slow("branch on values")
            return plain
        if changed():
            _warn_that_it_is_slow("change what the model keeps, or draw random numbers that are not torch's")
            return plain
        if _draws(recording) and not may_draw:
            _warn_that_it_is_slow("draw random numbers")
            return plain
        _simplify(recording)
        try:
            overwriting(recording, examples)
        except (RuntimeError, TypeError, NotImplementedError):  # such as oneDNN's LSTM, whose workspace is no tensor
            _warn_that_it_is_slow("cannot be replayed one by one")
            return plain
        try:
            expected = _verified(recording, function, examples)
        except RuntimeError:
            if not _draws(recording) and not examples[0].is_cuda:
                raise
            _warn_that_it_is_slow(
                "set the state of random numbers anew" if _draws(recording) else "add in another order each time"
            )
            return plain
        with_fast_products(recording)
        fastest = compiled_recording(recording, examples, expected) if compiled else recording
        if all(example.is_cuda for example in examples) and not _draws(recording):
            fastest = as_cuda_graph(fastest)

    def replay(*arguments: Tensor) -> Any:
        with torch.no_grad():
            return fastest(*arguments)

    return replay


def _as_it_is(function: Callable[..., Tensors]) -> Callable[..., Tensors]:
    """Return a function that is not recorded."""

    def run(*arguments: Tensor) -> Tensors:
        with torch.no_grad(), faster_jets():
            return function(*arguments)

    return run


def _warn_that_it_is_slow(why: str) -> None:
    warnings.warn(f"operations {why}, so that they run as they are, slower", SlowIdeaWarning, 1)


class SlowIdeaWarning(UserWarning):
    """Operations cannot be recorded and run as they are, which takes longer and changes no number."""


class _NotRecordableError(RuntimeError):
    """A function whose operations depend on the values of its arguments, so that a recording would not be it."""


class _WithoutValues(TorchFunctionMode):
    """Refuses what hands values to other libraries, whose branches a recording would not know of."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch."""
        if function in (Tensor.numpy, Tensor.__array__, Tensor.__dlpack__, Tensor.tolist):
            raise _NotRecordableError(f"{function.__name__} asks for values")
        return function(*args, **(kwargs or {}))


class _Descriptions(FakeTensorMode):
    """Makes what describes a node's result, a third of make_fx's time otherwise: nothing else runs in this mode."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Return an empty tensor without memory."""
        if func is not torch.ops.aten.empty_strided.default:
            return super().__torch_dispatch__(func, types, args, kwargs)
        with no_dispatch():
            layout = torch.empty_strided(*args, dtype=kwargs["dtype"], device="meta")
        return FakeTensor(self, layout, kwargs["device"])


def _traced(function: Callable[..., Tensors], examples: Sequence[Tensor]) -> GraphModule:
    """Return the operations of a function for arguments like the examples.

    Raises:
        _NotRecordableError: if the function asks for a value of its arguments, as a branch does, or for a shape that
            depends on values.
    """
    try:
        # one description for all nodes, where make_fx makes many; code is written when it is first needed
        with _WithoutValues(), tracing(TracingContext(_Descriptions())), _use_lazy_graph_module(True):
            recording = make_fx(lambda *tensors: function(*tensors))(*examples)  # which is no method, as it demands
    except RuntimeError as error:
        if "data-dependent" in str(error) or isinstance(error, DataDependentOutputException):
            raise _NotRecordableError(str(error)) from None
        raise
    if any(map(_has_a_shape_of_values, recording.graph.nodes)):
        raise _NotRecordableError("a shape depends on values")
    return recording


def _has_a_shape_of_values(node: Node) -> bool:
    """Return whether the shape of an operation's result depends on values, as that of `nonzero` does."""
    if not isinstance(node.target, OpOverload) or torch.Tag.dynamic_output_shape not in node.target.tags:
        return False
    if node.target is not torch.ops.aten.index.Tensor:
        return True
    indices: Any = node.args[1]
    return any(one is not None and one.meta["val"].dtype in (torch.bool, torch.uint8) for one in indices)


def _draws(recording: GraphModule) -> bool:
    """Return whether any operation draws random numbers, from a state that a recording does not set."""
    operations = (node.target for node in recording.graph.nodes)
    return any(isinstance(one, OpOverload) and torch.Tag.nondeterministic_seeded in one.tags for one in operations)


def _simplify(recording: GraphModule) -> None:
    """Drop what changes no number: other names of the same memory, idle copies, and what nobody uses."""
    for node in recording.graph.nodes:
        if node.target in (torch.ops.aten.alias.default, torch.ops.aten.detach.default):
            node.replace_all_uses_with(node.args[0])
    _without_idle_copies(recording)
    recording.graph.eliminate_dead_code()


def _verified(recording: GraphModule, function: Callable[..., Tensors], examples: Sequence[Tensor]) -> list[Tensor]:
    """Return a function's results for the examples.

    Raises:
        RuntimeError: if its recording has others, or draws random numbers and has some that are not finite, as a
            projection has where another solution stands in: then nothing says that both draw alike.
    """
    results = []
    with _kernels_that_repeat():
        for either in (function, recording):
            torch.manual_seed(0)  # of dropout
            results.append([result.clone() for result in either(*examples)])
    for expected, replayed in zip(*results, strict=True):
        if not torch.equal(expected.nan_to_num(), replayed.nan_to_num()):
            raise RuntimeError("a recording differs from the function that it records")
    if _draws(recording) and not all(result.isfinite().all() for result in results[0]):
        raise RuntimeError("a recording that draws random numbers cannot be compared with its function")
    return results[0]


@contextmanager
def _kernels_that_repeat() -> Iterator[None]:
    """Let convolutions on a GPU add in the same order each time."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before


def _without_idle_copies(recording: GraphModule) -> None:
    """Drop copies of arguments, which are made for models that may write to them, if nothing is written at all."""
    operations = [node.target for node in recording.graph.nodes if isinstance(node.target, OpOverload)]
    if any(operation._schema.is_mutable for operation in operations):
        return
    for node in recording.graph.find_nodes(op="call_function", target=torch.ops.aten.clone.default):
        if node.args[0].op == "placeholder" and not node.kwargs and not any(user.op == "output" for user in node.users):
            node.replace_all_uses_with(node.args[0])
