"""What may be asked, and how a wrong request is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from frog_cli.errors import RequestError
from frog_cli.files.shipped import folder
from frog_cli.settings.composing import groups, sweep
from frog_cli.settings.requests import quality_request, search_request, train_request
from frog_cli.settings.schema import Backprop, ClassificationRun, FunctionRun, RunTangents

REFUSED = {
    "gradient=foo": "gradient=foo: must be one of backprop, fomoh, fomoh_bp, fomoh_cg, fomoh_diagonal, fomoh_kd, gauss_newton, max, mean, newton, projection, sum, top_mean, did you mean fomoh?",
    "gradient=man": "gradient=man: must be one of backprop, fomoh, fomoh_bp, fomoh_cg, fomoh_diagonal, fomoh_kd, gauss_newton, max, mean, newton, projection, sum, top_mean, did you mean mean?",
    "data=foo": "data=foo: must be one of cifar10, cifar100, digits, fashion_mnist, image_folder, mnist, svhn",
    "gradient.k=0": "gradient.k=0: must be a whole number, at least 1",
    "gradient.k=-3": "gradient.k=-3: must be a whole number, at least 1",
    "gradient.k=1.5": "gradient.k=1.5: must be a whole number, at least 1",
    "gradient.k=true": "gradient.k=true: must be a whole number, at least 1",
    "gradient.k=null": "gradient.k=null: must be a whole number, at least 1",
    "learning_rate=abc": "learning_rate=abc: must be a finite number above 0, published, searched or curvature",
    "learning_rate=nan": "learning_rate=nan: must be a finite number above 0, published, searched or curvature",
    "learning_rate=inf": "learning_rate=inf: must be a finite number above 0, published, searched or curvature",
    "learning_rate=-1": "learning_rate=-1: must be a finite number above 0, published, searched or curvature",
    "learning_rate=0": "learning_rate=0: must be a finite number above 0, published, searched or curvature",
    "learning_rate=": "learning_rate=: must be a finite number above 0, published, searched or curvature",
    "tangents.angle=30": "tangents.angle=30: exists only with tangents=cone, tangents=normalised_cone",
    "tangents=cone tangents.angle=0": "tangents.angle=0: must be an angle in degrees above 0, at most 90",
    "tangents=cone tangents.angle=91": "tangents.angle=91: must be an angle in degrees above 0, at most 90",
    "gradient.tangents.angle=30": "tangents.angle=30: exists only with tangents=cone, tangents=normalised_cone",
    "learning_rat=1": "learning_rat=1: unknown option, did you mean learning_rate?; see frog train --help",
    "model.widht=3": "model.widht=3: unknown option, did you mean model.width?; see frog train --help",
    "width=3": "width=3: unknown option, did you mean model.width?; see frog train --help",
    "gradint=mean": "gradint=mean: unknown option, did you mean gradient?; see frog train --help",
    "gradient=backprop gradient.k=3": "gradient.k=3: exists only with gradient=fomoh_cg, gradient=fomoh_diagonal, gradient=fomoh_kd, gradient=gauss_newton, gradient=max, gradient=mean, gradient=projection, gradient=sum, gradient=top_mean",
    "gradient.name=mean": "gradient.name=mean: is chosen with gradient=mean",
    "objective=sphere model=mlp": "objective=sphere: cannot be chosen with model=mlp",
    "objective=sphere gradient.perturb=activities": "gradient.perturb=activities: a closed-form function has only weights",
    "objective=sphere objective.n=1 tangents=cone learning_rate=1": "tangents=cone: needs objective.n of at least 2",
    "gradient.measure=magic": "gradient.measure=magic: must be 'forward', 'simulated', 'difference' or 'greedy'",
    "gradient=fomoh objective.perturb=magic": "objective.perturb=magic: must be 'weights' or 'activities'",
    "device=gpu": "device=gpu: must be auto, cpu, cuda, cuda:N or mps",
    "seeds=0": "seeds=0: must be a whole number N for seeds 0 to N-1, or a list of different seeds like [0,3]",
    "seeds=[1,1]": "seeds=[1,1]: must be at least one seed, and each only once",
    "seeds=3 seed=1": "seed=1: either seed or seeds, not both",
    "seed=-1": "seed=-1: must be a whole number, at least 0",
    "overwrite=maybe": "overwrite=maybe: must be true or false",
    "early_stopping=3": "early_stopping=3: has options of its own, such as early_stopping.patience",
    "gradient.k=1,2": "gradient.k=1,2: several values need -m, one run for each",
    "+gradient.k=3": "+gradient.k=3: must have the form option=value",
    "--gradient.k=3": "--gradient.k=3: must have the form option=value, without dashes: gradient.k=3",
    "learning-rate=1": "learning-rate=1: must have the form option=value, without dashes: learning_rate=1",
    "data=MNIST": "data=MNIST: must be one of cifar10, cifar100, digits, fashion_mnist, image_folder, mnist, svhn, did you mean mnist?",
    "seed": "seed: must have the form option=value",
    "hydra.run.dir=/tmp": "hydra.run.dir=/tmp: unknown option; see frog train --help",
    "gradient.k=${oc.env:HOME}": "gradient.k=${oc.env:HOME}: a value cannot refer to others with ${..}",
    "objective=sphere epochs=3": "epochs=3: exists only with objective=classification",
    "data.validation=0": "data.validation=0: must be a whole number of training images, at least 1, or a share between 0 and 1, or test, or null",
    "data.validation=all": "data.validation=all: must be a whole number of training images, at least 1, or a share between 0 and 1, or test, or null",
    "gradient=fomoh gradient.damping=-1": "gradient.damping=-1: must be a finite number, at least 0",
    "schedule.factor=2": "schedule.factor=2: must be a number between 0 and 1",
    "batch_size=published": "batch_size=published: none is known for model=mlp, data=digits, width=256, depth=2, gradient=projection, k=16, tangents=normal, perturb=activities; there is one for data=mnist; else give a number",
    "1=2": "1=2: must have the form option=value",
    "a..b=3": "a..b=3: must have the form option=value",
    "data.limit=0": "data.limit=0: must be a whole number, at least 1, or null",
}


@pytest.mark.parametrize("request_", REFUSED)
def test_refusals(request_):
    with pytest.raises(RequestError) as refusal:
        train_request(request_.split())
    assert str(refusal.value) == REFUSED[request_]


QUALITY_REFUSED = {
    "k=3": "k=3: must be a list of whole numbers, each at least 1",
    "k=[0]": "k=[0]: must be a list of whole numbers, each at least 1",
    "gradients=[foo]": "gradients=[foo]: must be among max, mean, projection, sum, top_mean",
    "angles=[30]": "angles=[30]: only tangents=[cone] have an angle",
    "tangents=[cone]": "tangents=[cone]: needs angles in degrees, such as angles=[45]",
    "tangents=[local]": "tangents=[local]: come from the layers of a network, such as data=digits model=mlp",
    "tangents=[normal,gated]": "tangents=[gated]: come from the layers of a network, such as data=digits model=mlp",
    "tangents=[cone] angles=[0]": "angles=[0]: must be a list of angles in degrees, each above 0 and at most 90, or null",
    "tangents=[cone] angles=[45] n=1": "tangents=[cone]: needs n of at least 2",
    "seeds=[2,2]": "seeds=[2,2]: must be at least one seed, and each only once",
    "tangent=[normal]": "tangent=[normal]: unknown option, did you mean tangents?; see frog quality --help",
}


@pytest.mark.parametrize("request_", QUALITY_REFUSED)
def test_quality_refusals(request_):
    with pytest.raises(RequestError) as refusal:
        quality_request(request_.split())
    assert str(refusal.value) == QUALITY_REFUSED[request_]


def test_defaults_compose():
    (run,) = train_request([]).runs
    assert isinstance(run, ClassificationRun)
    assert (run.data.name, run.model.name, run.gradient.name) == ("digits", "mlp", "projection")
    assert run.gradient.perturb == "activities"


def test_every_choice_of_every_group_composes():
    for group, names in groups("train").items():
        for name in names:
            overrides = ["learning_rate=1"] if group != "experiment" else []
            overrides += ["gradient.perturb=weights"] if name == "regenerated" else []
            assert train_request([f"{group}={name}", *overrides]).runs


def test_a_function_has_weights_only():
    run = train_request(["objective=sphere"]).runs[0]
    assert isinstance(run, FunctionRun)
    assert run.gradient.perturb == "weights"
    assert run.objective.model_dump() == {
        "name": "sphere",
        "n": 64,
        "dtype": "float64",
        "start": "published",
        "start_seed": None,
    }


def test_seeds():
    assert [run.seed for run in train_request(["seeds=3"]).runs] == [0, 1, 2]
    assert [run.seed for run in train_request(["seeds=[5,0]"]).runs] == [5, 0]
    assert [run.seed for run in train_request(["seed=7"]).runs] == [7]
    assert [run.seed for run in train_request([]).runs] == [0]


def test_tangents_may_be_named_under_the_gradient():
    run = train_request(["gradient.tangents=cone", "gradient.tangents.angle=30"]).runs[0]
    assert run.tangents == RunTangents(name="cone", angle=30, per="batch")


def test_numbers_may_be_written_without_a_point():
    assert train_request(["learning_rate=1"]).runs[0].learning_rate == 1.0
    assert train_request(["learning_rate=1e-3"]).runs[0].learning_rate == 0.001


def test_optimizer_options_are_free():
    run = train_request(["optimizer.name=Adam", "optimizer.options.betas=[0.5,0.9]"]).runs[0]
    assert run.optimizer.options == {"betas": [0.5, 0.9]}


def test_a_path_with_signs_of_hydras_own():
    run = train_request(["data=mnist", "data.root=/x=y/gradient.tangents", "learning_rate=1"]).runs[0]
    assert run.data.root == "/x=y/gradient.tangents"


def test_data_root_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("FROG_DATA", "/somewhere")
    assert train_request(["data=mnist", "learning_rate=1"]).runs[0].data.root == "/somewhere"
    monkeypatch.delenv("FROG_DATA")
    assert train_request(["data=mnist", "learning_rate=1"]).runs[0].data.root == "data"
    assert train_request(["data=mnist", "data.root=/x=y", "learning_rate=1"]).runs[0].data.root == "/x=y"


def test_backprop_has_no_tangents_to_choose():
    assert train_request(["gradient=backprop"]).runs[0].gradient == Backprop(name="backprop")


def test_no_dangerous_way_to_load_anything():
    """Names are looked up in registries; of files only ideas that a user names are imported, none in a run's folder."""
    forbidden = (
        "hydra.utils",
        "instantiate(",
        "eval(",
        "exec(",
        "pickle",
        "weights_only=False",
        "yaml.load(",
        "_target_",
    )
    package = Path(__file__).parents[2] / "frog_cli"
    for path in [*package.rglob("*.py"), *folder("conf").rglob("*.yaml")]:
        text = path.read_text(encoding="utf-8").replace(".eval()", "").replace("ast.literal_eval(", "")
        assert not [word for word in forbidden if word in text], path


@pytest.mark.parametrize("path", sorted((folder("sweeps") / "definitions").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_definition_composes(path):
    definition = yaml.safe_load(path.read_text())
    assert set(definition) <= {"search", "options", "grid"}
    for line in definition["grid"]:
        combinations = list(sweep(line.split()))
        assert combinations
        for combination in (combinations[0], combinations[-1]):
            plan = search_request(combination)
            chosen = dict(word.split("=") for word in combination)
            assert path.stem == chosen.get("experiment", chosen.get("objective"))
            assert plan.search.model_dump().items() >= definition.get("search", {}).items()
            assert len(plan.request.runs) == definition.get("options", {}).get("seeds", len(plan.request.runs))


def test_every_experiment_and_function_has_a_definition():
    defined = {path.stem for path in (folder("sweeps") / "definitions").glob("*.yaml")}
    functions = [name for name in groups("train")["objective"] if name != "classification"]
    experiments = {*groups("train")["experiment"]} - {"fomoh_step"}  # which takes the rate of fomoh_rosenbrock_2d
    assert {*experiments, *functions} == defined


def test_what_is_given_counts_more_than_a_definition():
    plan = search_request(["experiment=fomoh_logistic_regression", "search.also={}", "batch_size=128"])
    assert plan.search.also == {}
    assert len(search_request(["objective=sphere", "seed=3"]).request.runs) == 1
    assert len(search_request(["objective=sphere", "seeds=2"]).request.runs) == 2
