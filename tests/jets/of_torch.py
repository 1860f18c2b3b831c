"""Every layer and every operation that torch's own tests call, with inputs of all kinds, beside the reverse mode.

A program of its own, because torch's tests change settings of the whole process: `python -m tests.jets.of_torch layers 3`
takes at most three calls of each layer and prints, in JSON, by names, which differ, which are refused, how many are right.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import measure_second_order
from tests.jets.oracles import by_differences, by_reverse_mode, randn, weigh

LAYERS = {info.name: info for info in module_db if "Lazy" not in info.name}
OPERATIONS = {
    f"{info.name} {info.variant_test_name}".strip(): info
    for info in op_db
    if torch.float64 in info.dtypes and info.supports_autograd and "sparse" not in info.name
}


class Sample(NamedTuple):
    """A function of some tensors, which returns a number, and where it is differentiated."""

    function: Callable[..., Tensor]
    points: list[Tensor]


def samples_of_layer(name: str, count: int) -> Iterator[Sample]:
    """Yield some calls of a layer, as functions of its inputs and weights."""
    info = LAYERS[name]
    for training in (True, False) if info.train_and_eval_differ else (True,):
        found = info.module_inputs_func(info, "cpu", torch.float64, requires_grad=False, training=training)
        for one in spread([sample for sample in found if sample.forward_input is not None], count):
            torch.manual_seed(0)
            layer = info.module_cls(*one.constructor_input.args, **one.constructor_input.kwargs)
            yield _of_layer(layer.double().train(training), one.forward_input)


def _of_layer(layer: torch.nn.Module, given: Any) -> Sample:
    names, weights = [name for name, _ in layer.named_parameters()], [w.detach() for w in layer.parameters()]
    buffers = {name: buffer.clone() for name, buffer in layer.named_buffers()}

    def call(*args: Any, values: list[Tensor], **kwargs: Any) -> Any:
        own = {**dict(zip(names, values, strict=True)), **{name: buffer.clone() for name, buffer in buffers.items()}}
        return functional_call(layer, own, args, kwargs)

    return _sample(call, given.args, {**given.kwargs, "values": weights})


def samples_of_operation(name: str, count: int) -> Iterator[Sample]:
    """Yield some calls of an operation, as functions of its inputs."""
    info = OPERATIONS[name]
    for one in spread(list(islice(info.sample_inputs("cpu", torch.float64, requires_grad=False), 200)), count):
        process = one.output_process_fn_grad or (lambda result: result)
        yield _sample(
            lambda *args, process=process, **kwargs: process(info.op(*args, **kwargs)),
            (one.input, *one.args),
            one.kwargs,
        )


def spread(several: list[Any], count: int) -> list[Any]:
    """Return so many of several, at equal distances."""
    return several[:: max(1, len(several) // count)]


def _sample(call: Callable[..., Any], args: Any, kwargs: Any) -> Sample:
    leaves, structure = tree_flatten((args, kwargs))
    varying = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.dtype == torch.float64]
    varying = [index for index in varying if leaves[index].numel()]

    def function(*values: Tensor) -> Tensor:
        torch.manual_seed(1)
        given = list(leaves)
        for index, value in zip(varying, values, strict=True):
            given[index] = value * 1  # which operations in place may write to
        args, kwargs = tree_unflatten(given, structure)
        results = [one for one in tree_leaves(call(*args, **kwargs)) if isinstance(one, Tensor)]
        total: Tensor = sum((weigh(one) for one in results if one.is_floating_point()), torch.zeros(()).double())
        return total

    return Sample(function, [leaves[index].detach().clone() for index in varying])


def disagreement(sample: Sample) -> str | None:
    """Return how value, slopes or curvature differ from those of the reverse mode, None if they do not.

    Where torch differentiates once or less, or is further from central differences, these count instead.
    What has no rule raises NotImplementedError.
    """
    function, points = sample
    tangents = [randn(2, *point.shape, seed=index) for index, point in enumerate(points)]
    found = measure_second_order(function, points, tangents)
    _, of_first_order, _ = forward(lambda *x: (function(*x), ()), tuple(points), tuple(tangents))
    if not torch.allclose(of_first_order, found[1], rtol=1e-7, atol=1e-9, equal_nan=True):
        return "slopes of first order are others"
    try:
        expected = by_reverse_mode(function, points, tangents)
    except RuntimeError:
        expected = None
    else:
        if not all(one.isfinite().all() for one in expected):
            return None
        if all(torch.allclose(ours, one, rtol=1e-7, atol=1e-9) for ours, one in zip(found, expected, strict=True)):
            return None
    differences = by_differences(function, points, tangents)
    far = ((found[2] - differences).norm() / (1 + differences.norm())).item()
    of_reverse = 0.0 if expected is None else ((expected[2] - differences).norm() / (1 + differences.norm())).item()
    return f"{far:.1g} from differences, reverse mode {of_reverse:.1g}" if not far < 1e-4 + 2 * of_reverse else None


def results(samples: Iterator[Sample]) -> dict[str, Any]:
    """Return how samples differ, why others are refused, and how many neither differ nor are."""
    wrong, refused, right = [], [], 0
    for number, sample in enumerate(samples):
        try:
            far = disagreement(sample) if sample.points else None
        except NotImplementedError as error:
            refused.append(str(error))
            continue
        wrong += [f"{number}: {far}"] if far else []
        right += far is None
    return {"wrong": wrong, "refused": refused, "right": right}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    of_layers = sys.argv[1] == "layers"
    names, samples = (LAYERS, samples_of_layer) if of_layers else (OPERATIONS, samples_of_operation)
    print(json.dumps({name: results(samples(name, int(sys.argv[2]))) for name in names}))
