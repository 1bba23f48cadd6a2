"""The birthday paradox against brute force, the paper's sizes, and supports that are known."""

from __future__ import annotations

from math import inf, log

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist
from scipy.stats import chi2
from scores import normal, score

from streaming_metrics import BiasWarning, BirthdayParadox, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.measures.birthday import Duplicates
from streaming_metrics.statistics.index import hashed

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")  # rows repeat on purpose

SEEDS = st.integers(0, 2**31 - 1)


def birthday(measure: BirthdayParadox, fake: torch.Tensor, real: torch.Tensor | None = None) -> dict[str, float]:
    if real is not None:
        return score(measure, real, fake)
    metric = GenerativeMetrics([measure], extractor=None, num_features=fake.shape[1])
    metric.update(fake, real=False)
    return dict(zip(measure.keys, (value.item() for value in metric.compute().values())))


# --- value ------------------------------------------------------------------------------------------------------------


@given(SEEDS, st.floats(0, 3))
def test_duplicates_are_the_pairs_within_the_threshold(seed: int, threshold: float) -> None:
    fake = normal(seed, 40, 3)
    values = birthday(BirthdayParadox(threshold=threshold), fake)
    expected = int((pdist(fake.double().numpy()) <= threshold).sum())
    assert values["birthday_duplicates"] == expected
    assert values["birthday_support"] == pytest.approx(780 / (expected or log(2)))


@given(SEEDS, st.sampled_from([0.05, 0.1, 0.5, 1.0]))
def test_the_threshold_is_a_quantile_of_the_real_samples_nearest_distances(seed: int, quantile: float) -> None:
    fake, real = normal(seed, 40, 3), normal(seed + 1, 30, 3)
    apart = cdist(real.double().numpy(), real.double().numpy()) + np.diag(np.full(30, np.inf))
    threshold = float(np.quantile(apart.min(1), quantile, method="inverted_cdf"))
    by_quantile = birthday(BirthdayParadox(quantile=quantile), fake, real)
    assert by_quantile["birthday_duplicates"] == (pdist(fake.double().numpy()) <= threshold * (1 + 1e-9)).sum()


@pytest.mark.parametrize(("threshold", "pairs"), [(0.0, 1), (1.0, 6), (2.0, 9)])
def test_a_pair_at_the_threshold_is_a_duplicate(threshold: float, pairs: int) -> None:
    fake = torch.tensor([[0.0], [1.0], [2.0], [2.0], [3.0]])
    values = birthday(BirthdayParadox(threshold=threshold), fake)
    assert values["birthday_duplicates"] == pairs


def test_without_a_duplicate_the_support_is_the_papers() -> None:
    values = birthday(BirthdayParadox(threshold=0.5), torch.arange(400.0).view(400, 1))
    assert values["birthday_support"] == pytest.approx(400 * 399 / (2 * log(2)))  # 115,000 for the paper's 400
    assert values["birthday_support_low"] == pytest.approx(400 * 399 / chi2.ppf(0.975, 2))
    assert values["birthday_support_high"] == inf


def test_with_so_many_samples_a_duplicate_appears_half_of_the_time() -> None:
    random, support = np.random.RandomState(0), 2000
    size = round((2 * log(2) * support) ** 0.5)
    drawn = random.randint(support, size=(4000, size))
    assert np.mean([len(np.unique(row)) < size for row in drawn]) == pytest.approx(0.5, abs=0.03)


def test_a_collapsed_generator_has_a_support_of_1() -> None:
    fake, real = torch.ones(50, 4), normal(0, 50, 4)
    values = birthday(BirthdayParadox(), fake, real)
    assert values == {
        "birthday_support": 1.0,
        "birthday_support_low": 1.0,
        "birthday_support_high": pytest.approx(1.06, abs=0.01),
        "birthday_duplicates": 1225.0,
    }


def test_a_generator_of_few_samples_is_told_from_one_of_the_real_distribution() -> None:
    real, same = normal(0, 900, 8), normal(1, 900, 8)
    few = normal(2, 60, 8)[torch.randint(60, (900,), generator=torch.Generator().manual_seed(0))]
    few = few + 1e-3 * normal(3, 900, 8)  # never quite the same sample
    measure = BirthdayParadox()
    assert birthday(measure, few, real)["birthday_support"] == pytest.approx(60, rel=0.1)
    assert birthday(measure, same, real)["birthday_support"] > 20_000


def test_real_samples_that_repeat_leave_equal_features_alone_as_duplicates() -> None:
    real, fake = normal(0, 20, 3).repeat(2, 1), torch.cat([normal(1, 30, 3), normal(1, 5, 3)])
    with pytest.warns(BiasWarning, match=r"BirthdayParadox: a share 0.01 of the real samples has another one that"):
        values = birthday(BirthdayParadox(), fake, real)
    assert values["birthday_duplicates"] == (pdist(fake.double().numpy()) == 0).sum()
    real[20] += 1  # 38 of 40 still have a copy
    birthday(BirthdayParadox(quantile=0.97), fake, real)


def test_samples_beyond_most_are_left_out_by_their_ids() -> None:
    fake, ids = normal(0, 60, 3), torch.arange(60)
    metric = GenerativeMetrics([BirthdayParadox(most=25, threshold=1.0)], extractor=None, num_features=3)
    metric.update(fake, real=False, index=ids)
    kept = fake[hashed(ids).argsort()[:25]].double().numpy()
    assert metric.compute()["birthday_duplicates_features"] == (pdist(kept) <= 1.0).sum()


# --- interval ---------------------------------------------------------------------------------------------------------


def zipf(n: int, power: float) -> np.ndarray:
    p = np.arange(1, n + 1) ** -power
    return p / p.sum()


SUPPORTS = {
    "1000, even": (np.full(1000, 1e-3), 300),
    "20, even": (np.full(20, 0.05), 100),
    "100,000, even, few pairs": (np.full(100_000, 1e-5), 800),
    "3000, of falling frequency": (zipf(3000, 1.0), 400),
    "one sample of ten, else 9000": (np.r_[0.1, np.full(9000, 1e-4)], 400),
}


def drawn_duplicates(p: np.ndarray, size: int, times: int) -> list[Duplicates]:
    """Duplicates among samples of a known support, told by how often each member came."""
    random, reach = np.random.RandomState(0), p.cumsum()
    found = []
    for _ in range(times):
        n = np.bincount(reach.searchsorted(random.rand(size)).clip(max=len(p) - 1)).astype(np.int64)
        found.append(Duplicates(size, int((n * (n - 1) // 2).sum()), int((n * (n - 1) * (n - 2) // 2).sum())))
    return found


@pytest.mark.parametrize(("p", "size"), SUPPORTS.values(), ids=SUPPORTS)
def test_intervals_hold_a_known_support(p: np.ndarray, size: int) -> None:
    support, times = 1 / np.square(p).sum(), 400
    intervals = [found.interval(0.95) for found in drawn_duplicates(p, size, times)]
    assert np.mean([low <= support <= high for low, high in intervals]) > 0.91


def test_counting_pairs_as_independent_would_miss_one_that_repeats() -> None:
    p, size = SUPPORTS["one sample of ten, else 9000"]
    plain = [found._replace(shared=0).interval(0.95) for found in drawn_duplicates(p, size, 400)]
    assert np.mean([low <= 1 / np.square(p).sum() <= high for low, high in plain]) < 0.3


def test_independent_pairs_have_garwoods_interval() -> None:
    found = Duplicates(num_samples=100, pairs=7, shared=0)
    expected = 2 * 4950 / chi2.ppf(0.975, 16), 2 * 4950 / chi2.ppf(0.025, 14)
    assert found.interval(0.95) == pytest.approx(expected)
    assert found.interval(0.5)[0] > found.interval(0.95)[0]


@given(SEEDS, st.integers(2, 40))
def test_pairs_and_shared_pairs_are_those_of_groups(seed: int, n: int) -> None:
    member = torch.randint(6, (n,), generator=torch.Generator().manual_seed(seed))
    sizes = torch.bincount(member)
    pairs, shared = (sizes * (sizes - 1) // 2).sum(), (sizes * (sizes - 1) * (sizes - 2) // 2).sum()
    assert Duplicates.of(member == member.unsqueeze(1)) == (n, int(pairs), int(shared))


# --- what is refused --------------------------------------------------------------------------------------------------


def test_one_sample_is_refused() -> None:
    with pytest.raises(NotEnoughSamples, match="BirthdayParadox needs at least 2 fake samples, got 1"):
        birthday(BirthdayParadox(threshold=1.0), torch.zeros(1, 3))
    with pytest.raises(NotEnoughSamples, match="BirthdayParadox needs at least 2 real samples, got 1"):
        birthday(BirthdayParadox(), torch.zeros(5, 3), torch.zeros(1, 3))


@pytest.mark.parametrize(
    "options", [{"quantile": 0}, {"quantile": 1.5}, {"threshold": -1.0}, {"level": 1.0}, {"level": 0}, {"most": 1}]
)
def test_options_out_of_bounds_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"BirthdayParadox.*expected"):
        BirthdayParadox(**options)  # pyright: ignore[reportArgumentType]


def test_few_real_samples_make_the_support_too_small_and_are_warned_of() -> None:
    fake = normal(0, 1000, 4)
    supports = {}
    for n in (1000, 500):
        supports[n] = birthday(BirthdayParadox(quantile=0.2), fake, normal(1, n, 4))["birthday_support"]
    with pytest.warns(BiasWarning, match="BirthdayParadox: 100 real samples for 1000 generated ones: the fewer"):
        supports[100] = birthday(BirthdayParadox(quantile=0.2), fake, normal(1, 100, 4))["birthday_support"]
    assert supports[100] < supports[1000] / 5  # a tenth, but for chance
