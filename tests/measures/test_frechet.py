"""FID against two independent formulas, three peers, closed forms, and numerics made to break it."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import pytorch_fid_distance
from scipy import linalg
from scores import normal, score
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image.fid import _compute_fid as torchmetrics_fid

from streaming_metrics import FID, RFID, BiasWarning, Features, GenerativeMetrics, MiFID, NotEnoughSamples
from streaming_metrics.measures import gaussian

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

SEEDS = st.integers(0, 2**31 - 1)
pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")  # rows repeat on purpose
few = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
some_seeds = settings(max_examples=8, deadline=None)


def fid(real: Tensor, fake: Tensor) -> float:
    return score(FID(), real, fake)["fid"]


def two_pass(features: Tensor) -> tuple[np.ndarray, np.ndarray]:
    x = features.double().numpy()
    return x.mean(0), np.atleast_2d(np.cov(x, rowvar=False))


def textbook(real: Tensor, fake: Tensor) -> float:
    """‖Δμ‖² + tr(Σx + Σy − 2(ΣxΣy)^½), the root by the eigenvalues of the unsymmetric product."""
    (mean_x, cov_x), (mean_y, cov_y) = two_pass(real), two_pass(fake)
    root = np.sqrt(linalg.eigvals(cov_x @ cov_y).astype(complex)).real.sum()
    return ((mean_x - mean_y) ** 2).sum() + np.trace(cov_x) + np.trace(cov_y) - 2 * root


def nuclear(real: Tensor, fake: Tensor) -> float:
    """The same without covariances: the trace of the root is the nuclear norm of Xc·Ycᵀ, accurate at any rank."""
    x, y = real.double().numpy(), fake.double().numpy()
    xc, yc = x - x.mean(0), y - y.mean(0)
    n, m = len(x) - 1, len(y) - 1
    root = np.linalg.svd(xc @ yc.T, compute_uv=False).sum() / math.sqrt(n * m)
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + (xc**2).sum() / n + (yc**2).sum() / m - 2 * root


def whole(root: gaussian.Root) -> Tensor:
    """L with its rows in the order of the features."""
    dense = torch.empty_like(root.factor)
    dense[root.order] = root.factor
    return dense


# --- oracles and peers ------------------------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 12), st.integers(20, 90), st.integers(20, 90))
@some_seeds
def test_equals_two_pass_float64(seed: int, width: int, n: int, m: int) -> None:
    real, fake = normal(seed, n, width), normal(seed + 1, m, width, 0.3, 1.4)
    assert fid(real, fake) == pytest.approx(textbook(real, fake), rel=1e-8)
    assert fid(real, fake) == pytest.approx(nuclear(real, fake), rel=1e-10)


@pytest.mark.parametrize("width", [63, 64, 65, 129])
def test_equals_two_pass_float64_at_widths_around_a_message(width: int) -> None:
    real, fake = normal(0, 300, width), normal(1, 260, width, 0.1, 1.2)
    assert fid(real, fake) == pytest.approx(textbook(real, fake), rel=1e-10)


@pytest.mark.parametrize(("n", "m", "width"), [(300, 200, 16), (500, 700, 64), (100, 400, 3)])
@given(seed=SEEDS)
@settings(max_examples=3, deadline=None)
def test_equals_the_peers(n: int, m: int, width: int, seed: int) -> None:
    mix = normal(seed, width, width)
    real, fake = normal(seed + 1, n, width).abs() @ mix, normal(seed + 2, m, width, 0.2).abs() @ mix
    ours = fid(real, fake)
    stats = two_pass(real), two_pass(fake)
    theirs = [fid_features_to_statistics(features) for features in (real, fake)]
    assert ours == pytest.approx(pytorch_fid_distance(*stats[0], *stats[1]), rel=1e-4)
    assert ours == pytest.approx(fid_statistics_to_metric(*theirs, False)["frechet_inception_distance"], rel=1e-4)
    assert ours == pytest.approx(
        torchmetrics_fid(*(torch.from_numpy(part) for stat in stats for part in stat)).item(), rel=1e-4
    )


# --- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 5, 8, 21])
@pytest.mark.parametrize("spare", [0, 2])
def test_the_lower_triangle_is_all_that_eigenvalues_need(
    width: int, spare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaussian, "BLOCK", 8)
    half = normal(0, width, width).double()
    covariance = half @ half.T
    root = gaussian.square_root(half.T @ half, max(1, width - spare))
    dense = whole(root)
    expected = (dense.T @ covariance @ dense).tril()
    torch.testing.assert_close(gaussian.congruent(covariance, root).tril(), expected, rtol=1e-12, atol=1e-10)


@given(SEEDS)
@some_seeds
def test_a_shift_costs_its_squared_length(seed: int) -> None:
    real, shift = normal(seed, 60, 5).double(), normal(seed + 1, 1, 5).double()
    assert fid(real, real + shift) == pytest.approx(shift.square().sum().item(), rel=1e-9)


@given(SEEDS, st.floats(0.1, 10))
@some_seeds
def test_scaling_about_the_mean_costs_the_trace(seed: int, scale: float) -> None:
    real = normal(seed, 60, 5).double()
    real -= real.mean(0)
    expected = (scale - 1) ** 2 * real.T.cov().trace().item()
    assert fid(real, scale * real) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_diagonal_gaussians() -> None:
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3).double()
    a, b = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 1.0, 0.5])
    unbiased = len(signs) / (len(signs) - 1)
    assert fid(signs * a, signs * b + 1) == pytest.approx(unbiased * (a - b).square().sum().item() + 3, rel=1e-12)


# --- numerics ---------------------------------------------------------------------------------------------------------


@given(SEEDS, st.sampled_from([-1e5, 1e5]))
@some_seeds
def test_mean_of_1e5_deviations(seed: int, mean: float) -> None:
    real, fake = normal(seed, 400, 8, mean), normal(seed + 1, 300, 8, mean, 1.1)
    assert fid(real, fake) == pytest.approx(textbook(real, fake), rel=1e-6)
    assert fid(real, fake) == pytest.approx(nuclear(real, fake), rel=1e-9)


def dead(features: Tensor) -> Tensor:
    return features * (torch.arange(features.shape[1]) % 2)


def doubled(features: Tensor) -> Tensor:
    return features.repeat_interleave(2, 1)


DEGENERATE: dict[str, tuple[Callable[[int], Tensor], Callable[[int], Tensor]]] = {
    "n < D": (lambda s: normal(s, 20, 64), lambda s: normal(s, 30, 64, 0.1)),
    "n < D < m": (lambda s: normal(s, 20, 64), lambda s: normal(s, 300, 64, 0.1)),
    "m < D < n": (lambda s: normal(s, 300, 64), lambda s: normal(s, 20, 64, 0.1)),
    "n = D": (lambda s: normal(s, 64, 64), lambda s: normal(s, 64, 64)),
    "n < D at mean 1e5": (lambda s: normal(s, 20, 64, 1e5), lambda s: normal(s, 30, 64, 1e5)),
    "two samples": (lambda s: normal(s, 2, 8), lambda s: normal(s, 2, 8, 1.0)),
    "two samples of one feature": (lambda s: normal(s, 2, 1), lambda s: normal(s, 2, 1, 1.0)),
    "dead columns": (lambda s: dead(normal(s, 99, 16)), lambda s: dead(normal(s, 90, 16))),
    "doubled columns": (lambda s: doubled(normal(s, 99, 8)), lambda s: doubled(normal(s, 90, 8))),
    "dead columns in real": (lambda s: dead(normal(s, 99, 16)), lambda s: normal(s, 90, 16)),
    "doubled rows": (lambda s: normal(s, 40, 16).repeat(2, 1), lambda s: normal(s, 40, 16).repeat(3, 1)),
    "doubled rows, rank < D": (lambda s: normal(s, 9, 16).repeat(5, 1), lambda s: normal(s, 9, 16).repeat(4, 1)),
    "constant real": (lambda s: normal(s, 30, 4, 3.0, 0.0), lambda s: normal(s, 30, 4)),
    "constant fake": (lambda s: normal(s, 30, 4), lambda s: normal(s, 30, 4, 3.0, 0.0)),
    "constant both": (lambda s: normal(s, 30, 4, 3.0, 0.0), lambda s: normal(s, 40, 4, 5.0, 0.0)),
    "tiny": (lambda s: 1e-15 * normal(s, 50, 8), lambda s: 1e-15 * normal(s, 50, 8, 0.5)),
    "huge": (lambda s: 1e13 * normal(s, 50, 8), lambda s: 1e13 * normal(s, 50, 8, 0.5)),
    "columns of scales 1 to 1e-6": (
        lambda s: normal(s, 99, 16) * torch.logspace(0, -6, 16),
        lambda s: normal(s, 90, 16) * torch.logspace(0, -6, 16),
    ),
}


@pytest.mark.parametrize(("distinct", "times", "width"), [(20, 100, 64), (20, 40, 300), (100, 10, 200)])
def test_the_root_of_repeated_rows_has_no_column_of_rounding(distinct: int, times: int, width: int) -> None:
    rows = normal(0, distinct, width).double().abs() + 3
    covariance = torch.cov(rows.repeat(times, 1).T)
    root = whole(gaussian.square_root(covariance, distinct * times - 1))
    assert root.shape == (width, distinct - 1)
    torch.testing.assert_close(root @ root.T, covariance, rtol=1e-10, atol=1e-10)


@few
@pytest.mark.parametrize(("real", "fake"), DEGENERATE.values(), ids=DEGENERATE)
@given(seed=SEEDS)
@settings(max_examples=4, deadline=None)
def test_degenerate_features(real: Callable[[int], Tensor], fake: Callable[[int], Tensor], seed: int) -> None:
    x, y = real(seed), fake(seed + 1)
    assert fid(x, y) == pytest.approx(nuclear(x, y), rel=1e-9)
    assert fid(y, x) == pytest.approx(nuclear(x, y), rel=1e-7)


@few
@pytest.mark.parametrize("make", [make for pair in DEGENERATE.values() for make in pair])
def test_identical_sets_are_at_zero(make: Callable[[int], Tensor]) -> None:
    features = make(7)
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(1))
    rounding = 1e-12 * features.double().var(0).sum().item()
    assert 0 <= fid(features, features) <= rounding
    assert 0 <= fid(features, features[order]) <= rounding


@given(SEEDS)
@some_seeds
def test_is_symmetric_and_not_negative(seed: int) -> None:
    real, fake = normal(seed, 50, 6), normal(seed + 1, 40, 6, 0.5)
    assert fid(real, fake) == pytest.approx(fid(fake, real), rel=1e-10)
    assert fid(real, fake) > 0


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m"), [(8, 9), (9, 8), (5, 5)])
def test_few_samples_warn_of_bias_naming_the_role(n: int, m: int) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fid(normal(0, n, 8), normal(1, m, 8))
    assert [w.category for w in caught] == [BiasWarning] * sum(size <= 8 for size in (n, m))
    for size, role in ((n, "real"), (m, "fake")):
        told = f"FID from {size} {role} samples of 8 features: the covariance is singular"
        assert any(told in str(w.message) for w in caught) == (size <= 8)
    assert all("Remedy: more samples than features" in str(w.message) for w in caught)


@pytest.mark.parametrize(
    ("n", "m", "told"), [(0, 9, "real samples, got 0"), (1, 9, "real samples, got 1"), (9, 1, "fake samples, got 1")]
)
def test_fewer_than_two_samples_are_refused_by_role_and_count(n: int, m: int, told: str) -> None:
    with pytest.raises(NotEnoughSamples, match=f"FID needs at least 2 {told}. Remedy"):
        fid(normal(0, n, 2), normal(1, m, 2))


def test_measures_of_the_same_moments_share_the_distance_of_one_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    distance = gaussian.frechet_distance
    monkeypatch.setattr(gaussian, "frechet_distance", lambda *sides: made.append(1) or distance(*sides))
    metric = GenerativeMetrics([FID(), RFID(), MiFID()], extractor=None, num_features=4)
    for epoch in (1, 2):
        for seed, role in enumerate(metric.roles):
            drawn = torch.randn(30, 4, generator=torch.Generator().manual_seed(seed + epoch))
            metric.update(Features(drawn), role=role)
        values = metric.compute()
        assert len(made) == epoch
        assert values["rfd_features"] == values["fd_features"] > 0
