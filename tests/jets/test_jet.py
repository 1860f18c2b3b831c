"""The number: its dispatch, its order, what has no rule, what stops derivatives, rules laid over others."""

from __future__ import annotations

import pytest
import torch

from frog_cli.engine.recording import record
from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import RULES, Jet, evaluate, laid_over, may_have_rule, measure_second_order
from tests.cases import FUNCTIONS
from tests.jets.oracles import K, X, by_reverse_mode, randn, weigh


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradient_and_hessian_from_forward_passes(name):
    """The basis as directions gives the exact gradient and the whole Hessian (arXiv 2408.10419, Section 4.1)."""
    function, x = FUNCTIONS[name].function, randn(7)
    value, slopes, curvature = measure_second_order(function, [x], [torch.eye(7).double()])
    assert value == function(x)
    torch.testing.assert_close(slopes, torch.func.grad(function)(x), rtol=1e-12, atol=1e-12)
    hessian = torch.func.hessian(function)(x)
    torch.testing.assert_close(curvature, hessian, rtol=1e-12, atol=1e-12)
    u, v = randn(2, 7, seed=5)
    both = measure_second_order(function, [x], [torch.stack([u, v])])[2]
    assert both[0, 1].item() == pytest.approx((u @ hessian @ v).item(), rel=1e-12)


def test_many_points_at_once():
    function, points, V = FUNCTIONS["rosenbrock"].function, randn(5, 6), randn(2, 5, 6, seed=1)
    values, slopes, curvature = measure_second_order(function, [points], [V])
    assert (values.shape, slopes.shape, curvature.shape) == ((5,), (5, 2), (5, 2, 2))
    for index in range(5):
        _, slope, bend = measure_second_order(function, [points[index]], [V[:, index]])
        torch.testing.assert_close(slopes[index], slope, rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(curvature[index], bend, rtol=1e-13, atol=1e-13)


def test_what_has_no_rule_is_named():
    with pytest.raises(NotImplementedError, match=r"no forward-mode rule for the operation aten\.sinc"):
        measure_second_order(lambda x: x.sinc().sum(), [X], [randn(K, 4, 6)])


def without_gradient(x):
    with torch.no_grad():
        factor = torch.cat([x, x]).exp()[:4]
    return factor * x


@pytest.mark.parametrize(
    "stops",
    [lambda x: x.detach() * x, lambda x: x.data * x, lambda x: x * x + (x.round() - x).detach(), without_gradient],
    ids=["detach", "data", "straight through", "no_grad"],
)
def test_what_stops_the_reverse_mode_stops_the_forward_mode(stops):
    tangents = [randn(K, *X.shape, seed=1)]
    expected = by_reverse_mode(lambda x: weigh(stops(x)), [X], tangents)
    found = measure_second_order(lambda x: weigh(stops(x)), [X], tangents)
    torch.testing.assert_close(found, expected)
    value, slopes, _ = forward(lambda x: (weigh(stops(x)), ()), (X,), tuple(tangents))
    torch.testing.assert_close((value, slopes), expected[:2])


COMPLEX = {
    "fft": lambda x: torch.fft.fft(x).abs(), "fft2": lambda x: torch.fft.fft2(x).real,
    "fftn": lambda x: torch.fft.fftn(x).imag, "hfft": torch.fft.hfft, "irfft": lambda x: torch.fft.irfft(torch.fft.rfft(x)),
    "conversion": lambda x: x.to(torch.complex128).exp().real, "abs": lambda x: (x * 2j + x * x).abs(),
    "norm": lambda x: torch.linalg.vector_norm(x * 2j + x * x), "variance": lambda x: (x * 2j + x * x).var(),
    "parts": lambda x: torch.view_as_real(torch.complex(x, x * x).sin()),
    "product": lambda x: (x.to(torch.complex128) @ torch.complex(X.mT, X.mT.sin())).abs(),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_numbers_are_left_to_torch_or_refused(name):
    tangents = [randn(K, 4, 6, seed=1)]

    def function(x):
        return weigh(COMPLEX[name](x))

    value, slopes, _ = forward(lambda x: (function(x), ()), (X,), tuple(tangents))
    torch.testing.assert_close((value, slopes), by_reverse_mode(function, [X], tangents)[:2])
    with pytest.raises(NotImplementedError, match=r"no forward-mode rule for (complex numbers|the operation aten\.)"):
        measure_second_order(function, [X], tangents)


def test_no_grad_is_heeded_or_refused_where_an_operation_has_no_rule():
    with pytest.raises(NotImplementedError, match=r"torch\.no_grad in a model, together with"):
        forward(lambda x: (torch.sinc(without_gradient(x)).sum(), ()), (X,), (randn(K, *X.shape),))


class Rounded(torch.autograd.Function):
    """The straight-through estimator."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x.round()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, gradient):
        return gradient

    @staticmethod
    def jvp(ctx, tangent):
        return tangent.clone()


def test_a_derivative_of_ones_own_is_not_replaced():
    tangents = (randn(K, *X.shape, seed=1),)
    rounded = Rounded.apply
    expected = by_reverse_mode(lambda x: weigh(Rounded.apply(x) * x), [X], tangents)
    _, slopes, _ = forward(lambda x: (weigh(Rounded.apply(x) * x), ()), (X,), tangents)
    torch.testing.assert_close(slopes, expected[1])
    with pytest.raises(NotImplementedError, match="Rounded, which has a derivative of its own"):
        measure_second_order(lambda x: weigh(Rounded.apply(x)), (X,), tangents)
    assert rounded(X).equal(X.round())  # as ever


def test_what_does_not_depend_on_the_point_has_no_derivatives():
    value, slopes, curvature = measure_second_order(lambda x: torch.ones(()), [X], [randn(K, 4, 6)])
    assert (value, slopes.abs().sum(), curvature.abs().sum()) == (1, 0, 0)


def test_the_value_and_first_derivatives_are_computed_once():
    """K directions cost as many calls of an operation as one, however many pairs there are."""

    def calls(count: int) -> dict[str, int]:
        with torch.profiler.profile(acc_events=True) as profile:
            measure_second_order(lambda x: (x @ x.mT).tanh().sum(), [X], [randn(count, 4, 6)])
        return {
            event.key: event.count for event in profile.key_averages() if event.key in ("aten::tanh", "aten::matmul")
        }

    assert calls(1) == calls(5) != {}


def test_recording():
    function, points, V = FUNCTIONS["styblinski-tang"].function, randn(3, 6), randn(2, 3, 6, seed=1)

    def measured(points, V):
        return measure_second_order(function, (points,), (V,))

    for ours, expected in zip(record(measured, points, V)(points, V), measured(points, V), strict=True):
        assert torch.equal(ours, expected)


def test_rules_are_laid_over_the_table_for_a_while():
    sin, erfinv, before = torch.ops.aten.sin.default, torch.ops.aten.erfinv.default, dict(RULES)

    def by_rule(name="sin"):
        return evaluate(lambda x: getattr(x, name)(), [X], [randn(K, 4, 6)], 1).tolist()

    with laid_over({sin: lambda x: torch.tensor(1), erfinv: lambda x: torch.tensor(2)}):
        assert by_rule() == 1
        with laid_over({sin: lambda x: torch.tensor(3)}):
            assert by_rule() == 3
        assert by_rule() == 1
        with pytest.raises(RuntimeError, match="stopped"), laid_over({sin: lambda x: torch.tensor(3)}):
            raise RuntimeError("stopped")
        assert by_rule() == 1
        assert by_rule("erfinv") == 2
    assert before == RULES


def test_a_function_of_jets_may_have_a_rule_of_its_own():
    @may_have_rule
    def twice(x, factor=2):
        """Double."""
        return factor * x

    def first(*given, **named):
        return evaluate(lambda x: twice(x, *given, **named), [X], [randn(K, 4, 6)], 1)

    assert twice.__doc__ == "Double."
    assert isinstance(first(), Jet)
    with laid_over({twice: lambda x, factor=2: ("by rule", factor)}):
        assert first() == ("by rule", 2)
        assert first(factor=3) == ("by rule", 3)
        assert evaluate(lambda x: twice(1, factor=x), [X], [randn(K, 4, 6)], 1)[0] == "by rule"
        assert twice(X).equal(2 * X)
    assert isinstance(first(), Jet)
