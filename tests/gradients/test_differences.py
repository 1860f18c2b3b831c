"""Slopes by central differences, beside closed forms and forward mode, and where they are all there is."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from frog_cli.cli import main
from frog_cli.engine.batch_gradients import fast_forward_gradient
from frog_cli.engine.recording import SlowIdeaWarning
from frog_cli.gradients import AGGREGATIONS, TANGENTS, ForwardGradient, estimate_from_activities, estimate_from_weights
from frog_cli.gradients.measurement import by_differences, forward, share_lost
from frog_cli.gradients.points import points
from frog_cli.gradients.weights import weights
from frog_cli.runs import curve, execution
from frog_cli.runs.folder import RunFolder, runs_location
from frog_cli.settings.requests import train_request
from tests.cases import MODELS, Follows, case, sample_loss

METHOD = ForwardGradient(
    k=4, tangents=TANGENTS["normal"], measure="difference", aggregation=AGGREGATIONS["sum"], epsilon=1e-5
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_differences_of_a_cubic_have_their_closed_form():
    """(f(x + εv) - f(x - εv)) / 2ε of x³ is 3 x² v + ε² v³, which no derivative is."""
    x, V = torch.tensor([2.0]).double(), torch.tensor([[1.0], [-3.0], [0.5]]).double()
    value, slopes, kept = by_differences(lambda x: (x.pow(3).sum(), "besides"), (x,), (V,), 0.1)
    torch.testing.assert_close(slopes, (12 * V + 0.01 * V**3).squeeze(1))
    assert (value, kept) == (8.0, "besides")


def test_the_error_falls_with_the_square_of_epsilon():
    function = lambda x, y: ((x.sin() * y.exp()).sum(), ())  # noqa: E731
    primals = tuple(torch.randn(3, 4, generator=generator(seed), dtype=torch.float64) for seed in (0, 1))
    tangents = tuple(torch.randn(5, 3, 4, generator=generator(seed), dtype=torch.float64) for seed in (2, 3))
    exact = forward(function, primals, tangents)[1]
    errors = [(by_differences(function, primals, tangents, e)[1] - exact).norm().item() for e in (1e-1, 1e-2, 1e-3)]
    assert [math.log10(one / other) for one, other in pairwise(errors)] == pytest.approx([2, 2], abs=0.05)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("fast", [False, True])
def test_slopes_of_networks_are_those_of_forward_mode(name, fast):
    model, images, labels = case(name)
    found = []
    for measure in ("difference", "forward"):
        method = replace(METHOD, measure=measure)
        if fast:
            space = weights(model, sample_loss, measure, epsilon=METHOD.epsilon)
            found.append(fast_forward_gradient(method, space, model)(images, labels, generator()))
        else:
            found.append(estimate_from_weights(method, model, sample_loss, images, labels, generator()))
    assert found[0].loss == pytest.approx(found[1].loss)
    for one, other in zip(found[0].gradients, found[1].gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_slopes_at_points_are_those_of_forward_mode():
    x = torch.randn(3, 6, generator=generator(), dtype=torch.float64)
    V = torch.randn(3, 4, 6, generator=generator(1), dtype=torch.float64)
    function = lambda x: (x[..., 1:] * x[..., :-1].square()).sum(-1)  # noqa: E731
    values, slopes, *_ = points(function, "difference", dtype=torch.float64, epsilon=1e-5).measure(x, V)
    expected = points(function, "forward", dtype=torch.float64).measure(x, V)
    torch.testing.assert_close(values, expected.loss)
    torch.testing.assert_close(slopes, expected.slopes, rtol=1e-6, atol=1e-8)


class Steps(torch.nn.Module):
    """Rounds to multiples of 1/8, so that every derivative is zero."""

    def forward(self, x):
        return (8 * x).round() / 8


def test_a_function_without_derivatives_still_has_differences():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 40), Steps(), torch.nn.Linear(40, 3), Steps()).double()
    images, labels = torch.randn(200, 5).double(), torch.arange(200) % 3
    smooth = torch.nn.Sequential(*[layer for layer in model if not isinstance(layer, Steps)])
    slopes = {}
    V = torch.randn(3, sum(one.numel() for one in model.parameters()), generator=generator(), dtype=torch.float64)
    for name, network, how in (
        ("steps", model, "difference"),
        ("none", model, "forward"),
        ("smooth", smooth, "forward"),
    ):
        slopes[name] = weights(network, sample_loss, how, epsilon=0.05).measure(images, labels, V).slopes
    assert torch.equal(slopes["none"], torch.zeros(3, 1).double())
    torch.testing.assert_close(slopes["steps"], slopes["smooth"], rtol=0.2, atol=0.05)


def test_all_evaluations_see_one_dropout_mask_and_statistics_change_once():
    model, images, labels = case("mlp")
    model.append(torch.nn.Dropout(0.5))
    model.append(Follows())
    found, states, averages = [], [], []
    for measure in ("difference", "forward"):
        torch.manual_seed(5)
        model[-1].average = torch.zeros(3).double()
        method = replace(METHOD, measure=measure)
        found.append(estimate_from_weights(method, model, sample_loss, images, labels, generator()).gradients)
        states.append(torch.get_rng_state())
        averages.append(model[-1].average.clone())
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert torch.equal(*states)
    assert torch.equal(*averages)


def test_weights_in_the_loss_are_refused():
    model, images, labels = case("mlp")
    weight = next(model.parameters())

    def penalised(outputs, targets):
        return sample_loss(outputs, targets) + weight.square().sum()

    with pytest.raises(NotImplementedError, match="reached otherwise than through its module"):
        estimate_from_weights(METHOD, model, penalised, images, labels, generator())


def test_what_rounding_keeps_from_moving():
    x, v = torch.tensor([1.0, 1.0, 0.0, 1e6, 1.0]), torch.tensor([1.0, 1e-3, 1e-3, 1.0, 0.0])
    assert share_lost((x,), (v,), 1e-3) == 1 / 4
    assert share_lost((x,), (v,), 1e-5) == 2 / 4
    assert share_lost((x,), (v,), 1e-9) == 3 / 4
    assert share_lost((x.double(),), (v.double(),), 1e-9) == 0


def test_wrong_methods_are_refused():
    model, images, labels = case("mlp")
    for epsilon in (None, 0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="needs an epsilon above 0"):
            replace(METHOD, epsilon=epsilon)
    with pytest.raises(ValueError, match="space of weights alone"):
        estimate_from_activities(METHOD, model, sample_loss, images, labels, generator())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("gradient.perturb=activities", "gradient.measure=difference: needs gradient.perturb=weights"),
        ("gradient.spacing=null", "gradient.spacing=null: must be a number above 0 with gradient.measure=difference"),
        ("gradient.spacing=0", "gradient.spacing=0: must be a finite number above 0"),
        ("tangents=regenerated", "tangents=regenerated: needs a network and a forward gradient with"),
        ("tangents=local", "tangents=local: needs the layers of a network"),
        ("tangents=normalised gradient.spacing=2e-7", "gradient.spacing=2e-07: is lost in rounding for "),
        ("gradient.spacing=1e-12", "gradient.spacing=1e-12: must be above 1e-07, the precision of torch.float32"),
        (
            "objective=rosenbrock objective.dtype=float32 gradient.spacing=1e-9",
            "gradient.spacing=1e-09: must be above 1e-07",
        ),
    ],
)
def test_wrong_requests_are_refused_in_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FROG_RUNS", str(tmp_path))
    usual = ["learning_rate=0.01", "gradient.measure=difference"]
    usual += [] if "perturb" in words or "objective" in words else ["gradient.perturb=weights"]
    assert main(["train", *usual, *words.split()]) == 2
    assert capsys.readouterr().err.startswith(f"frog: {message}")
    assert not list(tmp_path.glob("*/summary.json"))


def test_dropout_without_a_module_runs_as_it_is(runs, tmp_path):
    """Whose recording could not draw the same mask for each evaluation."""
    ideas = tmp_path / "my_ideas.py"
    ideas.write_text(
        "import torch\nfrom torch import nn\nfrom frog_cli import ideas\n\n\nclass Drops(nn.Module):\n"
        "    def forward(self, x):\n        return nn.functional.dropout(x, 0.5, self.training)\n\n\n@ideas.model\n"
        'def drops(image, classes):\n    """Drops out."""\n'
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 9), Drops(), nn.Linear(9, classes))\n"
    )
    words = [f"ideas=[{ideas}]", "model=drops", "data.limit=64", "epochs=1", "learning_rate=0.01", "gradient=mean"]
    for more in (["gradient.measure=difference"], ["gradient.measure=forward", "gradient.chunk_size=2"]):
        with pytest.warns(SlowIdeaWarning, match="set the state of random numbers anew"):
            assert train(*words, "gradient.k=4", "gradient.perturb=weights", *more) == "completed"


def test_a_run_goes_on_from_where_rounding_leaves_nothing_of_epsilon(runs, tmp_path, monkeypatch):
    ideas = tmp_path / "my_ideas.py"
    ideas.write_text(
        "from frog_cli import ideas\n\n\n@ideas.function(start=0.0)\ndef slide(x):\n"
        '    """Down without end."""\n    return -x.sum(-1)\n'
    )
    words = [f"ideas=[{ideas}]", "objective=slide", "objective.n=4", "objective.dtype=float32", "gradient=mean"]
    words += ["gradient.k=8", "gradient.measure=difference", "learning_rate=1e5", "steps=20", "record_every=5"]
    words += ["diverged_above=null", "early_stopping.patience=null", "checkpoint.rows=1"]
    original, rows = RunFolder.record, []

    def record(self, metrics, timings):
        original(self, metrics, timings)
        rows.append(metrics)
        if len(rows) == 4:
            raise RuntimeError("the machine is gone")

    monkeypatch.setattr(RunFolder, "record", record)
    assert main(["train", *words]) == 1
    assert main(["train", *words]) == 0


@pytest.mark.parametrize("seeds", ["1", "200"])
def test_whether_epsilon_is_too_small_does_not_depend_on_other_seeds(seeds, runs, monkeypatch):
    monkeypatch.setattr(curve, "draw_curve", lambda *_: None)  # 200 pictures take longer than 200 runs
    words = ["objective=sphere", "objective.n=64", "gradient=mean", "gradient.k=2", "gradient.measure=difference"]
    words += [
        "tangents=normalised",
        "gradient.spacing=2e-6",
        "learning_rate=0.01",
        "steps=3",
        "objective.dtype=float32",
    ]
    assert main(["train", *words, f"seeds={seeds}"]) == 0


def train(*words: str) -> str:
    request = train_request(words)
    (result,) = execution.carry_out(request, runs_location(), quiet=True)
    return result.folder.finished()["outcome"]


def test_a_function_is_minimised_as_with_derivatives(tmp_path, monkeypatch):
    ends = []
    for measure in ("difference", "forward"):
        monkeypatch.setenv("FROG_RUNS", str(tmp_path / measure))
        words = ["objective=sphere", "objective.n=8", "objective.dtype=float64", "learning_rate=0.02", "steps=50"]
        assert main(["train", *words, "gradient=mean", "gradient.k=4", f"gradient.measure={measure}"]) == 0
        (metrics,) = (tmp_path / measure).glob("*/metrics.csv")
        ends.append(float(metrics.read_text().splitlines()[-1].split(",")[1]))
    assert ends[0] == pytest.approx(ends[1], rel=1e-6)


def test_differences_are_of_the_function_that_forward_mode_sees():
    """Torch's fast path for transformers in evaluation gives other outputs where keys are masked."""
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dtype=torch.float64)
    encoder = torch.nn.TransformerEncoder(layer, 2).eval()
    mask = torch.tensor([[False, False, True], [False, True, True]])

    class Masked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = encoder

        def forward(self, x):
            return self.encoder(x, src_key_padding_mask=mask)

    model, inputs, targets = Masked(), torch.randn(2, 3, 8).double(), torch.zeros(2, 3, 8).double()
    n = sum(one.numel() for one in model.parameters())
    V = torch.randn(3, n, generator=torch.Generator().manual_seed(1)).double()

    def squares(outputs, targets):
        return (outputs - targets).square().flatten(1).mean(1)

    found = {how: weights(model, squares, how, epsilon=1e-5).measure(inputs, targets, V) for how in MEASURES}
    for how in MEASURES:
        torch.testing.assert_close(found[how].loss, found["simulated"].loss)
        torch.testing.assert_close(found[how].slopes, found["simulated"].slopes, rtol=1e-5, atol=1e-7)


MEASURES = "forward", "simulated", "difference"
