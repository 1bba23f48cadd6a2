"""The Fréchet root in blocks, its eigenvalues by SciPy's LAPACK: nothing changes against plain products and torch's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from scores import normal

from streaming_metrics.features import Features
from streaming_metrics.measures import eigenvalues, gaussian
from streaming_metrics.measures.eigenvalues import symmetric_eigenvalues
from streaming_metrics.measures.gaussian import Gaussian, frechet_distance
from streaming_metrics.statistics import Moments

if TYPE_CHECKING:
    from torch import Tensor

WIDTH = 300
"""Features: more than two blocks and a tile of the congruence."""
SIZES = {
    "full rank": (700, 600),
    "N = D + 1": (301, 302),
    "few real": (50, 600),
    "few fake": (600, 50),
    "few": (60, 50),
}
RELATIVE, OF_THE_TRACES = 1e-9, 1e-13


def fitted(features: Tensor) -> Gaussian:
    moments = Moments(features.shape[1])
    return Gaussian(moments, moments.update(moments.empty(), Features(pool=features)), len(features))


def symmetric(width: int) -> Tensor:
    half = normal(0, width, width).double()
    return half + half.T


def plainly(x: Gaussian, y: Gaussian) -> Tensor:
    """The distance by products of whole matrices, and torch's eigenvalues."""
    lower, higher = (y, x) if y.rank < x.rank else (x, y)
    root = torch.empty_like(lower.root.factor)
    root[lower.root.order] = lower.root.factor
    shared = torch.linalg.eigvalsh(root.T @ higher.covariance @ root).clamp(min=0).sqrt().sum()
    return (x.mean - y.mean).square().sum() + x.trace + y.trace - 2 * shared


def assert_as_plain(real: Tensor, fake: Tensor) -> None:
    x, y = fitted(real), fitted(fake)
    value, expected = float(frechet_distance(x, y)), float(plainly(x, y))
    rounding = OF_THE_TRACES * float(x.trace + y.trace)
    assert value == pytest.approx(expected, rel=RELATIVE, abs=rounding)
    assert value == float(frechet_distance(fitted(real), fitted(fake)))  # the same bits each time


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("decades", [0, 3, 8])
@pytest.mark.parametrize(("n", "m"), SIZES.values(), ids=SIZES)
def test_nothing_changes_at_any_rank_and_condition(n: int, m: int, decades: int, dtype: torch.dtype) -> None:
    scales = torch.logspace(0, -decades, WIDTH)
    assert_as_plain((normal(0, n, WIDTH) * scales).to(dtype), (normal(1, m, WIDTH, 0.1, 1.2) * scales).to(dtype))


@pytest.mark.parametrize("apart", [1e-2, 1e-4, 1e-6])
def test_nothing_changes_between_near_equals_whose_traces_cancel(apart: float) -> None:
    real = normal(0, 700, WIDTH).double() * torch.logspace(0, -3, WIDTH)
    assert_as_plain(real, real + apart * normal(1, 700, WIDTH))


def test_nothing_changes_where_features_are_mixed() -> None:
    mix, scales = normal(2, WIDTH, WIDTH), torch.logspace(0, -4, WIDTH)
    assert_as_plain(normal(0, 700, WIDTH) * scales @ mix, normal(1, 600, WIDTH) * scales @ mix)


@pytest.mark.parametrize("width", [0, 1, 2, 3, 65])
def test_eigenvalues_are_torchs(width: int) -> None:
    matrix = symmetric(width)
    noise = torch.full_like(matrix, torch.nan).triu(1)
    for scale in (1e-300, 1.0, 1e300):
        values = symmetric_eigenvalues(scale * matrix + noise) / scale
        torch.testing.assert_close(values, torch.linalg.eigvalsh(matrix), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_a_number_that_is_not_finite_is_told_as_torch_tells_it(number: float) -> None:
    matrix = symmetric(9)
    matrix[-1, 0] = number
    with pytest.raises(RuntimeError, match="failed to converge"):
        symmetric_eigenvalues(matrix)


def test_torch_answers_where_lapack_finds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = symmetric(9)
    monkeypatch.setattr(eigenvalues, "of_tridiagonal", lambda diagonal, _: (diagonal, 1))
    assert torch.equal(symmetric_eigenvalues(matrix), torch.linalg.eigvalsh(matrix))


@pytest.mark.parametrize("rank", [1, 127, 128, 129, 255, 256, 257, WIDTH])
def test_every_block_of_the_congruence_is_there(rank: int) -> None:
    factor = normal(0, WIDTH, rank).double().tril()
    order = torch.randperm(WIDTH, generator=torch.Generator().manual_seed(0))
    covariance = symmetric(WIDTH)
    sorted_ = covariance[order][:, order]
    expected = (factor.T @ sorted_ @ factor).tril()
    found = gaussian.congruent(covariance, gaussian.Root(factor, order)).tril()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-9)
