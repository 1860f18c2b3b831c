"""Every option: its type, what is allowed and what it means. Defaults stand in conf/, never here.

Nothing here imports torch: a wrong request is refused in a fraction of a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True)
class Allowed:
    """Reports any failure of the annotated type as the one sentence that says what is allowed."""

    text: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return how pydantic validates the annotated type, with that sentence."""
        return core_schema.no_info_wrap_validator_function(self._check, handler(source))

    def _check(self, value: Any, handler: core_schema.ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError("not_allowed", self.text) from None


Count = Annotated[int, Field(ge=1), Allowed("must be a whole number, at least 1")]
CountOrNull = Annotated[int | None, Field(ge=1), Allowed("must be a whole number, at least 1, or null")]
BatchSize = Annotated[int, Field(ge=1), Allowed("must be a whole number, at least 1, published or searched")]
Seed = Annotated[int, Field(ge=0, lt=2**63), Allowed("must be a whole number, at least 0")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), Allowed("must be a finite number above 0")]
PositiveOrNull = Annotated[
    float | None, Field(gt=0, allow_inf_nan=False), Allowed("must be a finite number above 0, or null")
]
LearningRate = Annotated[
    float, Field(gt=0, allow_inf_nan=False), Allowed("must be a finite number above 0, published or searched")
]
LogarithmOfRate = Annotated[
    float, Field(allow_inf_nan=False), Allowed("must be a finite number, the logarithm of a rate")
]
LogarithmOrNull = Annotated[
    float | None, Field(allow_inf_nan=False), Allowed("must be a finite number, the logarithm of a rate, or null")
]
Angle = Annotated[float, Field(gt=0, le=90), Allowed("must be an angle in degrees above 0, at most 90")]
SeedOrNull = Annotated[int | None, Field(ge=0, lt=2**63), Allowed("must be a whole number, at least 0, or null")]
Seeds = Annotated[
    list[Seed] | Count, Allowed("must be a whole number N for seeds 0 to N-1, or a list of different seeds like [0,3]")
]
SeedsOrNull = Annotated[
    list[Seed] | Count | None,
    Allowed("must be a whole number N for seeds 0 to N-1, or a list of different seeds like [0,3]"),
]
Validation = Annotated[
    Count | Annotated[float, Field(gt=0, lt=1)] | Literal["test"],
    Allowed("must be a whole number of training images, at least 1, or a share between 0 and 1, or test"),
]
Switch = Annotated[bool, Allowed("must be true or false")]
Device = Annotated[
    str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$"), Allowed("must be auto, cpu, cuda, cuda:N or mps")
]
_WordOrNull = Annotated[
    str | None, Field(pattern=r"^[\w.,:+-]+$"), Allowed("must be letters, digits and . , : + - only, or null")
]
Grouping = Literal["fine", "paper", "coarse"]
Perturb = Literal["weights", "activities"]
Distribution = Literal["normal", "rademacher", "normalised", "standard_basis"]
ConeName = Literal["cone", "normalised_cone"]
CONES: tuple[ConeName, ...] = get_args(ConeName)


# options that several groups have
Tangents = Annotated[Count, Field(description="number of tangents")]
Eigenvalues = Annotated[
    Literal["signed", "absolute"],
    Field(description="signed: as in the paper, to any stationary point; absolute: always downhill"),
]
OnFailure = Annotated[
    Literal["skip", "stop"], Field(description="skip a step that has no solution and go on, or stop the run")
]
Root = Annotated[str, Field(description="a folder in torchvision's layout; FROG_DATA or ./data unless it is given")]
Download = Annotated[Switch, Field(description="true: fetch what is missing through torchvision")]
HeldOut = Annotated[
    Validation,
    Field(
        description="training images held out, or a share of them, the same ones for every seed; test: validate on the "
        "test images, hold out none"
    ),
]
Limit = Annotated[CountOrNull, Field(description="use only so many images of each split; null: all")]


class Options(BaseModel):
    """A group of options; unknown ones are refused, and so are values of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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


class LineSearch(Options):
    """A second-order line search: along sampled tangents, or along the gradient."""

    name: Literal["fomoh", "fomoh_bp"]
    damping: Annotated[float, Field(ge=0, allow_inf_nan=False), Allowed("must be a finite number, at least 0")] = Field(
        description="added to the absolute curvature that the slope is divided by"
    )
    on_failure: OnFailure


class HyperplaneSearch(Options):
    """A second-order search in the plane of k tangents."""

    name: Literal["fomoh_kd"]
    k: Tangents
    eigenvalues: Eigenvalues
    on_failure: OnFailure


class Newton(Options):
    """A second-order search in the whole space."""

    name: Literal["newton"]
    eigenvalues: Eigenvalues
    on_failure: OnFailure


FirstOrder = Backprop | Forward
SecondOrder = LineSearch | HyperplaneSearch | Newton


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


class Function(Options):
    """A closed-form function of n variables."""

    name: Literal["sphere", "rosenbrock", "styblinski-tang"]
    n: Count = Field(description="dimension")
    dtype: Literal["float32", "float64"] = Field(description="precision of all numbers")
    start: Literal["published", "random"] = Field(
        description="published: the first paper's start; random: standard normal entries"
    )
    start_seed: SeedOrNull = Field(description="of a random start; null: the run's own seed")


class Classification(Options):
    """Classify images."""

    name: Literal["classification"]


class Preset(Options):
    """What an objective says of the gradient that is chosen with it."""

    perturb: Perturb = Field(description="what gradient.perturb is unless it is given")


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


class Searched(Options):
    """Which searches `learning_rate=searched` takes rates from: by default those of runs that cost as much as this."""

    evaluations: CountOrNull = Field(
        description="learning_rate=searched takes rates of searches of so many runs; null: the default number, or more"
    )
    low: LogarithmOrNull = Field(description="of searches from this logarithm of a rate on; null: the default")
    high: LogarithmOrNull = Field(description="of searches up to this logarithm of a rate; null: the default")
    epochs: CountOrNull = Field(description="of runs of so many epochs; null: as many as this run")
    steps: CountOrNull = Field(description="of runs of so many steps, for functions; null: as many as this run")
    batch_size: CountOrNull = Field(description="of runs of this batch size; null: that of this run")
    limit: Annotated[Count | Literal["none"] | None, Allowed("must be a whole number, at least 1, none or null")] = (
        Field(description="of runs with this data.limit; none: without one; null: that of this run")
    )


class RequestOptions(Options):
    """What a request says beside what each of its runs is told."""

    searched: Searched
    seeds: SeedsOrNull = Field(description="one run for each; null: one run with the seed above")
    fail_fast: Switch = Field(description="true: the first run of a sweep that fails ends it")
    overwrite: Switch = Field(description="true: repeat runs that are done already")
    objective: Preset


class Run(Options):
    """What every run has."""

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
    gradient: Annotated[FirstOrder | SecondOrder, Field(discriminator="name")]
    tangents: Annotated[Independent | Regenerated | Cone, Field(discriminator="name")]
    early_stopping: EarlyStopping


class FunctionRun(Run):
    """The minimisation of a closed-form function."""

    objective: Function
    steps: Count = Field(description="how many at most")
    record_every: Count = Field(description="steps between two rows of metrics.csv")


class ClassificationRun(Run):
    """The training of a network that classifies images."""

    objective: Classification
    data: Annotated[Digits | MNIST | CIFAR10 | ImageFolder, Field(discriminator="name")]
    model: Annotated[MLP | LogisticRegression | CNN | ResNet18 | ViT, Field(discriminator="name")]
    epochs: Count = Field(description="how many at most")
    batch_size: BatchSize = Field(description="images per step; published, searched: looked up for these settings")
    evaluation_batch_size: Count = Field(description="images per pass when losses and accuracies are measured")
    schedule: Schedule


class Interval(Options):
    """Numbers between two bounds, drawn evenly, or evenly in their logarithms."""

    low: float
    high: float
    log: Switch


class Search(Options):
    """A search for the learning rate, and for further hyperparameters by the dotted names of their options."""

    evaluations: Count = Field(description="how many learning rates are tried")
    low: LogarithmOfRate = Field(description="log10 of the smallest learning rate")
    high: LogarithmOfRate = Field(description="log10 of the largest learning rate")
    also: dict[
        str,
        Annotated[
            Interval | Annotated[list[bool | int | float | str], Field(min_length=1)],
            Allowed("must be a list of values, or {low: .., high: .., log: true or false}"),
        ],
    ] = Field(
        description="further hyperparameters by their options, each with a list of values or an interval, as in "
        "'{batch_size: [64, 128], schedule.factor: {low: 0.1, high: 0.9, log: false}}'"
    )
    seed: Seed = Field(description="of the proposals")
    population: Annotated[int, Field(ge=2), Allowed("must be a whole number, at least 2")] = Field(
        description="how many of the best evaluations breed; so many random proposals come first"
    )
    margin: Positive = Field(
        description="a run is clearly worse while it lacks more than this share of what the best run had gained by then"
    )
    patience: CountOrNull = Field(
        description="rows of metrics in a row in which a run is clearly worse before it is given up; null: never"
    )


class Slurm(Options):
    """What a batch job asks of Slurm."""

    time: Annotated[
        str,
        Field(pattern=r"^(\d+-)?\d+(:\d\d){0,2}$"),
        Allowed("must be a limit of Slurm: minutes, HH:MM:SS or D-HH:MM:SS"),
    ] = Field(description="limit of one stretch; a job that reaches it saves its state and goes back into the queue")
    tasks: Count = Field(description="processes; more than one only for frog search, which they share")
    cpus: Count = Field(description="cores of each process")
    gpus: CountOrNull = Field(description="GPUs of the job; its processes take them in turn")
    memory: _WordOrNull = Field(description="of the job, such as 16G; null: the cluster's default")
    partition: _WordOrNull = Field(description="where the job waits; null: the cluster's default")
    account: _WordOrNull = Field(description="who pays; null: your default")
    qos: _WordOrNull = Field(description="quality of service; null: your default")
    at_once: CountOrNull = Field(description="how many jobs of a sweep may run at the same time; null: all")
    notice: Count = Field(description="seconds before the limit at which the job is told to save its state")
    mpi: _WordOrNull = Field(
        description="srun --mpi=..; null: what the MPI library here understands, else the cluster's default"
    )
    setup: Annotated[list[str], Allowed("must be a list of lines of shell, such as ['module load mpi']")] = Field(
        description="what the script does before the run"
    )
    options: Annotated[
        list[Annotated[str, Field(pattern=r"^--[\w-]+(=[^\s]+)?$")]],
        Allowed("must be a list of options of sbatch, such as ['--constraint=a100']"),
    ] = Field(description="what else is asked of sbatch")


class Bench(Options):
    """A measurement of what steps cost."""

    image: Annotated[
        list[Count] | None,
        Field(min_length=3, max_length=3),
        Allowed("must be [channels,height,width], such as [3,32,32], or null"),
    ] = Field(description="size of the images; null: those of data")
    classes: Count = Field(description="how many classes the network tells apart")
    rounds: Count = Field(description="how often each step is timed; all steps take turns")
    memory: Switch = Field(description="whether to measure peak memory, too")


class Quality(Options):
    """A study of approximation quality: every combination of the lists, over all seeds."""

    n: Count = Field(description="dimension of the gradient")
    k: Annotated[list[Count], Field(min_length=1), Allowed("must be a list of whole numbers, each at least 1")] = Field(
        description="numbers of tangents"
    )
    gradients: Annotated[
        list[Literal["sum", "mean", "projection"]],
        Field(min_length=1),
        Allowed("must be a list of sum, mean, projection"),
    ] = Field(description="how the slopes along the tangents are combined")
    tangents: Annotated[
        list[Distribution | ConeName],
        Field(min_length=1),
        Allowed("must be a list of normal, rademacher, normalised, standard_basis, cone, normalised_cone"),
    ] = Field(description="how the tangents are drawn")
    angles: Annotated[
        list[Angle] | None,
        Field(min_length=1),
        Allowed("must be a list of angles in degrees, each above 0 and at most 90, or null"),
    ] = Field(description="to the first tangent; for cone and normalised_cone only")
    seeds: Seeds = Field(description="one estimate for each")
    device: Device = Field(description="where to compute; auto: on a GPU if there is one")
