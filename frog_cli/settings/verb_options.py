"""What a request says beside what its runs are: options of frog train, search, submit, bench and quality themselves."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from frog_cli.ideas.types import (
    Allowed,
    Angle,
    Count,
    CountOrNull,
    Device,
    LogarithmOfRate,
    LogarithmOrNull,
    Options,
    Perturb,
    Positive,
    Seed,
    Seeds,
    SeedsOrNull,
    Switch,
    WordOrNull,
)

Sources = Annotated[
    list[str],
    Allowed("must be a list of files and modules, such as [my_ideas.py]"),
    Field(description="files and modules with ideas of your own; frog ideas lists what there is"),
]


class Preset(Options):
    """What an objective says of the gradient that is chosen with it."""

    perturb: Perturb = Field(description="what gradient.perturb is unless it is given")


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
    ideas: Sources
    objective: Preset


class Interval(Options):
    """Numbers between two bounds, drawn evenly, or evenly in their logarithms."""

    low: float
    high: float
    log: Switch


class Search(Options):
    """A search for the learning rate, and for further hyperparameters by the dotted names of their options."""

    method: Annotated[Literal["evolution", "grid"], Allowed("must be evolution or grid")] = Field(
        description="evolution: by Propulate, each proposal bred from the best so far; grid: evenly spaced logarithms "
        "from low to high, for a few evaluations, without Propulate"
    )
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
    tasks: Count = Field(
        description="processes; several share the evaluations of frog search, or the steps of frog train parallel=.."
    )
    cpus: Count = Field(description="cores of each process")
    gpus: CountOrNull = Field(description="GPUs of the job; its processes take them in turn")
    memory: WordOrNull = Field(description="of the job, such as 16G; null: the cluster's default")
    partition: WordOrNull = Field(description="where the job waits; null: the cluster's default")
    account: WordOrNull = Field(description="who pays; null: your default")
    qos: WordOrNull = Field(description="quality of service; null: your default")
    at_once: CountOrNull = Field(description="how many jobs of a sweep may run at the same time; null: all")
    notice: Count = Field(description="seconds before the limit at which the job is told to save its state")
    mpi: WordOrNull = Field(
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
        list[str], Field(min_length=1), Allowed("must be a list of aggregations, such as [sum,mean,projection]")
    ] = Field(description="how the slopes along the tangents are combined; ideas with the defaults of their options")
    tangents: Annotated[
        list[str], Field(min_length=1), Allowed("must be a list of samplers, such as [normal,rademacher]")
    ] = Field(description="how the tangents are drawn; ideas with the defaults of their options")
    angles: Annotated[
        list[Angle] | None,
        Field(min_length=1),
        Allowed("must be a list of angles in degrees, each above 0 and at most 90, or null"),
    ] = Field(description="to the first tangent; for cone and normalised_cone only")
    seeds: Seeds = Field(description="one estimate for each")
    ideas: Sources
    device: Device = Field(description="where to compute; auto: on a GPU if there is one")
