"""What a run is: every option, with its type and what it means. Defaults stand in conf/, never here.

Nothing here imports torch: a wrong request is refused in a fraction of a second.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from frog_cli.ideas.types import (
    Allowed,
    Angle,
    BatchSize,
    ConeName,
    Count,
    CountOrNull,
    Device,
    Distribution,
    Download,
    Eigenvalues,
    Grouping,
    HeldOut,
    LearningRate,
    Limit,
    OnFailure,
    Options,
    Perturb,
    PositiveOrNull,
    Root,
    Seed,
    SeedOrNull,
    Switch,
    Tangents,
)


class Backprop(Options):
    """The gradient by one reverse pass."""

    name: Literal["backprop"]


class Forward(Options):
    """A forward gradient from k tangents."""

    name: Literal["sum", "mean", "projection"]
    k: Tangents
    measure: Literal["forward", "simulated"] = Field(
        description="forward: forward-mode derivatives; simulated: from a true gradient, the same numbers but for "
        "activities of a model that couples samples"
    )
    perturb: Perturb = Field(
        description="where the tangents live: in the space of all weights, or of all layers' outputs"
    )
    chunk_size: CountOrNull = Field(description="tangents per vectorised pass, bounds memory; null: all at once")


class LineStep(Options):
    """A second-order step along one direction: a sampled tangent, or the gradient."""

    name: Literal["fomoh", "fomoh_bp"]
    damping: Annotated[float, Field(ge=0, allow_inf_nan=False), Allowed("must be a finite number, at least 0")] = Field(
        description="added to the absolute curvature that the slope is divided by"
    )
    on_failure: OnFailure


class HyperplaneStep(Options):
    """A second-order step in the plane of k tangents."""

    name: Literal["fomoh_kd"]
    k: Tangents
    eigenvalues: Eigenvalues
    on_failure: OnFailure


class Newton(Options):
    """A second-order step in the whole space."""

    name: Literal["newton"]
    eigenvalues: Eigenvalues
    on_failure: OnFailure


FirstOrder = Backprop | Forward
SecondOrder = LineStep | HyperplaneStep | Newton


def samples_tangents(gradient: FirstOrder | SecondOrder) -> bool:
    """Return whether a gradient depends on sampled tangents."""
    return gradient.name not in ("backprop", "fomoh_bp", "newton")


class Independent(Options):
    """Tangents drawn independently of each other."""

    name: Distribution


class Regenerated(Options):
    """Normal tangents that are drawn again whenever they are needed, instead of being stored."""

    name: Literal["regenerated"]


class Cone(Options):
    """Tangents at one angle, in degrees, to the first."""

    name: ConeName
    angle: Angle = Field(description="of all other tangents to the first")


class Function(Options):
    """A closed-form function of n variables."""

    name: Literal["sphere", "rosenbrock", "styblinski-tang"]
    n: Count = Field(description="dimension")
    dtype: Literal["float32", "float64"] = Field(description="precision of all numbers")
    start: Literal["published", "random"] = Field(
        description="published: the first paper's start; random: standard normal entries"
    )
    start_seed: SeedOrNull = Field(description="of a random start; null: the run's own seed")


class Outside(Options):
    """An idea from outside; its options are beside its name, and were checked as its file declares them."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    name: str
    source: str = Field(description="the file or module that it is declared in")
    sha256: str = Field(description="of that file")

    def options(self) -> dict[str, Any]:
        """Return the idea's own options."""
        return dict(self.model_extra or {})


class OutsideTangents(Outside):
    """Tangents of a sampler from outside."""


class OutsideModel(Outside):
    """A network from outside."""


class OutsideAggregation(Forward, Outside):
    """A forward gradient whose aggregation is from outside."""

    name: str  # type: ignore[assignment]


class OutsideFunction(Function, Outside):
    """A function from outside."""

    name: str  # type: ignore[assignment]


def _origin(settings: Any) -> str:
    """Return whether settings are those of an idea from outside."""
    outside = "sha256" in settings if isinstance(settings, dict) else isinstance(settings, Outside)
    return "outside" if outside else "built-in"


class Optimizer(Options):
    """A class of torch.optim and its arguments other than the learning rate."""

    name: Annotated[
        str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$"), Allowed("must be a class of torch.optim, such as SGD or Adam")
    ] = Field(description="one that steps without a closure")
    options: dict[str, Any] = Field(description="its further arguments, such as optimizer.options.momentum=0.9")


class EarlyStopping(Options):
    """When a run stops before its end."""

    patience: CountOrNull = Field(
        description="a run stops after so many epochs without a new lowest validation loss, or steps in a row in which "
        "a function does not improve; null: never"
    )


class Schedule(Options):
    """When the learning rate is multiplied by `factor`: every so many epochs, or when validation gets worse."""

    name: Literal["none", "every", "when_rising"] = Field(
        description="when the learning rate drops; every: after every so many epochs; when_rising: after so many "
        "without a new lowest validation loss"
    )
    factor: Annotated[float, Field(gt=0, lt=1), Allowed("must be a number between 0 and 1")] = Field(
        description="what the learning rate is multiplied by"
    )
    epochs: Count = Field(description="how many epochs that are")


class Classification(Options):
    """Classify images."""

    name: Literal["classification"]


class Digits(Options):
    """scikit-learn's handwritten digits, shipped with frog."""

    name: Literal["digits"]
    validation: HeldOut
    limit: Limit


class MNIST(Options):
    """MNIST in torchvision's layout below `root`."""

    name: Literal["mnist"]
    root: Root
    download: Download
    validation: HeldOut
    limit: Limit


class CIFAR10(Options):
    """CIFAR10 in torchvision's layout below `root`."""

    name: Literal["cifar10"]
    root: Root
    download: Download
    validation: HeldOut
    limit: Limit


class ImageFolder(Options):
    """Images in root/train/CLASS/* and root/test/CLASS/*, scaled to `size` (height, width).

    Learning rates are looked up for the data set that they stand for.
    """

    name: Literal["image_folder"]
    root: str = Field(description="the folder with train/ and test/; FROG_DATA or ./data unless it is given")
    stands_for: Literal["mnist", "cifar10"] | None = Field(
        description="whose learning rates are looked up; results are still called by the variant"
    )
    variant: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$"), Allowed("must be letters, digits and _ only")] = Field(
        description="what these images are called in results"
    )
    size: Annotated[
        list[Count] | None, Field(min_length=2, max_length=2), Allowed("must be [height,width] or null")
    ] = Field(description="what images are scaled to; null: they must all have one size already")
    validation: HeldOut
    limit: Limit


class MLP(Options):
    """A multilayer perceptron with `depth` hidden layers of `width` units."""

    name: Literal["mlp"]
    width: Count = Field(description="units per hidden layer")
    depth: Count = Field(description="hidden layers")


class CNN(Options):
    """A small convolutional network."""

    name: Literal["cnn"]


class LogisticRegression(Options):
    """One linear layer."""

    name: Literal["logistic_regression"]


class ResNet18(Options):
    """torchvision's ResNet18, its parts grouped to layers whose outputs are the activities."""

    name: Literal["resnet18"]
    grouping: Grouping = Field(
        description="the layers; paper: stem, four stages, head; fine: each residual block; coarse: two halves"
    )
    # the default is for the settings of runs from before there was a choice
    norm: Literal["batch", "group"] = Field(
        "batch", description="batch: as torchvision's, couples samples; group: in 32 groups of channels, couples none"
    )


class ViT(Options):
    """A vision transformer of `depth` encoder layers, its parts grouped to layers whose outputs are the activities."""

    name: Literal["vit"]
    patch: Count = Field(description="pixels of a patch on a side")
    depth: Count = Field(description="encoder layers")
    heads: Count = Field(description="heads of attention in each encoder layer")
    hidden: Count = Field(description="numbers of a token")
    mlp: Count = Field(description="hidden units of each encoder layer's perceptron")
    dropout: Annotated[float, Field(ge=0, lt=1), Allowed("must be a number, at least 0 and below 1")] = Field(
        description="share of numbers that training sets to zero"
    )
    grouping: Grouping = Field(
        description="the layers; paper: the encoder layers; fine: attention and perceptron apart; coarse: pairs of "
        "encoder layers"
    )


def model_settings(model: Options) -> dict[str, Any]:
    """Return a model's settings without norm=batch, which all published runs have and those from before the choice."""
    settings = model.model_dump()
    return {name: value for name, value in settings.items() if (name, value) != ("norm", "batch")}


class Checkpoint(Options):
    """How often an unfinished run saves its state: after so many rows of metrics, or minutes, whichever is first."""

    rows: CountOrNull = Field(
        description="an unfinished run saves its state after so many rows of metrics.csv; null: by the clock alone"
    )
    minutes: PositiveOrNull = Field(
        description="an unfinished run saves its state after so many minutes; null: by rows alone"
    )


class Run(Options):
    """The options that every run has."""

    seed: Seed = Field(description="of initial weights, batch order and tangents")
    learning_rate: LearningRate = Field(
        description="what a step is multiplied by; published, searched: looked up for these settings"
    )
    optimizer: Optimizer
    diverged_above: PositiveOrNull = Field(
        description="a loss beyond this, or one that is not finite, ends the run as diverged"
    )
    device: Device = Field(description="where to compute; auto: on a GPU if there is one")
    tf32: Switch = Field(description="true: let NVIDIA's cards round the factors of products to 10 bits")
    compile: Switch = Field(
        description="true: compile first-order steps where they can be recorded; takes seconds, needs a C++ compiler"
    )
    checkpoint: Checkpoint
    gradient: Annotated[
        Annotated[FirstOrder | SecondOrder, Field(discriminator="name"), Tag("built-in")]
        | Annotated[OutsideAggregation, Tag("outside")],
        Discriminator(_origin),
    ]
    tangents: Annotated[
        Annotated[Independent | Regenerated | Cone, Field(discriminator="name"), Tag("built-in")]
        | Annotated[OutsideTangents, Tag("outside")],
        Discriminator(_origin),
    ]
    early_stopping: EarlyStopping


class FunctionRun(Run):
    """The minimisation of a closed-form function."""

    objective: Annotated[
        Annotated[Function, Tag("built-in")] | Annotated[OutsideFunction, Tag("outside")], Discriminator(_origin)
    ]
    steps: Count = Field(description="how many at most")
    record_every: Count = Field(description="steps between two rows of metrics.csv")


class ClassificationRun(Run):
    """The training of a network that classifies images."""

    objective: Classification
    data: Annotated[Digits | MNIST | CIFAR10 | ImageFolder, Field(discriminator="name")]
    model: Annotated[
        Annotated[MLP | LogisticRegression | CNN | ResNet18 | ViT, Field(discriminator="name"), Tag("built-in")]
        | Annotated[OutsideModel, Tag("outside")],
        Discriminator(_origin),
    ]
    epochs: Count = Field(description="how many at most")
    batch_size: BatchSize = Field(description="images per step; published, searched: looked up for these settings")
    evaluation_batch_size: Count = Field(description="images per pass when losses and accuracies are measured")
    schedule: Schedule


def outside_ideas(run: Run) -> dict[str, Outside]:
    """Return the ideas from outside that a run is made of, by the groups that they are chosen in."""
    return {group: chosen for group, chosen in run if isinstance(chosen, Outside)}
