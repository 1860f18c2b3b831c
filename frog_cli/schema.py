"""Every option of a run, its type and what is allowed. Defaults stand in conf/, never here.

Nothing here imports torch: a wrong request is refused in a fraction of a second.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError


def _allowed(text: str) -> WrapValidator:
    """Report any failure of the annotated type as the one sentence that says what is allowed."""

    def check(value: Any, handler: Any) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError("not_allowed", text) from None

    return WrapValidator(check)


Count = Annotated[int, Field(ge=1), _allowed("must be a whole number, at least 1")]
CountOrNull = Annotated[int | None, Field(ge=1), _allowed("must be a whole number, at least 1, or null")]
Seed = Annotated[int, Field(ge=0, lt=2**63), _allowed("must be a whole number, at least 0")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), _allowed("must be a finite number above 0")]
PositiveOrNull = Annotated[
    float | None, Field(gt=0, allow_inf_nan=False), _allowed("must be a finite number above 0, or null")
]
LearningRate = Annotated[
    float, Field(gt=0, allow_inf_nan=False), _allowed("must be a finite number above 0, published or searched")
]
Angle = Annotated[float, Field(gt=0, le=90), _allowed("must be an angle in degrees above 0, at most 90")]
Seeds = Annotated[
    list[Seed] | Count, _allowed("must be a whole number N for seeds 0 to N-1, or a list of different seeds like [0,3]")
]
Validation = Annotated[
    Count | Annotated[float, Field(gt=0, lt=1)] | Literal["test"],
    _allowed("must be a whole number of training images, at least 1, or a share between 0 and 1, or test"),
]
Switch = Annotated[bool, _allowed("must be true or false")]
Device = Annotated[
    str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$"), _allowed("must be auto, cpu, cuda, cuda:N or mps")
]
_WordOrNull = Annotated[
    str | None, Field(pattern=r"^[\w.,:+-]+$"), _allowed("must be letters, digits and . , : + - only, or null")
]
Grouping = Literal["fine", "paper", "coarse"]
Distribution = Literal["normal", "rademacher", "normalised", "standard_basis"]
ConeName = Literal["cone", "normalised_cone"]
CONES: tuple[ConeName, ...] = get_args(ConeName)


class Options(BaseModel):
    """A group of options; unknown ones are refused, and so are values of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Backprop(Options):
    """The gradient by one reverse pass."""

    name: Literal["backprop"]


class Forward(Options):
    """A forward gradient from k tangents."""

    name: Literal["sum", "mean", "projection"]
    k: Count
    measure: Literal["forward", "simulated"]
    perturb: Literal["weights", "activities"]
    chunk_size: CountOrNull


class LineSearch(Options):
    """A second-order line search: along sampled tangents, or along the gradient."""

    name: Literal["fomoh", "fomoh_bp"]
    damping: Annotated[float, Field(ge=0, allow_inf_nan=False), _allowed("must be a finite number, at least 0")]
    on_failure: Literal["skip", "stop"]


class HyperplaneSearch(Options):
    """A second-order search in the plane of k tangents."""

    name: Literal["fomoh_kd"]
    k: Count
    eigenvalues: Literal["signed", "absolute"]
    on_failure: Literal["skip", "stop"]


class Newton(Options):
    """A second-order search in the whole space."""

    name: Literal["newton"]
    eigenvalues: Literal["signed", "absolute"]
    on_failure: Literal["skip", "stop"]


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
    angle: Angle


class Optimizer(Options):
    """A class of torch.optim and its arguments other than the learning rate."""

    name: Annotated[
        str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$"), _allowed("must be a class of torch.optim, such as SGD or Adam")
    ]
    options: dict[str, Any]


class EarlyStopping(Options):
    """When a run stops before its end."""

    patience: CountOrNull


class Schedule(Options):
    """When the learning rate is multiplied by `factor`: every so many epochs, or when validation gets worse."""

    name: Literal["none", "every", "when_rising"]
    factor: Annotated[float, Field(gt=0, lt=1), _allowed("must be a number between 0 and 1")]
    epochs: Count


class Function(Options):
    """A closed-form function of n variables."""

    name: Literal["sphere", "rosenbrock", "styblinski-tang"]
    n: Count
    dtype: Literal["float32", "float64"]
    start: Literal["published", "random"]
    start_seed: Annotated[int | None, Field(ge=0, lt=2**63), _allowed("must be a whole number, at least 0, or null")]


class Classification(Options):
    """Classify images."""

    name: Literal["classification"]


class Digits(Options):
    """scikit-learn's handwritten digits, shipped with frog."""

    name: Literal["digits"]
    validation: Validation
    limit: CountOrNull


class MNIST(Options):
    """MNIST in torchvision's layout below `root`."""

    name: Literal["mnist"]
    root: str
    download: Switch
    validation: Validation
    limit: CountOrNull


class CIFAR10(Options):
    """CIFAR10 in torchvision's layout below `root`."""

    name: Literal["cifar10"]
    root: str
    download: Switch
    validation: Validation
    limit: CountOrNull


class ImageFolder(Options):
    """Images in root/train/CLASS/* and root/test/CLASS/*, scaled to `size` (height, width).

    Learning rates are looked up for the data set that they stand for.
    """

    name: Literal["image_folder"]
    root: str
    stands_for: Literal["mnist", "cifar10"] | None
    variant: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$"), _allowed("must be letters, digits and _ only")]
    size: Annotated[list[Count] | None, Field(min_length=2, max_length=2), _allowed("must be [height,width] or null")]
    validation: Validation
    limit: CountOrNull


class MLP(Options):
    """A multilayer perceptron with `depth` hidden layers of `width` units."""

    name: Literal["mlp"]
    width: Count
    depth: Count


class CNN(Options):
    """A small convolutional network."""

    name: Literal["cnn"]


class LogisticRegression(Options):
    """One linear layer."""

    name: Literal["logistic_regression"]


class ResNet18(Options):
    """torchvision's ResNet18, its parts grouped to layers whose outputs are the activities."""

    name: Literal["resnet18"]
    grouping: Grouping
    norm: Literal["batch", "group"] = "batch"  # for the settings of runs from before there was a choice


class ViT(Options):
    """A vision transformer of `depth` encoder layers, its parts grouped to layers whose outputs are the activities."""

    name: Literal["vit"]
    patch: Count
    depth: Count
    heads: Count
    hidden: Count
    mlp: Count
    dropout: Annotated[float, Field(ge=0, lt=1), _allowed("must be a number, at least 0 and below 1")]
    grouping: Grouping


class Checkpoint(Options):
    """How often an unfinished run saves its state: after so many rows of metrics, or minutes, whichever is first."""

    rows: CountOrNull
    minutes: PositiveOrNull


class Run(Options):
    """What every run has."""

    seed: Seed
    learning_rate: LearningRate
    optimizer: Optimizer
    diverged_above: PositiveOrNull
    device: Device
    tf32: Switch
    compile: Switch
    checkpoint: Checkpoint
    gradient: Annotated[FirstOrder | SecondOrder, Field(discriminator="name")]
    tangents: Annotated[Independent | Regenerated | Cone, Field(discriminator="name")]
    early_stopping: EarlyStopping


class FunctionRun(Run):
    """The minimisation of a closed-form function."""

    objective: Function
    steps: Count
    record_every: Count


class ClassificationRun(Run):
    """The training of a network that classifies images."""

    objective: Classification
    data: Annotated[Digits | MNIST | CIFAR10 | ImageFolder, Field(discriminator="name")]
    model: Annotated[MLP | LogisticRegression | CNN | ResNet18 | ViT, Field(discriminator="name")]
    epochs: Count
    batch_size: Count
    evaluation_batch_size: Count
    schedule: Schedule


class Interval(Options):
    """Numbers between two bounds, drawn evenly, or evenly in their logarithms."""

    low: float
    high: float
    log: Switch


class Search(Options):
    """A search for the learning rate, and for further hyperparameters by the dotted names of their options."""

    evaluations: Count
    low: Annotated[float, Field(allow_inf_nan=False), _allowed("must be a finite number, the logarithm of a rate")]
    high: Annotated[float, Field(allow_inf_nan=False), _allowed("must be a finite number, the logarithm of a rate")]
    also: dict[
        str,
        Annotated[
            Interval | Annotated[list[bool | int | float | str], Field(min_length=1)],
            _allowed("must be a list of values, or {low: .., high: .., log: true or false}"),
        ],
    ]
    seed: Seed
    population: Annotated[int, Field(ge=2), _allowed("must be a whole number, at least 2")]
    margin: Positive
    patience: CountOrNull


class Slurm(Options):
    """What a batch job asks of Slurm."""

    time: Annotated[
        str,
        Field(pattern=r"^(\d+-)?\d+(:\d\d){0,2}$"),
        _allowed("must be a limit of Slurm: minutes, HH:MM:SS or D-HH:MM:SS"),
    ]
    tasks: Count
    cpus: Count
    gpus: CountOrNull
    memory: _WordOrNull
    partition: _WordOrNull
    account: _WordOrNull
    qos: _WordOrNull
    at_once: CountOrNull
    notice: Count
    mpi: _WordOrNull
    setup: Annotated[list[str], _allowed("must be a list of lines of shell, such as ['module load mpi']")]
    options: Annotated[
        list[Annotated[str, Field(pattern=r"^--[\w-]+(=[^\s]+)?$")]],
        _allowed("must be a list of options of sbatch, such as ['--constraint=a100']"),
    ]


class Bench(Options):
    """A measurement of what steps cost."""

    image: Annotated[
        list[Count] | None,
        Field(min_length=3, max_length=3),
        _allowed("must be [channels,height,width], such as [3,32,32], or null"),
    ]
    classes: Count
    rounds: Count
    memory: Switch


class Quality(Options):
    """A study of approximation quality: every combination of the lists, over all seeds."""

    n: Count
    k: Annotated[list[Count], Field(min_length=1), _allowed("must be a list of whole numbers, each at least 1")]
    gradients: Annotated[
        list[Literal["sum", "mean", "projection"]],
        Field(min_length=1),
        _allowed("must be a list of sum, mean, projection"),
    ]
    tangents: Annotated[
        list[Distribution | ConeName],
        Field(min_length=1),
        _allowed("must be a list of normal, rademacher, normalised, standard_basis, cone, normalised_cone"),
    ]
    angles: Annotated[
        list[Angle] | None,
        Field(min_length=1),
        _allowed("must be a list of angles in degrees, each above 0 and at most 90, or null"),
    ]
    seeds: Seeds
    device: Device
