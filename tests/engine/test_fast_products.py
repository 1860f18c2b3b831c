from __future__ import annotations

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from frog_cli.engine import fast_products as matrix_products
from frog_cli.engine.fast_products import matrix_product, with_fast_products

SHAPES = [
    ((64, 784), (784, 256)),
    ((64, 784), (3, 784, 30)),
    ((3, 40, 300), (300, 200)),
    ((5, 7), (7, 3)),
    ((3, 4, 5), (3, 5, 6)),
]


@pytest.fixture
def faster_here(monkeypatch):
    """As on a processor where oneDNN is faster."""
    if not matrix_products.AVAILABLE:
        pytest.skip("needs oneDNN and MKL")
    monkeypatch.setattr(matrix_products, "FASTER_HERE", True)


def factors(left, right, dtype, generator):
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in (left, right)]


@pytest.mark.parametrize(("left", "right"), SHAPES)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_are_exact_but_for_rounding(left, right, transposed, dtype, generator, monkeypatch):
    monkeypatch.setattr(matrix_products, "FASTER_HERE", matrix_products.AVAILABLE)
    x, y = factors(left, right, dtype, generator)
    if transposed:
        x, y = (factor.mT.contiguous().mT for factor in (x, y))
    expected = x.double() @ y.double()
    # of sums of up to 784 numbers; oneDNN's was 2 eps with AVX-512 and 4.2 eps without
    assert (matrix_product(x, y) - expected).norm() <= 8 * torch.finfo(dtype).eps * expected.norm()


@pytest.mark.usefixtures("faster_here")
@pytest.mark.parametrize(
    "product",
    [
        lambda x, weight, bias: x @ weight,
        lambda x, weight, bias: torch.addmm(bias, x, weight),
        lambda x, weight, bias: torch.nn.functional.linear(x.unflatten(0, (2, -1)), weight.mT.contiguous(), bias),
    ],
    ids=["mm", "addmm", "linear"],
)
def test_recordings_take_the_fast_product_where_it_pays(product, generator):
    x, weight = factors(*SHAPES[0], torch.float32, generator)
    arguments = x, weight, torch.ones(256)
    recording = with_fast_products(make_fx(product)(*arguments))
    assert "mkldnn" in recording.code
    torch.testing.assert_close(recording(*arguments), product(*arguments), rtol=1e-5, atol=1e-4)
    for unfit in ([x[:2], *arguments[1:]], [argument.double() for argument in arguments]):
        assert "mkldnn" not in with_fast_products(make_fx(product)(*unfit)).code


@pytest.mark.usefixtures("faster_here")
@pytest.mark.parametrize("rows", [matrix_products.LONG, matrix_products.LONG + 1])
def test_recordings_take_long_sums_for_convolutions(rows, generator):
    """The weight gradient of a linear layer for many samples, also where they make no batch of images."""
    x, cotangent = factors((rows, 40), (rows, 30), torch.float32, generator)
    recording = with_fast_products(make_fx(lambda x, cotangent: cotangent.mT @ x)(x, cotangent))
    assert "sum_of_outer_products" in recording.code
    expected = cotangent.double().mT @ x.double()
    assert (recording(x, cotangent) - expected).norm() <= 1e-6 * expected.norm()
    few = [factor[:10].contiguous() for factor in (x, cotangent)]
    assert "sum_of_outer_products" not in with_fast_products(make_fx(lambda x, y: y.mT @ x)(*few)).code


@pytest.mark.usefixtures("faster_here")
def test_products_of_products_are_replaced_both(generator):
    x = torch.randn(128, 128, generator=generator)
    recording = with_fast_products(make_fx(lambda x: x @ x @ x)(x))
    assert recording.code.count("mkldnn") == 2
    torch.testing.assert_close(recording(x), x @ x @ x, rtol=1e-5, atol=1e-3)


def test_where_mkl_is_faster_recordings_stay_as_they_are(monkeypatch, generator):
    monkeypatch.setattr(matrix_products, "FASTER_HERE", False)
    x = torch.randn(2 * matrix_products.LONG, 64, generator=generator)
    recording = make_fx(lambda x: x @ (x.mT @ x))(x)
    assert "mkldnn" not in with_fast_products(recording).code
    assert "sum_of_outer_products" not in recording.code
