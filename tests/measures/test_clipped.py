"""Clipped density and coverage against their definition; the expected coverage against exact fractions and draws."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import comb, factorial

import numpy as np
import pytest
import torch
from by_hand import compute, compute_unbound, lives
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom
from scores import normal

from streaming_metrics import BiasWarning, ClippedDensityCoverage, Features, NotEnoughSamples
from streaming_metrics.measures.clipped import calibrated, expected_coverage
from streaming_metrics.measures.jackknife import Jackknife
from streaming_metrics.measures.keys import scalar_of
from streaming_metrics.pairwise import ClippedBalls
from streaming_metrics.statistics import ClippedCounts

SEEDS = st.integers(0, 2**31 - 1)


def indexed(rows: torch.Tensor) -> Features:
    return Features(rows, index=torch.arange(len(rows)))


def ours(real: torch.Tensor, fake: torch.Tensor, k: int = 5) -> tuple[float, float]:
    """Both values, which must be the same in both forms."""
    measure, samples = ClippedDensityCoverage(k=k), {"real": indexed(real), "fake": indexed(fake)}
    bound, unbound = compute(measure, samples), compute_unbound(measure, samples)
    assert bound == unbound
    return bound["clipped_density"], bound["clipped_coverage"]


def by_definition(real: torch.Tensor, fake: torch.Tensor, k: int = 5) -> tuple[float, float]:
    x, y = real.double().numpy(), fake.double().numpy()
    among, between = (np.sqrt(((x[:, None] - side[None]) ** 2).sum(2)) for side in (x, y))
    np.fill_diagonal(among, np.inf)
    radii = np.sort(among, 1)[:, k - 1]
    clipped = np.minimum(radii, np.median(radii))[:, None]
    fidelity, own = (np.minimum((side <= clipped).sum(0) / k, 1).mean() for side in (between, among))
    share = np.minimum((between < radii[:, None]).sum(1) / k, 1).mean()
    return min(fidelity / own, 1.0), naively_calibrated(share, k, len(x), len(y))


def expected_by_scipy(k: int, n: int, m: int) -> float:
    inside = np.arange(m + 1)
    return float((np.minimum(inside, k) / k * betabinom.pmf(inside, m, k, n - k)).sum())


@lru_cache
def table_of(k: int, n: int, m: int) -> list[float]:
    return [0.0 if size < k else expected_by_scipy(k, n, size) for size in range(m + 1)]


def naively_calibrated(share: float, k: int, n: int, m: int) -> float:
    return float(np.searchsorted(table_of(k, n, m), share - 1e-12)) / (m + 1)  # the table is rounded at 1e-13


# --- value ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m", "width", "k"), [(7, 1, 1, 5), (40, 60, 3, 5), (61, 30, 32, 3), (12, 9, 2, 1)])
@given(seed=SEEDS)
def test_value_is_the_definition(n: int, m: int, width: int, k: int, seed: int) -> None:
    real, fake = normal(seed, n, width), normal(seed + 1, m, width, 0.1, 0.9)
    assert ours(real, fake, k) == pytest.approx(by_definition(real, fake, k), rel=1e-12, abs=0)


@pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
@given(seed=SEEDS, origin=st.sampled_from([0.0, 1e4]))
def test_edges_are_inside_of_clipped_balls_alone(seed: int, origin: float) -> None:
    real, fake = (torch.randint(7, (n, 2), generator=torch.Generator().manual_seed(seed)).float() for n in (31, 24))
    expected = by_definition(real, fake, 3)
    assert ours(real + origin, fake + origin, 3) == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
def test_identical_samples_have_whole_density_and_no_coverage() -> None:
    assert ours(torch.ones(9, 3), torch.ones(4, 3)) == (1, 0)  # open balls of radius 0 hold nothing


def test_copies_are_good_samples_that_cover() -> None:
    real = normal(0, 60, 8)
    assert ours(real, real) == (1, 1)


def test_samples_far_from_all_are_neither() -> None:
    assert ours(normal(0, 60, 8), normal(1, 40, 8, mean=50)) == (0, 0)


@pytest.mark.parametrize("share", [0.25, 0.7])
def test_of_a_share_of_good_samples_values_are_that_share(share: float) -> None:
    n, good = 800, int(800 * share)
    found = []
    for seed in range(4):
        fake = torch.cat([normal(10 + seed, good, 4), normal(20 + seed, n - good, 4, mean=100)])
        found.append(ours(normal(seed, n, 4), fake))
    assert np.mean(found, 0) == pytest.approx([share, share], abs=0.03)


def test_an_outlier_among_the_real_samples_makes_no_good_ones() -> None:
    real = torch.cat([normal(0, 200, 4), torch.full((1, 4), 40.0)])
    between = normal(1, 100, 4, mean=20)  # within the ball that the outlier spans
    assert ours(real, between) == (0, 5 / 101)  # one ball of 201 is covered, as of 5 samples; fewer are taken for 0


# --- calibration ------------------------------------------------------------------------------------------------------


def beta(a: int, b: int) -> Fraction:
    return Fraction(factorial(a - 1) * factorial(b - 1), factorial(a + b - 1))


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("beyond", [1, 2, 30])
@pytest.mark.parametrize("m", [1, 3, 5, 40])
def test_expected_coverage_is_the_sum_in_fractions(k: int, beyond: int, m: int) -> None:
    n = k + beyond
    terms = (Fraction(min(j, k), k) * comb(m, j) * beta(k + j, n + m - k - j) / beta(k, n - k) for j in range(m + 1))
    assert expected_coverage(k, n, m) == pytest.approx(float(sum(terms)), rel=1e-12)


@pytest.mark.parametrize(("k", "n", "m"), [(5, 50_000, 50_000), (5, 50_000, 500), (5, 2000, 50_000), (50, 9999, 7777)])
def test_expected_coverage_of_many_samples(k: int, n: int, m: int) -> None:
    assert expected_coverage(k, n, m) == pytest.approx(expected_by_scipy(k, n, m), rel=1e-8)


@pytest.mark.parametrize(("k", "n", "m"), [(1, 9, 12), (3, 20, 15), (5, 30, 60)])
def test_expected_coverage_is_the_mean_of_draws(k: int, n: int, m: int) -> None:
    """Of points on a line: whatever the distribution, the mass of a ball is the same beta variable."""
    random = np.random.RandomState(0)
    found = []
    for _ in range(2000):
        x, y = random.uniform(size=n), random.uniform(size=m)
        radii = np.sort(np.abs(x[:, None] - x), 1)[:, k]
        found.append((np.minimum((np.abs(x[:, None] - y) < radii[:, None]).sum(1), k) / k).mean())
    assert abs(np.mean(found) - expected_coverage(k, n, m)) < 4 * np.std(found) / len(found) ** 0.5


@pytest.mark.parametrize(("k", "n", "m"), [(5, 40, 60), (2, 9, 5), (5, 30, 3), (3, 500, 90)])
def test_calibration_finds_the_place_in_the_whole_table(k: int, n: int, m: int) -> None:
    for share in np.linspace(0, 1, 41):
        assert calibrated(share, k, n, m) == naively_calibrated(share, k, n, m)


def test_calibration_of_the_expected_coverage_is_its_size() -> None:
    for size in (5, 700, 49_999):
        assert calibrated(expected_coverage(5, 50_000, size), 5, 50_000, 50_000) == size / 50_001


# --- forms, states, what is said --------------------------------------------------------------------------------------


def test_a_frozen_side_leaves_counts_alone_of_generated_samples() -> None:
    measure, samples = (
        ClippedDensityCoverage(k=3),
        {"real": indexed(normal(0, 50, 3)), "fake": indexed(normal(1, 40, 3))},
    )
    found = lives(measure, samples, "real")
    assert {how: lived.values for how, lived in found.items()} == dict.fromkeys(found, compute(measure, samples))
    assert {how: lived.rows_kept for how, lived in found.items()} == dict.fromkeys(found, 0) | {"nothing frozen": 40}


@pytest.mark.parametrize(
    ("held", "holds", "told"), [(16, 2, "at most 5 balls a point"), (-1, 0, "at most"), (2, 4, "no more points in a")]
)
def test_states_that_cannot_be_are_refused(held: int, holds: int, told: str) -> None:
    counts = ClippedCounts(1, 5, ClippedBalls(torch.zeros(2, 1), torch.ones(2).double()))
    with pytest.raises(ValueError, match=told):
        counts.check({"points": torch.tensor(3), "held": torch.tensor(held), "holds": torch.tensor([holds, 0])})


@pytest.mark.parametrize("own", [[0], [101], [3, 3]])
def test_a_count_that_the_real_side_cannot_have_is_refused(own: list[int]) -> None:
    prepared = {"radii": torch.ones(20, dtype=torch.float64), "own": torch.tensor(own)}
    with pytest.raises(ValueError, match="expected a count of 1 to 100 real samples in balls"):
        ClippedDensityCoverage().check_prepared(prepared, 20)


@pytest.mark.parametrize(
    ("n", "m", "told"),
    [(6, 5, "7 real samples, got 6. Remedy: more samples, or a smaller `k`"), (9, 0, "1 fake samples")],
)
def test_too_few_are_refused(n: int, m: int, told: str) -> None:
    with pytest.raises(NotEnoughSamples, match=f"ClippedDensityCoverage.* needs at least {told}"):
        ours(normal(0, n, 2), normal(1, m, 2))


def test_repeated_real_samples_are_told() -> None:
    with pytest.warns(BiasWarning, match="8 of 10 real samples have 3 identical others"):
        ours(torch.cat([torch.zeros(8, 1), torch.tensor([[1.0], [2.0]])]), normal(1, 5, 1), k=3)


# --- errors -----------------------------------------------------------------------------------------------------------


def with_errors_of(real: torch.Tensor, fake: torch.Tensor) -> dict[str, float]:
    return compute(Jackknife(ClippedDensityCoverage(k=3)), {"real": indexed(real), "fake": indexed(fake)})


@pytest.mark.parametrize("key", ["clipped_density", "clipped_coverage"])
def test_values_at_1_have_an_error_and_an_interval_of_shares(key: str) -> None:
    """Of a generator as good as real samples, a jackknife of what is clipped would say that 1 is certain."""
    real = normal(0, 80, 3)
    found = with_errors_of(real, real + 0.01 * normal(1, 80, 3))
    assert found[key] == 1
    assert 0.005 < found[f"{key}_se"] < 0.2
    low, high = scalar_of(key).interval(found[key], found[f"{key}_se"])
    assert 0.5 < low < 0.99
    assert high == pytest.approx(1)


@pytest.mark.parametrize("key", ["clipped_density", "clipped_coverage"])
def test_values_that_no_block_moves_have_the_error_of_a_share(key: str) -> None:
    found = with_errors_of(normal(0, 80, 3), normal(1, 40, 3, mean=99))
    low, high = scalar_of(key).interval(found[key], found[f"{key}_se"])
    assert (found[key], low) == pytest.approx((0, 0))
    assert 3 / 40 < high < 0.12  # the rule of three


def test_clipped_densitys_error_is_that_of_a_mean() -> None:
    real, fake = normal(0, 90, 3), normal(1, 600, 3, 0.8)
    x, y = real.double().numpy(), fake.double().numpy()
    among = np.sqrt(((x[:, None] - x) ** 2).sum(2))
    radii = np.sort(among, 1)[:, 3]
    clipped = np.minimum(radii, np.median(radii))[:, None]
    own = np.minimum(((among <= clipped).sum(0) - 1) / 3, 1).mean()
    each = np.minimum((np.sqrt(((x[:, None] - y) ** 2).sum(2)) <= clipped).sum(0) / 3, 1) / own
    found = with_errors_of(real, fake)
    assert found["clipped_density_se"] == pytest.approx(each.std() / 600**0.5, rel=0.4)  # 20 blocks: within 16 %
