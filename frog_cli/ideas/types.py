"""The types that options have: each says in one sentence what is allowed, or what the option means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

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


class Options(BaseModel):
    """A group of options; unknown ones are refused, and so are values of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Count = Annotated[int, Field(ge=1), Allowed("must be a whole number, at least 1")]
EvenCount = Annotated[int, Field(ge=2, multiple_of=2), Allowed("must be an even number, at least 2")]
CountOrZero = Annotated[int, Field(ge=0), Allowed("must be a whole number, at least 0")]
CountOrNull = Annotated[int | None, Field(ge=1), Allowed("must be a whole number, at least 1, or null")]
BatchSize = Annotated[int, Field(ge=1), Allowed("must be a whole number, at least 1, published or searched")]
Seed = Annotated[int, Field(ge=0, lt=2**63), Allowed("must be a whole number, at least 0")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), Allowed("must be a finite number above 0")]
PositiveOrNull = Annotated[
    float | None, Field(gt=0, allow_inf_nan=False), Allowed("must be a finite number above 0, or null")
]
LearningRate = Annotated[
    Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["curvature"],
    Allowed("must be a finite number above 0, published, searched or curvature"),
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
Switch = Annotated[bool, Allowed("must be true or false")]
Device = Annotated[
    str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$"), Allowed("must be auto, cpu, cuda, cuda:N or mps")
]
WordOrNull = Annotated[
    str | None, Field(pattern=r"^[\w.,:+-]+$"), Allowed("must be letters, digits and . , : + - only, or null")
]
Grouping = Literal["fine", "paper", "coarse"]
Perturb = Literal["weights", "activities"]
Share = Annotated[float, Field(ge=0, lt=1), Allowed("must be a number, at least 0 and below 1")]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$"), Allowed("must be letters, digits and _ only")]
Parallel = Annotated[
    Literal["tangents", "batch"] | Annotated[list[Count], Field(min_length=2, max_length=2)] | None,
    Allowed("must be tangents, batch, a grid of ranks such as [2,4], or null"),
]
HeightAndWidth = Annotated[list[Count], Field(min_length=2, max_length=2), Allowed("must be [height,width]")]


@dataclass(frozen=True)
class WithoutEffect:
    """Marks an option of frog's own ideas on which no result depends: it does not count in a run's identity."""


# options that several groups have
NumberOfTangents = Annotated[Count, Field(description="number of tangents")]
Eigenvalues = Annotated[
    Literal["signed", "absolute"],
    Field(description="signed: as in the paper, to any stationary point; absolute: always downhill"),
]
OnFailure = Annotated[
    Literal["skip", "stop"], Field(description="skip a step that has no solution and go on, or stop the run")
]
Root = Annotated[
    str, WithoutEffect(), Field(description="the folder that the files are in; FROG_DATA or ./data unless it is given")
]
Download = Annotated[Switch, WithoutEffect(), Field(description="true: fetch what is missing through torchvision")]
StandsFor = Annotated[
    Literal["mnist", "cifar10"] | None,
    WithoutEffect(),
    Field(description="the data set whose learning rates are looked up; results are still called by the variant"),
]
HeldOut = Annotated[
    Count | Annotated[float, Field(gt=0, lt=1)] | Literal["test"] | None,
    Allowed("must be a whole number of training images, at least 1, or a share between 0 and 1, or test, or null"),
    Field(
        description="training images held out, or a share of them, the same ones for every seed; test: validate on the "
        "test images, hold out none; null: on those that the data set sets apart, else on a tenth"
    ),
]
Limit = Annotated[CountOrNull, Field(description="use only so many images of each split; null: all")]
