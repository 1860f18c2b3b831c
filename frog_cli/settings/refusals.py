"""How wrong settings are refused: in one line that names the option, its value and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from frog_cli.errors import RequestError
from frog_cli.settings import schema, verb_options
from frog_cli.settings.schema import (
    ClassificationRun,
    Forward,
    FunctionRun,
    PlaneStep,
    Run,
    SecondOrder,
    are_of_layers,
    are_of_samples,
    are_regenerated,
    samples_tangents,
)

Checked = TypeVar("Checked", bound=BaseModel)


def validate(expected: type[Checked], settings: dict[str, Any], given: dict[str, str]) -> Checked:
    """Check settings against a schema and report the first that is wrong."""
    try:
        return expected.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        option = _option(settings, first["loc"])
        message = first["msg"].replace("Input should be", "must be")
        if first["type"] == "model_type":
            expected_there = (vars(schema) | vars(verb_options))[first["ctx"]["class_name"]]
            inner = (f"{option}.{name}" for name in expected_there.model_fields)
            message = f"has options of its own, such as {', '.join(inner)}"
        raise RequestError(as_given(option, settings, given), message) from None


def _option(settings: dict[str, Any], location: Iterable[str | int]) -> str:
    """Return the dotted name of the option at a place that also names the alternatives of a union."""
    names: list[str] = []
    place: Any = settings
    for part in location:
        if isinstance(place, dict) and part in place:
            names.append(str(part))
            place = place[part]
    return ".".join(names)


def as_given(option: str, settings: dict[str, Any], given: dict[str, str]) -> str:
    """Return option=value, in the user's own spelling where there is one."""
    if option in given:
        return f"{option}={given[option]}"
    value: Any = settings
    rest = option
    while rest:  # a name may have dots itself, as that of an option which is searched
        part = next(part for part in value if rest == part or rest.startswith(f"{part}."))
        value, rest = value[part], rest[len(part) + 1 :]
    return f"{option}={as_text(value)}"


def as_text(value: Any) -> str:
    """Return a value as it may be given on the command line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return `, did you mean ..?` or nothing."""
    name, candidates = name.lower(), list(candidates)
    last = {candidate.rpartition(".")[2]: candidate for candidate in candidates}
    close = difflib.get_close_matches(name, candidates, n=1) or [
        last[match] for match in difflib.get_close_matches(name.rpartition(".")[2], last, n=1)
    ]
    return f", did you mean {close[0]}?" if close else ""


def prefixed(prefix: str, verb: str, error: RequestError) -> RequestError:
    """Return an error about an option of a verb's own, called as users call it."""
    allowed = error.allowed.replace("did you mean ", f"did you mean {prefix}.")
    return RequestError(f"{prefix}.{error.given}", allowed.replace(f"see frog {prefix} ", f"see frog {verb} "))


def check_combinations(run: Run) -> None:
    """Refuse what is right by itself but not together."""
    if are_regenerated(run.tangents) and samples_tangents(run.gradient):
        places = (getattr(run.gradient, name, None) for name in ("perturb", "measure"))
        if not isinstance(run, ClassificationRun) or tuple(places) != ("weights", "forward"):
            raise RequestError(
                "tangents=regenerated",
                "needs a network and a forward gradient with gradient.perturb=weights gradient.measure=forward",
            )
        _check_gram_only(run)
    of_samples = are_of_samples(run.tangents) and samples_tangents(run.gradient)
    if of_samples:
        places = (getattr(run.gradient, name, None) for name in ("perturb", "chunk_size"))
        if not isinstance(run, ClassificationRun) or tuple(places) != ("activities", None) or run.compile:
            raise RequestError(
                "tangents.per=sample" if run.tangents.per == "sample" else f"tangents={run.tangents.name}",
                "needs the layers of a network, a forward gradient with gradient.perturb=activities, all tangents at "
                "once and no compiler",
            )
        _check_gram_only(run)
    greedy = isinstance(run.gradient, Forward) and run.gradient.measure == "greedy"
    if greedy and not are_of_layers(run.tangents):
        raise RequestError(
            "gradient.measure=greedy", "needs tangents=local or layerwise, whose layers have losses of their own"
        )
    if isinstance(run.gradient, Forward) and run.gradient.measure == "difference":
        if run.gradient.perturb != "weights":
            raise RequestError("gradient.measure=difference", "needs gradient.perturb=weights")
        if run.gradient.spacing is None:
            raise RequestError("gradient.spacing=null", "must be a number above 0 with gradient.measure=difference")
    if run.compile and isinstance(run.gradient, SecondOrder):
        raise RequestError("compile=true", "is for gradients of first order; torch's compiler fails on second ones")
    if run.curvature_length is not None:
        if isinstance(run.gradient, SecondOrder):
            raise RequestError(
                "learning_rate=curvature", f"gradient={run.gradient.name} finds lengths itself; 1 is usual"
            )
        if run.optimizer.name != "SGD" or run.optimizer.options:
            raise RequestError(
                "learning_rate=curvature",
                "gives each step its length, which optimizer.name=SGD without options alone takes",
            )
    if isinstance(run, ClassificationRun):
        _check_sharing(run)
    if not isinstance(run, FunctionRun):
        return
    if isinstance(run.gradient, PlaneStep) and run.gradient.curvature == "gauss_newton":
        raise RequestError(f"gradient={run.gradient.name}", "needs a network, whose loss is a function of its outputs")
    if isinstance(run.gradient, Forward) and run.gradient.perturb != "weights":
        raise RequestError(f"gradient.perturb={run.gradient.perturb}", "a closed-form function has only weights")
    if run.tangents.angle is not None and run.objective.n < 2:
        raise RequestError(f"tangents={run.tangents.name}", "needs objective.n of at least 2")


def _check_sharing(run: ClassificationRun) -> None:
    """Refuse steps whose tangents, or samples, ranks cannot share."""
    shares_tangents = run.parallel == "tangents" or (isinstance(run.parallel, list) and run.parallel[1] > 1)
    shares_samples = run.parallel == "batch" or (isinstance(run.parallel, list) and run.parallel[0] > 1)
    given = f"parallel={as_text(run.parallel)}"
    if shares_tangents and (not isinstance(run.gradient, Forward) or are_of_samples(run.tangents)):
        raise RequestError(
            given, "needs a forward gradient whose tangents the samples share; parallel=batch shares the samples"
        )
    if shares_samples and samples_tangents(run.gradient) and run.tangents.per == "sample":
        raise RequestError(given, "needs tangents.per=batch, which all ranks draw alike")
    if run.exchange == "steps" and run.parallel is not None and not shares_tangents:
        raise RequestError("exchange=steps", "is for ranks that share tangents, as with parallel=tangents")


def _check_gram_only(run: Run) -> None:
    """Refuse an aggregation that would have to see the tangents themselves, which are never all there."""
    assert isinstance(run.gradient, Forward)
    declared = run.gradient.declaration
    if declared is not None and not any(declared.traits.get(one) for one in ("gram_only", "of_slopes_alone")):
        raise RequestError(
            f"tangents={run.tangents.name}",
            f"needs an aggregation that depends on the tangents V through V V^T alone, and says so with gram_only; "
            f"{run.gradient.name} does not",
        )
