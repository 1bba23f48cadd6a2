"""MMD against scikit-learn's kernel term by term, the permutation test as it is written, and simulated levels."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from by_hand import compute, lives
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scores import normal
from sklearn.metrics.pairwise import rbf_kernel

from streaming_metrics import BiasWarning, Features, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.measures.mmd import MMD, median_distance, rbf_gram
from streaming_metrics.pairwise import RBFKernel, distances
from streaming_metrics.pairwise.distances import pair_distances
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from torch import Tensor

rest = RBFKernel.rest
SEEDS = st.integers(0, 2**31 - 1)


def ours(measure: MMD, real: Tensor, fake: Tensor) -> dict[str, float]:
    sides = {"real": real, "fake": fake}
    return compute(measure, {role: Features(rows, index=torch.arange(len(rows))) for role, rows in sides.items()})


def kernel(x: Tensor, y: Tensor, widths: tuple[float, ...]) -> np.ndarray:
    x, y = x.double(), y.double()
    return np.mean([rbf_kernel(x.numpy(), y.numpy(), gamma=1 / (2 * sigma**2)) for sigma in widths], axis=0)


def mmd(xx: np.ndarray, yy: np.ndarray, xy: np.ndarray, biased: bool = False) -> float:
    """The squared MMD, term by term."""
    n, m = xy.shape
    if biased:
        return xx.mean() + yy.mean() - 2 * xy.mean()
    same = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return same - 2 * xy.mean()


def default_widths(x: Tensor) -> tuple[float, ...]:
    """The default widths of real rows: of an odd number of pairs the median is one of them."""
    median = float(np.median(pdist(x.double().numpy())))
    return (median / 2, median, 2 * median)


# --- value ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("widths", [None, 0.7, (1.0, 3.0)])
@pytest.mark.parametrize(("n", "m", "width"), [(2, 2, 3), (43, 30, 5), (22, 70, 200)])
def test_value_is_the_statistic_on_scikit_learns_kernel(
    n: int, m: int, width: int, widths: float | tuple[float, ...] | None, biased: bool
) -> None:
    real, fake = normal(n, n, width), normal(m, m, width, 0.3, 1.2)
    measure = MMD(widths=widths, biased=biased, permutations=0)  # pyright: ignore[reportArgumentType]
    sigmas = measure.widths or default_widths(real)
    xx, yy, xy = (kernel(x, y, sigmas) for x, y in ((real, real), (fake, fake), (real, fake)))
    expected = mmd(xx, yy, xy, biased)
    assert ours(measure, real, fake) == {"mmd": pytest.approx(expected, rel=1e-9, abs=1e-12)}


@pytest.mark.parametrize("mean", [0.0, 1e3, 1e5])
def test_far_from_the_origin_kernels_are_those_of_the_differences(mean: float) -> None:
    rows, widths = normal(0, 60, 8, mean), (1.0, 4.0)
    gram = rbf_gram(rows[:25], rows[25:], widths)
    assert gram.numpy() == pytest.approx(kernel(rows - mean, rows - mean, widths), abs=1e-12)


def test_kernels_of_copies_are_one_and_of_a_cluster_far_away_its_own() -> None:
    near = normal(0, 20, 8)
    rows = torch.cat([near, near, near + 1e3])
    gram = rbf_gram(rows[:30], rows[30:], (1.0,))
    assert gram[:20, 20:40].diagonal().numpy() == pytest.approx(np.ones(20), abs=1e-9)
    assert gram[40:, 40:].numpy() == pytest.approx(kernel(rows[40:] - 1e3, rows[40:] - 1e3, (1.0,)), abs=1e-8)
    assert gram[:40, 40:].abs().max() == 0


def test_pairs_of_a_collapsed_generator_are_not_measured_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []

    def counted(x: Any, y: Any, rows: Tensor, columns: Tensor) -> Tensor:
        measured.append(len(rows))
        return pair_distances(x, y, rows, columns)

    monkeypatch.setattr(distances, "pair_distances", counted)
    real, fake = normal(0, 60, 256), normal(1, 1, 256, 0.5) + normal(2, 60, 256, std=1e-3)
    both = torch.cat([real, fake])
    assert rbf_gram(real, fake, (1e-2, 9.0)).numpy() == pytest.approx(kernel(both, both, (1e-2, 9.0)), abs=1e-8)
    assert sum(measured) == len(both)  # each row with itself


@given(SEEDS, st.sampled_from([3, 14, 46]))
def test_widths_follow_the_median_of_the_real_distances(seed: int, n: int) -> None:
    rows = normal(seed, n, 5, 2.0)
    distances = np.sort(pdist(rows.double().numpy()))
    assert median_distance(rows) == pytest.approx(distances[(len(distances) - 1) // 2], rel=1e-9)


@pytest.mark.parametrize("biased", [False, True])
def test_identical_sets(biased: bool) -> None:
    rows = normal(0, 40, 4)
    value = ours(MMD(biased=biased, permutations=0), rows, rows)["mmd"]
    assert value == pytest.approx(0, abs=1e-12) if biased else value < 0


def test_sets_far_apart_are_as_far_as_can_be() -> None:
    near, far = torch.zeros(20, 3), torch.full((20, 3), 1e3)
    for biased in (False, True):
        assert ours(MMD(widths=(1.0,), biased=biased, permutations=0), near, far) == {"mmd": 2.0}


@given(SEEDS)
@settings(max_examples=1)
def test_is_unbiased(seed: int) -> None:
    measure = MMD(widths=(1.0, 2.0), permutations=0)
    draws = [(normal(seed + 2 * i, 20, 3), normal(seed + 2 * i + 1, 14, 3)) for i in range(150)]
    values = np.array([ours(measure, real, fake)["mmd"] for real, fake in draws])
    assert abs(values.mean()) < 5 * values.std() / len(values) ** 0.5
    assert values.min() < 0


def test_rows_beyond_the_most_are_left_out_by_their_ids_alone() -> None:
    real, fake = normal(0, 90, 4), normal(1, 70, 4, 0.5)
    kept = [side[hashed(torch.arange(len(side))).argsort()[:30].sort().values] for side in (real, fake)]
    assert ours(MMD(most=30), real, fake) == ours(MMD(most=30), *kept)
    order = torch.randperm(90, generator=torch.Generator().manual_seed(0))
    shuffled = {"real": Features(real[order], index=order), "fake": Features(fake, index=torch.arange(70))}
    assert compute(MMD(most=30), shuffled, batch_size=7) == ours(MMD(most=30), real, fake)


def test_freezing_the_real_side_changes_nothing() -> None:
    measure, (real, fake) = MMD(most=40, block=5), (normal(seed, n, 4) for seed, n in ((0, 90), (1, 70)))
    samples = {"real": Features(real, index=torch.arange(90)), "fake": Features(fake, index=torch.arange(70))}
    for lived in lives(measure, samples, "real").values():
        assert lived == (compute(measure, samples), 40)


def test_the_kernel_of_a_frozen_real_side_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake, seen = normal(0, 30, 4), normal(1, 20, 4, 0.3), []
    metric = GenerativeMetrics([MMD(block=5)], extractor=None, num_features=4)
    metric.update(real, real=True)
    metric.freeze_real()
    monkeypatch.setattr(RBFKernel, "rest", lambda kernel, tile: seen.append(tile.squared.shape) or rest(kernel, tile))
    found, expected = {}, ours(MMD(block=5), real, fake + 1)
    for shift in (0, 0, 1):
        metric.reset()
        metric.update(fake + shift, real=False)
        seen.clear()
        found = metric.compute()
    assert sorted(seen) == [(20, 20), (30, 20)]
    assert {key: value.item() for key, value in found.items()} == {f"{key}_features": v for key, v in expected.items()}


# --- p-value ----------------------------------------------------------------------------------------------------------


def literal_squares(real: Tensor, fake: Tensor, block: int, biased: bool) -> np.ndarray:
    """The squared MMD of every way to deal full blocks to the sides, each remainder staying where it is; ours first."""
    gram = kernel(torch.cat([real, fake]), torch.cat([real, fake]), (1.0,))
    n, m = len(real), len(fake)
    blocks = [list(range(start, start + block)) for start in range(0, n - n % block, block)]
    taken = len(blocks)
    blocks += [list(range(n + start, n + start + block)) for start in range(0, m - m % block, block)]
    left = list(range(n - n % block, n))
    values = []
    for chosen in combinations(range(len(blocks)), taken):
        x = [row for which in chosen for row in blocks[which]] + left
        y = [row for row in range(n + m) if row not in set(x)]
        values.append(mmd(gram[np.ix_(x, x)], gram[np.ix_(y, y)], gram[np.ix_(x, y)], biased))
    return np.array(values)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("n", "m", "block"), [(6, 6, 1), (13, 9, 2), (12, 23, 3), (20, 21, 5)])
def test_p_value_is_the_share_of_arrangements(n: int, m: int, block: int, biased: bool) -> None:
    real, fake = normal(3, n, 2), normal(4, m, 2, 0.4)
    squares = literal_squares(real, fake, block, biased)
    exact = (squares >= squares[0] - 1e-12).mean()
    values = ours(MMD(widths=(1.0,), biased=biased, block=block, permutations=20_000), real, fake)
    assert values["mmd"] == pytest.approx(squares[0], abs=1e-12)
    assert abs(values["mmd_p"] - exact) < 5 * (exact * (1 - exact) / 20_000) ** 0.5 + 1e-4
    assert 0.02 < exact < 0.98


def dealt(seed: int, n: int, shared: float, size: int = 10) -> Tensor:
    """Rows in batches of ``size`` that have ``shared`` of their variance in common."""
    common = normal(seed, n // size, 4).repeat_interleave(size, 0)
    return shared**0.5 * common + (1 - shared) ** 0.5 * normal(seed + 1, n, 4)


def p_values(shared: float, shift: float = 0.0, *, draws: int, n: int = 100, **options: Any) -> np.ndarray:
    measure = MMD(permutations=99, **options)
    seeds = range(0, 4 * draws, 4)
    return np.array([ours(measure, dealt(s, n, shared), dealt(s + 2, n, shared) + shift)["mmd_p"] for s in seeds])


@pytest.mark.parametrize(
    ("shared", "block", "draws"),
    [(0.3, 10, 100), *(pytest.param(*case, 300, marks=pytest.mark.slow) for case in ((0.0, 1), (0.0, 10), (0.3, 10)))],
)
def test_levels_are_kept_under_the_null(shared: float, block: int, draws: int) -> None:
    values = p_values(shared, draws=draws, block=block)
    for level in (0.05, 0.2, 0.5, 0.8):
        assert abs((values <= level).mean() - level) < 4 * (level * (1 - level) / len(values)) ** 0.5


def test_single_rows_of_dependent_batches_call_equal_distributions_different() -> None:
    assert (p_values(0.3, block=1, draws=100) <= 0.05).mean() > 0.25


@pytest.mark.parametrize("block", [1, 10])
def test_a_shift_is_found(block: int) -> None:
    assert (p_values(0.0, shift=0.5, draws=60, block=block) <= 0.05).mean() > 0.9


@pytest.mark.parametrize("permutations", [1, 99, 999])
def test_the_least_p_value_counts_the_sides_as_they_are(permutations: int) -> None:
    values = ours(MMD(permutations=permutations, block=2), normal(0, 60, 3), normal(1, 60, 3, 5.0))
    assert values["mmd_p"] == 1 / (1 + permutations)


def test_the_seed_decides_the_permutations() -> None:
    real, fake = normal(0, 60, 3), normal(1, 60, 3, 0.1)
    first, again, other = (ours(MMD(block=5, seed=seed), real, fake) for seed in (0, 0, 1))
    assert first == again
    assert first["mmd"] == other["mmd"]
    assert first["mmd_p"] != other["mmd_p"]


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m", "arrangements", "lowest"), [(20, 29, 6, 0.17), (20, 30, 10, 0.1)])
def test_too_few_blocks_for_a_small_p_value_are_told(n: int, m: int, arrangements: int, lowest: float) -> None:
    told = f"in {arrangements} ways only, so the p-value is never below {lowest}"
    with pytest.warns(BiasWarning, match=told):
        ours(MMD(), normal(0, n, 3), normal(1, m, 3))


def test_twenty_arrangements_are_enough_not_to_warn() -> None:
    assert 0 < ours(MMD(), normal(0, 30, 3), normal(1, 30, 3))["mmd_p"] <= 1


def test_more_arrangements_than_float64_holds_are_counted_all_the_same() -> None:
    real, fake = normal(0, 600, 1), normal(1, 600, 1, 5.0)
    assert ours(MMD(block=1, permutations=9), real, fake)["mmd_p"] == 0.1


@pytest.mark.parametrize(("measure", "least"), [(MMD(), 20), (MMD(block=3), 6), (MMD(permutations=0), 2)])
def test_fewer_than_two_blocks_are_refused(measure: MMD, least: int) -> None:
    with pytest.raises(NotEnoughSamples, match=f"MMD needs at least {least} fake samples, got {least - 1}"):
        ours(measure, normal(0, 20, 3), normal(1, least - 1, 3))


def test_real_features_that_do_not_differ_need_widths() -> None:
    real, fake = torch.ones(20, 3), normal(0, 20, 3)
    with pytest.raises(ValueError, match=r"a median distance of 0\. Remedy: give `widths`"):
        ours(MMD(permutations=0), real, fake)
    assert 0 < ours(MMD(widths=(1.0,), permutations=0), real, fake)["mmd"] < 2


def test_widths_are_one_value_however_they_are_given() -> None:
    assert MMD(widths=2) == MMD(widths=(2.0,)) == MMD(widths=[2])  # pyright: ignore[reportArgumentType]
    assert MMD(widths=(1, 2)).describe() == MMD(widths=(1.0, 2.0)).describe() == "mmd(widths=(1.0, 2.0))"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"most": 19}, "MMD most: expected at least 20, got 19"),
        ({"widths": ()}, "MMD widths: expected at least one"),
        ({"widths": (1.0, 0.0)}, "MMD widths: expected a number greater than 0, got 0.0"),
        ({"permutations": -1}, "MMD permutations: expected at least 0"),
        ({"block": 0}, "MMD block: expected at least 1"),
        ({"seed": -1}, "MMD seed: expected 0 to"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        MMD(**options)
