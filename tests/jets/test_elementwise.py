"""Functions of each entry."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch.func import jvp

from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import measure_second_order
from tests.jets.oracles import K, by_reverse_mode, check_case, randn


def seeded_rrelu(x, training):
    torch.manual_seed(0)
    return F.rrelu(x, training=training)


CASES = {
    "exp": torch.exp,
    "log": lambda x: (x * x + 1).log(),
    "log1p": lambda x: (x * x).log1p(),
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": F.relu,
    "abs": torch.abs,
    "gelu": F.gelu,
    "gelu by tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "softplus": F.softplus,
    "cube": lambda x: x**3,
    "square": lambda x: x**2,
    "one": lambda x: x**1,
    "root": lambda x: (x * x + 1) ** 0.5,
    "sqrt": lambda x: (x * x + 1).sqrt(),
    "rsqrt": lambda x: (x * x + 1).rsqrt(),
    "to the power": lambda x: (x * x + 1) ** x,
    "power of two": lambda x: 2**x,
    "reciprocal": lambda x: 1 / (x * x + 1),
    "to powers": lambda x: x ** torch.tensor([2.0, 3.0, 4.0, 1.0, 0.0, 2.0]).double(),
    "to a power": lambda x: (x * x) ** torch.tensor(1.5).double(),
    "negative to whole powers": lambda x: (-x * x - 1) ** torch.tensor([2.0, 3.0, 1.0] * 2).double(),
    "powers of 1 and 2": lambda x: torch.tensor([1.0, 2.0] * 3).double() ** (x * x + 1),
    "softplus of a slope": lambda x: F.softplus(x.sin(), 2, 1),
    "zeroth power": lambda x: x.sin() ** 0 * x,
    "negative power": lambda x: (x * x + 1) ** -1,
    "erf": torch.erf,
    "curved erf": lambda x: (x * x).erf(),
    "expm1": lambda x: (x * x).expm1(),
    "arctangent": lambda x: (x * x).atan(),
    "log sigmoid": lambda x: F.logsigmoid(x * x * x),
    "learnt slopes": (lambda x, slope: F.prelu(x.sin(), slope), (2, 3, 4), (3,)),
    "curved": lambda x: (x * x).sin(),
    "curved tangent": lambda x: (x * x).tan(),
    "hyperbolic sine": lambda x: (x * x).sinh(),
    "hyperbolic cosine": lambda x: (x * x).cosh(),
    "exponential of base 2": lambda x: (x * x).exp2(),
    "logarithm of base 2": lambda x: (x * x + 1).log2(),
    "logarithm of base 10": lambda x: (x * x + 1).log10(),
    "complementary erf": lambda x: (x * x).erfc(),
    "random slopes": lambda x: seeded_rrelu(x.sin(), training=True),
    "mean slopes": lambda x: F.rrelu(x.sin()),
    "gated": lambda x: F.glu(x * x, 1),
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])


def test_far_out_the_complementary_error_function_keeps_its_digits():
    x, unit = torch.tensor([4.0]), [torch.ones(1, 1)]
    found = measure_second_order(lambda x: -x.erfc().log().sum(), [x], unit)
    expected = measure_second_order(lambda x: -x.erfc().log().sum(), [x.double()], [unit[0].double()])
    torch.testing.assert_close([one.double() for one in found], list(expected), rtol=1e-4, atol=0)
    torch.testing.assert_close(expected[1], torch.tensor([8.2409]).double(), rtol=1e-3, atol=0)


def test_powers_of_zero():
    base, x, tangents = torch.tensor([0.0, 2.0]).double(), randn(2).square() + 1, randn(K, 2, seed=1)
    _, slopes, _ = forward(lambda x: (base**x, ()), (x,), (tangents,))
    torch.testing.assert_close(slopes, torch.stack([jvp(lambda x: base**x, (x,), (v,))[1] for v in tangents]))


@pytest.mark.parametrize("base", [torch.tensor(-2.0).double(), -2.0], ids=["tensor", "number"])
def test_powers_of_a_negative_base_vary_where_the_exponent_does_not(base):
    x, w, tangents = randn(3), torch.tensor([2.0, 3.0, 1.0]).double(), [randn(K, 3, seed=1), torch.zeros(K, 3).double()]
    value, slopes, curvature = measure_second_order(lambda x, w: ((base**w) * x.tanh()).sum(), [x, w], tangents)
    expected = by_reverse_mode(lambda x: ((base**w) * x.tanh()).sum(), [x], tangents[:1])
    torch.testing.assert_close((value, slopes, curvature), expected)
    both = measure_second_order(lambda x, w: ((-2 - x * x) ** w).sum(), [x, w], tangents)
    expected = by_reverse_mode(lambda x: ((-2 - x * x) ** w).sum(), [x], tangents[:1])
    torch.testing.assert_close(both, expected)
    along_both = forward(lambda x, w: ((-2 - x * x) ** w, ()), (x, w), (tangents[0], tangents[0]))
    torch.testing.assert_close(along_both[0], (-2 - x * x) ** w)
    assert along_both[1].isnan().all()  # there is no real number for it


@pytest.mark.parametrize("exponent", [1.5, 1.01])
def test_what_does_not_vary_has_no_curvature_where_a_power_has_an_infinite_one(exponent):
    x = torch.tensor([-1.0, 2.0]).double()
    found = measure_second_order(lambda x: (x.relu() ** exponent).sum(), (x,), (torch.eye(2).double(),))
    curved = exponent * (exponent - 1) * 2 ** (exponent - 2)
    torch.testing.assert_close(found[2], torch.tensor([[0, 0], [0, curved]]).double())
    at_zero = measure_second_order(
        lambda x: (x**exponent).sum(), (torch.zeros(1).double(),), (torch.ones(1, 1).double(),)
    )
    assert at_zero[2].isinf()
