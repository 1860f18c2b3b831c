"""What a run is: every option, with its type and what it means.

Defaults stand in conf/. A field has one here only for the settings of runs from before it was a choice.

Nothing here imports torch: a wrong request is refused in a fraction of a second.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from frog_cli.ideas import sources
from frog_cli.ideas.declarations import Declaration
from frog_cli.ideas.registry import Curvature, Kind
from frog_cli.ideas.types import (
    Allowed,
    BatchSize,
    Count,
    CountOrNull,
    Device,
    Eigenvalues,
    HeldOut,
    LearningRate,
    Limit,
    NumberOfTangents,
    OnFailure,
    Options,
    Parallel,
    Perturb,
    Positive,
    PositiveOrNull,
    Seed,
    SeedOrNull,
    Share,
    Switch,
)


class Idea(Options):
    """An idea that is chosen by its name, with options of frog as fields and the options that it declares beside them.

    The idea's own options are checked as its file declares them; those of an idea from outside whose file is not there
    any more, as in the settings of old runs, are taken as they are.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    kind: ClassVar[Kind]

    name: str
    source: str | None = Field(
        None, exclude_if=lambda value: value is None, description="the file or module of an idea from outside"
    )
    sha256: str | None = Field(None, exclude_if=lambda value: value is None, description="of that file")

    @model_validator(mode="before")
    @classmethod
    def _with_checked_options(cls, settings: Any) -> Any:
        """Return settings whose options are what the idea declares, with the defaults of those that are missing."""
        if not isinstance(settings, dict) or not isinstance(settings.get("name"), str):
            return settings
        name, sha256 = settings["name"], settings.get("sha256")
        declaration = sources.declaration_of(cls.kind, name, sha256)
        if declaration is None and sha256 is None:
            raise PydanticCustomError("not_allowed", f"{name} is none of frog's ideas")
        if declaration is None:
            return settings
        own = {option: value for option, value in settings.items() if option not in cls.model_fields}
        frog = {option: value for option, value in settings.items() if option in cls.model_fields}
        return frog | declaration.schema.model_validate(own).model_dump()

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Take over what another process has chosen, whose declaration this one has not read yet."""
        super().__setstate__(state)
        if self.from_outside:
            sources.read_again(self)

    @property
    def options(self) -> dict[str, Any]:
        """The idea's own options."""
        return dict(self.model_extra or {})

    @property
    def from_outside(self) -> bool:
        """Whether the idea is not frog's own."""
        return self.sha256 is not None

    @property
    def declaration(self) -> Declaration | None:
        """What declares the idea, None if it is from outside and was not chosen by this process."""
        return sources.declaration_of(self.kind, self.name, self.sha256)


class Tangents(Idea):
    """A sampler of tangents."""

    kind: ClassVar[Kind] = "tangents"

    @property
    def angle(self) -> float | None:
        """The angle of frog's own tangents on a cone, None for others; an own sampler's angle may be anything."""
        return None if self.from_outside else self.options.get("angle")


class RunTangents(Tangents):
    """The tangents of a run."""

    per: Literal["batch", "sample"] = Field(
        description="whether the samples of a batch share the tangents that are drawn, or each has its own; the latter "
        "over activities alone"
    )

    @property
    def called(self) -> str:
        """What the tangents are called in results: their name, and what of them is not as usual."""
        local = {name: self.options[name] for name in ("depth", "random")} if are_local(self) else {}
        words = [self.name, *(f"{name}{value}" for name, value in local.items() if value)]
        return "_".join(words if self.per == "batch" else [*words, "per_sample"])


class Aggregation(Idea):
    """How slopes along tangents are combined."""

    kind: ClassVar[Kind] = "aggregation"


class Backprop(Options):
    """The gradient by one reverse pass."""

    name: Literal["backprop"]


class Forward(Aggregation):
    """A forward gradient from k tangents."""

    k: NumberOfTangents
    measure: Literal["forward", "simulated", "difference", "greedy"] = Field(
        description="forward: forward-mode derivatives; simulated: from a true gradient, the same numbers but for "
        "activities of a model that couples samples; difference: central differences, which need no derivative, of "
        "weights alone; greedy: with tangents=local or layerwise, those of the layers' own losses"
    )
    perturb: Perturb = Field(
        description="where the tangents live: in the space of all weights, or of all layers' outputs"
    )
    chunk_size: CountOrNull = Field(description="tangents per vectorised pass, bounds memory; null: all at once")
    # runs from before there was a choice have none
    spacing: PositiveOrNull = Field(
        None,
        description="with gradient.measure=difference: how far the loss is measured from the weights, in tangents",
    )


class LineStep(Options):
    """A second-order step along one direction: a sampled tangent, or the gradient."""

    name: Literal["fomoh", "fomoh_bp"]
    damping: Annotated[float, Field(ge=0, allow_inf_nan=False), Allowed("must be a finite number, at least 0")] = Field(
        description="added to the absolute curvature that the slope is divided by"
    )
    on_failure: OnFailure


class PlaneStep(Idea):
    """A second-order step in the plane of k tangents, by a rule."""

    kind: ClassVar[Kind] = "step_rule"

    k: NumberOfTangents
    on_failure: OnFailure

    @property
    def curvature(self) -> Curvature:
        """Which curvature the rule is for."""
        declared = self.declaration
        return "hessian" if declared is None else declared.traits.get("curvature", "hessian")


class Newton(Options):
    """A second-order step in the whole space."""

    name: Literal["newton"]
    eigenvalues: Eigenvalues
    on_failure: OnFailure


FirstOrder = Backprop | Forward
SecondOrder = LineStep | PlaneStep | Newton

_WITHOUT_IDEA = {
    name: settings.__name__
    for settings in (Backprop, LineStep, Newton)
    for name in get_args(settings.model_fields["name"].annotation)
}


def _settings_of(gradient: Any) -> str:
    """Return the class of a gradient's settings; whatever else is named is a step rule, which may fail, or not."""
    settings = gradient if isinstance(gradient, dict) else dict(gradient)
    return _WITHOUT_IDEA.get(settings.get("name"), "PlaneStep" if "on_failure" in settings else "Forward")


def samples_tangents(gradient: FirstOrder | SecondOrder) -> bool:
    """Return whether a gradient depends on sampled tangents."""
    return gradient.name not in ("backprop", "fomoh_bp", "newton")


def are_regenerated(tangents: Tangents) -> bool:
    """Return whether tangents are drawn again whenever they are needed, instead of being stored."""
    return tangents.name == "regenerated" and not tangents.from_outside


def are_local(tangents: Tangents) -> bool:
    """Return whether tangents come from losses of the layers' own, as many as there are layers."""
    return tangents.name == "local" and not tangents.from_outside


def are_layerwise(tangents: Tangents) -> bool:
    """Return whether random tangents lie in one layer each."""
    return tangents.name == "layerwise" and not tangents.from_outside


def are_of_layers(tangents: Tangents) -> bool:
    """Return whether each tangent lies in one layer alone, so that slopes may be those of the layer's own loss."""
    return are_local(tangents) or are_layerwise(tangents)


def are_gated(tangents: Tangents) -> bool:
    """Return whether tangents are zero where a ReLU is off."""
    return tangents.name == "gated" and not tangents.from_outside


def need_layers(tangents: Tangents) -> bool:
    """Return whether there are no such tangents without the layers of a network."""
    return are_gated(tangents) or are_of_layers(tangents)


def are_of_samples(tangents: RunTangents) -> bool:
    """Return whether tangents are held sample by sample, and layer by layer: over activities alone."""
    return need_layers(tangents) or tangents.per == "sample"


class Function(Idea):
    """A closed-form function of n variables."""

    kind: ClassVar[Kind] = "function"

    n: Count = Field(description="dimension")
    dtype: Literal["float32", "float64"] = Field(description="precision of all numbers")
    start: Literal["published", "random"] = Field(
        description="published: the function's own start, the first paper's; random: standard normal entries"
    )
    start_seed: SeedOrNull = Field(description="of a random start; null: the run's own seed")


class Data(Idea):
    """A data set."""

    kind: ClassVar[Kind] = "data"

    validation: HeldOut
    limit: Limit

    @property
    def variant(self) -> str:
        """What the data set is called in results."""
        variant = self.options.get("variant")
        return variant if isinstance(variant, str) and variant else self.name


class Model(Idea):
    """A network."""

    kind: ClassVar[Kind] = "model"


class Optimizer(Options):
    """A class of torch.optim and its arguments other than the learning rate."""

    name: Annotated[
        str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$"), Allowed("must be a class of torch.optim, such as SGD or Adam")
    ] = Field(description="one that steps without a closure")
    options: dict[str, Any] = Field(description="its further arguments, such as optimizer.options.momentum=0.9")


class StepLength(Options):
    """How the curvature along a direction makes the length of a step."""

    factor: Positive = Field(
        description="with learning_rate=curvature: what the way to the lowest point along a direction is multiplied by"
    )
    smoothing: Share = Field(
        description="with learning_rate=curvature: the share of earlier steps in the means of slope and curvature"
    )
    every: Count = Field(description="with learning_rate=curvature: steps from one measurement to the next")


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
        "without a new lowest validation loss since the first epoch"
    )
    factor: Annotated[float, Field(gt=0, lt=1), Allowed("must be a number between 0 and 1")] = Field(
        description="what the learning rate is multiplied by"
    )
    epochs: Count = Field(description="how many epochs that are")


class Classification(Options):
    """Classify images."""

    name: Literal["classification"]


def model_settings(model: Model) -> dict[str, Any]:
    """Return a model's settings without those that all published runs have, and those from before the choice."""
    settings = model.model_dump()
    usual = {"norm": "batch"} | ({"width": 64} if model.name == "resnet18" else {})
    return {name: value for name, value in settings.items() if usual.get(name) != value}


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
        description="what a step is multiplied by; published, searched: looked up for these settings; curvature: "
        "measured at each step, along its direction"
    )
    # runs from before there was a choice have none
    step: StepLength | None = Field(None, description="of learning_rate=curvature")
    optimizer: Optimizer
    diverged_above: PositiveOrNull = Field(
        description="a loss beyond this, or one that is not finite, ends the run as diverged"
    )
    device: Device = Field(description="where to compute; auto: on a GPU if there is one")
    tf32: Switch = Field(description="true: let NVIDIA's cards round the factors of products to 10 bits")
    compile: Switch = Field(
        description="true: compile first-order steps where they can be recorded; takes seconds, needs a C++ compiler"
    )
    # runs from before there was a choice have none
    tensorboard: Switch = Field(
        False, description="true: write event files for TensorBoard beside metrics.csv, of the same numbers"
    )
    checkpoint: Checkpoint
    gradient: Annotated[
        Annotated[Backprop, Tag("Backprop")]
        | Annotated[Forward, Tag("Forward")]
        | Annotated[LineStep, Tag("LineStep")]
        | Annotated[PlaneStep, Tag("PlaneStep")]
        | Annotated[Newton, Tag("Newton")],
        Discriminator(_settings_of),
    ]
    tangents: RunTangents
    early_stopping: EarlyStopping

    @property
    def curvature_length(self) -> StepLength | None:
        """How the curvature gives steps their lengths, None if a learning rate does."""
        return self.step if self.learning_rate == "curvature" else None


class FunctionRun(Run):
    """The minimisation of a closed-form function."""

    objective: Function
    steps: Count = Field(description="how many at most")
    record_every: Count = Field(description="steps between two rows of metrics.csv")


class Approximation(Options):
    """Whether a run compares its estimates with the true gradient."""

    batches: CountOrNull = Field(
        description="after each epoch the gradient is compared with the true one, by layer, on so many batches; null: "
        "never"
    )


class ClassificationRun(Run):
    """The training of a network that classifies images."""

    objective: Classification
    data: Data
    model: Model
    epochs: Count = Field(description="how many at most")
    batch_size: BatchSize = Field(description="images per step; published, searched: looked up for these settings")
    evaluation_batch_size: Count = Field(description="images per pass when losses and accuracies are measured")
    schedule: Schedule
    quality: Approximation
    # runs from before there was a choice have none of these
    keep_weights: Switch = Field(
        False,
        description="a finished run keeps the weights of the lowest validation loss in weights.safetensors, and those "
        "at its end in weights_last.safetensors, for frog evaluate and frog_cli.load",
    )
    parallel: Parallel = Field(
        None,
        description="with several processes, as under torchrun, srun or mpiexec: what they share of each step, the "
        "tangents or the samples of the batch; [b,t]: b shares of the batch times t of the tangents",
    )
    exchange: Literal["slopes", "steps"] = Field(
        "slopes",
        description="what ranks that share tangents tell each other: slopes, k numbers (over activities for each "
        "sample); steps: besides, the steps along their own tangents, as many numbers as weights; with "
        "tangents=regenerated none draws all tangents then",
    )


def ideas_of(run: Run) -> dict[str, Idea]:
    """Return the ideas that a run is made of, by the groups that they are chosen in."""
    return {group: chosen for group, chosen in run if isinstance(chosen, Idea)}
