from __future__ import annotations

import pytest
import torch

from frog_cli.gradients.step_rules import hyperplane_step, line_step


def matrix(K: int, seed: int = 0) -> torch.Tensor:
    A = torch.randn(K, K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return A + A.mT


def test_line_step_divides_by_the_absolute_curvature():
    slopes, curvature = torch.tensor([[3.0], [3.0]]), torch.tensor([[[2.0]], [[-2.0]]])
    assert line_step(slopes, curvature, damping=0.0).tolist() == [[1.5], [1.5]]
    assert line_step(slopes, curvature, damping=1.0).tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize("K", [1, 2, 5])
def test_hyperplane_step_solves(K):
    H, d = matrix(K), torch.arange(1.0, K + 1).double()
    torch.testing.assert_close(H @ hyperplane_step(d, H, absolute=False), d)


def test_absolute_eigenvalues_always_go_downhill():
    for seed in range(50):
        H, d = matrix(4, seed), torch.ones(4).double()
        assert hyperplane_step(d, H, absolute=True) @ d > 0
    values, vectors = torch.linalg.eigh(matrix(4))
    expected = vectors @ ((vectors.mT @ d) / values.abs())
    torch.testing.assert_close(hyperplane_step(d, matrix(4), absolute=True), expected)


def test_on_positive_curvature_both_agree():
    H = matrix(3) @ matrix(3)
    d = torch.ones(3).double()
    torch.testing.assert_close(hyperplane_step(d, H, absolute=True), hyperplane_step(d, H, absolute=False))


def test_singular_curvature_gets_jitter():
    H, d = torch.ones(2, 2).double(), torch.ones(2).double()
    found = hyperplane_step(d, H, absolute=False)
    torch.testing.assert_close(H @ found, d, rtol=1e-5, atol=0)  # (1 / 2, 1 / 2) is one of its solutions


@pytest.mark.parametrize("absolute", [True, False])
def test_what_has_no_solution_is_nan_and_no_other_step(absolute):
    slopes = torch.ones(3, 2).double()
    curvature = torch.stack([torch.zeros(2, 2), torch.eye(2), torch.full((2, 2), torch.nan)]).double()
    found = hyperplane_step(slopes, curvature, absolute=absolute)
    assert found.isnan().all(-1).tolist() == [True, False, True]
    torch.testing.assert_close(found[1], slopes[1])


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("K", [3, 5, 7, 8])
def test_a_step_is_the_same_to_the_last_bit_whichever_stand_beside_it(K, absolute):
    """LAPACK's eigenvectors depended on where a matrix began in memory, for K = 5 and 7 on one of AMD's processors."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        slopes = torch.randn(5, K, generator=generator, dtype=torch.float64)
        factor = torch.randn(5, K, K, generator=generator, dtype=torch.float64)
        together = hyperplane_step(slopes, factor + factor.mT, absolute=absolute)
        for i in range(5):
            pair = hyperplane_step(slopes[[i, i]], (factor + factor.mT)[[i, i]], absolute=absolute)
            assert torch.equal(pair[0], together[i])


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_curvature_that_is_singular_but_for_rounding_gets_the_smallest_step(dtype, absolute):
    """As that of a softmax is along equal shifts of all outputs; rounding alone would make steps of any length."""
    generator = torch.Generator().manual_seed(3)
    for _ in range(20):
        J = torch.randn(6, 4, generator=generator, dtype=torch.float64)
        slopes = J @ torch.randn(4, generator=generator, dtype=torch.float64)
        expected = torch.linalg.pinv(J @ J.mT, hermitian=True, rtol=1e-10) @ slopes
        found = hyperplane_step(slopes.to(dtype), (J @ J.mT).to(dtype), absolute=absolute)
        assert (J @ J.mT @ found.double() - slopes).norm() < 1e-3 * slopes.norm()
        assert (found.double() - expected).norm() < (1 if dtype == torch.float32 else 1e-5) * expected.norm()
