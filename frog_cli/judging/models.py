"""The judge of models: what they return, in which spaces they train, derivatives of both orders, coupled samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Module

from frog_cli.engine.batch_gradients import recordable
from frog_cli.gradients.activities import activities, activity_sizes
from frog_cli.gradients.second_order import curved_weights
from frog_cli.gradients.space import Space
from frog_cli.gradients.weights import backprop, flat, weights
from frog_cli.jets.jet import NoRuleError
from frog_cli.jets.kernels import differentiable_kernels
from frog_cli.judging.findings import (
    Check,
    Finding,
    Seen,
    as_tensor,
    difference,
    judged,
    same,
    seed_all_sources,
    sizes,
)
from frog_cli.judging.recordings import recorded_otherwise
from frog_cli.modules.calls import parameters_of, untouched
from frog_cli.modules.requirements import as_layers, coupling_modules
from frog_cli.modules.restoring import kept_as_it_is
from frog_cli.modules.state import changes
from frog_cli.objectives.network_steps import sample_loss

_BATCH = 4
_TANGENTS = 3
_IMAGES = (1, 8, 8), (1, 16, 16), (3, 32, 32), (64,)
_NEAR = {torch.float64: 1e-6, torch.float32: 1e-2}
"""How close derivatives are, relative to the largest one."""
_TRAINS = "forward", "parameters"


class _Case(NamedTuple):
    """A model with a batch, in double precision if the model can have it."""

    model: Module
    inputs: Tensor
    targets: Tensor


def image_for(build: Callable[[tuple[int, ...], int], Module]) -> tuple[int, ...]:
    """Return the smallest image for which a model can be built and called; the first one tried if there is none."""
    for image in _IMAGES:
        try:
            _call(build(image, 10), _images(_BATCH, image))
        except Exception:  # such as that nothing is left of it after several convolutions
            continue
        return image
    return _IMAGES[0]


def judge_model(
    build: Callable[[tuple[int, ...], int], Module], image: tuple[int, ...] = (1, 8, 8), classes: int = 10
) -> list[Finding]:
    """Judge a model whose options are bound.

    Args:
        build: returns the model for the shape of an image and the number of classes.
        image: the shape `(C, H, W)` that it is judged with.
        classes: the number of classes that it is judged with.
    """

    def built(seed: int = 0) -> Module:
        seed_all_sources(seed)
        model = build(image, classes)
        if not isinstance(model, Module):
            raise TypeError(f"expected a torch.nn.Module, saw a {type(model).__name__}")
        return model

    def case(training: bool = True) -> _Case:
        images, targets = _images(_BATCH, image), torch.arange(_BATCH) % classes
        model = built().double().train(training)
        try:
            _call(model, images.double())
        except Exception:  # such as of a constant in single precision
            return _Case(built().train(training), images, targets)
        return _Case(model, images.double(), targets)

    return judged(
        [
            Check("forward", lambda: _outputs(built(), image, classes)),
            Check("parameters", lambda: _parameters(built()), ("forward",)),
            Check("same seed, same weights", lambda: _reproducible(built), ("forward",)),
            Check("leaves its input as it is", lambda: _writes(built(), image), ("forward",)),
            Check("layers", lambda: _layers(built(), image), _TRAINS),
            Check("samples are independent in evaluation", lambda: _alone(built().eval(), image), ("forward",)),
            Check("samples are independent in training", lambda: _coupled(built().train(), image), ("forward",)),
            Check("slopes of weights", lambda: _slopes(case(), weights), _TRAINS),
            Check(
                "slopes of activities in evaluation",
                lambda: _slopes(case(training=False), activities),
                (*_TRAINS, "layers", "samples are independent in evaluation"),
            ),
            Check(
                "slopes of activities in training",
                lambda: _slopes(case(), activities),
                (*_TRAINS, "layers", "samples are independent in training"),
            ),
            Check("curvature of weights", lambda: _curvature(case()), (*_TRAINS, "slopes of weights")),
            Check("recordable", lambda: _recordable(case()), (*_TRAINS, "leaves its input as it is")),
        ]
    )


def _images(number: int, image: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(number, *image, generator=torch.Generator().manual_seed(seed))


def _call(model: Module, images: Tensor) -> Tensor:
    """Return the outputs of a model, which stays as it is, with the same random numbers for each call."""
    with kept_as_it_is(model, images.device), torch.no_grad():
        seed_all_sources(0)
        return as_tensor(model(images.clone()))


def _outputs(model: Module, image: tuple[int, ...], classes: int) -> Seen:
    for training, number in ((True, _BATCH), (False, _BATCH), (False, 1)):
        mode = "training" if training else "evaluation"
        outputs = _call(model.train(training), _images(number, image))
        if outputs.shape != (number, classes):
            expected = f"expected outputs {sizes((number, classes))} of images {sizes((number, *image))}"
            return False, f"{expected}, saw {sizes(outputs.shape)} in {mode}"
        if not outputs.is_floating_point() or not outputs.isfinite().all():
            return False, f"expected finite real numbers, saw others ({outputs.dtype}) in {mode}"
    return True, f"{sizes((_BATCH, classes))} of images {sizes((_BATCH, *image))}"


def _parameters(model: Module) -> Seen:
    trained = parameters_of(model)
    fixed = sum(one.numel() for one in model.parameters() if not one.requires_grad)
    seen = f"{sum(one.numel() for one in trained)} trained in {len(trained)} tensors"
    return True, f"{seen}, {fixed} fixed" if fixed else seen


def _reproducible(built: Callable[..., Module]) -> Seen:
    one, other = built(), built()
    places = {weight.data_ptr() for weight in one.parameters() if weight.numel()}
    if any(weight.data_ptr() in places for weight in other.parameters()):
        return False, "expected a network of its own each time, saw the weights of the one before"
    for (name, weight), (_, again) in zip(one.state_dict().items(), other.state_dict().items(), strict=True):
        if not same(weight, again):
            return False, f"expected the same initial weights from the same seeds, saw others in {name}"
    built(1)
    after = torch.get_rng_state()
    built(2)
    if torch.equal(after, torch.get_rng_state()):
        return False, "expected initial weights that follow the seed, saw it seed torch itself"
    return True, "to the last bit"


def _writes(model: Module, image: tuple[int, ...]) -> Seen:
    images = _images(_BATCH, image)
    given = images.clone()
    with torch.no_grad():
        model(given)
    if not same(images, given):
        return False, "expected images that stay as they are, saw it write to them"
    return True, "the images"


def _layers(model: Module, image: tuple[int, ...]) -> Seen:
    try:
        found = activity_sizes(as_layers(model), _images(2, image))
    except TypeError as error:
        return None, f"weight space only: {error}"
    return True, f"{len(found)} with {sum(found)} activities: {', '.join(map(str, found))}"


def _alone(model: Module, image: tuple[int, ...]) -> Seen:
    images = _images(_BATCH, image)
    together = _call(model, images)
    far = difference(torch.cat([_call(model, one) for one in images.split(1)]), together)
    if far > 1e-3:
        return False, f"expected the output of a sample alone to be that in a batch, saw {far:.1g} of difference"
    return True, "the output of a sample alone is that in a batch"


def _coupled(model: Module, image: tuple[int, ...]) -> Seen:
    images = _images(_BATCH, image)
    others = torch.cat([images[:1], 3 * _images(_BATCH - 1, image, seed=1)])
    far = difference(_call(model, others)[:1], _call(model, images)[:1])
    if far <= 1e-5:
        return True, "the output of a sample does not depend on the others"
    coupling = coupling_modules(model)
    if coupling:
        return None, f"no, batch normalisation ({coupling[0]}) couples them: measure activities simulated, or weights"
    return False, f"expected the output of a sample not to depend on the others, saw {far:.1g} of difference"


def _tangents(n: int, inputs: Tensor) -> Tensor:
    return torch.randn(_TANGENTS, n, generator=torch.Generator().manual_seed(1)).to(inputs.dtype)


def _slopes(case: _Case, space: Callable[..., Space]) -> Seen:
    model, inputs, targets = case
    V = _tangents(space(model, sample_loss).dimension(inputs), inputs)
    slopes = []
    for how in ("forward", "simulated"):
        with kept_as_it_is(model, inputs.device):
            seed_all_sources(0)  # so that dropout has the same masks
            slopes.append(space(model, sample_loss, how).measure(inputs, targets, V).slopes)
    far = difference(*slopes)
    if far > _NEAR[inputs.dtype]:
        return False, f"expected forward slopes to be those of a reverse pass, saw {far:.1g} of difference"
    return True, "forward ones are those of a reverse pass"


def _curvature(case: _Case) -> Seen:
    model, inputs, targets = case
    parameters = parameters_of(model)
    V = _tangents(sum(one.numel() for one in parameters), inputs)
    try:
        with kept_as_it_is(model, inputs.device):
            seed_all_sources(0)
            curvature = curved_weights(model, sample_loss).measure(inputs, targets, V).curvature
    except NoRuleError as error:
        return None, f"no second-order steps: {error}"
    assert curvature is not None
    # the fused kernel of attention has no second derivative
    with kept_as_it_is(model, inputs.device), torch.enable_grad(), differentiable_kernels():
        seed_all_sources(0)
        loss = sample_loss(model(untouched(inputs, model)), targets).mean()
        gradient = flat(torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True))
        rows = []
        for v in V:
            products = torch.autograd.grad(
                gradient @ v, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            rows.append(V @ flat(products))
    far = difference(curvature, torch.stack(rows))
    if far > _NEAR[inputs.dtype]:
        return False, f"expected that of two reverse passes, saw {far:.1g} of difference"
    return True, "that of two reverse passes"


def _recordable(case: _Case) -> Seen:
    model, inputs, targets = case
    if not recordable(model):
        return None, "no, runs as it is, slower: it keeps statistics or draws random numbers"

    def function(images: Tensor) -> tuple[Tensor, ...]:
        value, gradients, *_ = backprop(model, sample_loss, images, targets)
        return value, *gradients

    with kept_as_it_is(model, inputs.device):
        changed = changes(model)
        function(inputs)
        if changed():
            return None, "no, runs as it is, slower: a pass changes what it keeps, or draws otherwise than from torch"
    others = {
        "other images": (_images(_BATCH, inputs.shape[1:], seed=1).to(inputs.dtype),),
        "images of 0.001 times the size": (inputs * 1e-3,),
        "images of 1000 times the size": (inputs * 1e3,),
        "images of another sign": (-inputs,),
        "positive images": (inputs.abs(),),
        "black images": (torch.zeros_like(inputs),),
    }
    return recorded_otherwise(function, (inputs,), others.items())
