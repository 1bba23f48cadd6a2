"""Sliced Wasserstein distance against POT and SciPy, and closed forms of shifts and scales."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import ot
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance
from scores import normal, score

from streaming_metrics import Features, GenerativeMetrics, NotEnoughSamples, SlicedWasserstein
from streaming_metrics.measures.sliced_wasserstein import quantile_steps, wasserstein_of_sorted
from streaming_metrics.statistics import Bank, Projections
from streaming_metrics.statistics.projections import unit_vectors

if TYPE_CHECKING:
    from torch import Tensor

SIZES = st.integers(1, 30)
SEEDS = st.integers(0, 2**31 - 1)


def ours(real: Tensor, fake: Tensor, p: int = 2, n_projections: int = 100, seed: int = 0) -> float:
    return score(SlicedWasserstein(p, n_projections, seed), real, fake)["sliced_wasserstein"]


def directions(width: int, count: int = 100, seed: int = 0) -> np.ndarray:
    return unit_vectors(width, count, seed, torch.device("cpu")).numpy()


# --- peers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize(("n", "m", "width"), [(50, 50, 5), (43, 30, 7), (20, 60, 3), (7, 1, 3), (1, 1, 2)])
def test_value_is_pots_of_the_same_seed(n: int, m: int, width: int, p: int) -> None:
    real, fake = normal(n, n, width), normal(m + 1, m, width, 0.3, 1.2)
    given = real.double().numpy(), fake.double().numpy()
    expected = ot.sliced_wasserstein_distance(*given, n_projections=30, p=p, seed=7)
    assert ours(real, fake, p, 30, 7) == pytest.approx(expected, rel=1e-6)


@given(SEEDS, SIZES, SIZES)
def test_a_line_is_scipys_wasserstein_distance_of_any_two_sizes(seed: int, n: int, m: int) -> None:
    x, y = normal(seed, n, 3).double().T.sort(1).values, normal(seed + 1, m, 3, 0.5).double().T.sort(1).values
    expected = [wasserstein_distance(u.numpy(), v.numpy()) for u, v in zip(x, y)]
    assert wasserstein_of_sorted(x, y, p=1).tolist() == pytest.approx(expected, rel=1e-12)


@given(SEEDS, SIZES, SIZES)
def test_a_line_of_order_2_is_that_of_samples_repeated_to_equal_numbers(seed: int, n: int, m: int) -> None:
    x, y = normal(seed, n, 3).double().T.sort(1).values, normal(seed + 1, m, 3, 0.5).double().T.sort(1).values
    expected = (x.repeat_interleave(m, 1) - y.repeat_interleave(n, 1)).square().mean(1)
    assert wasserstein_of_sorted(x, y, p=2).tolist() == pytest.approx(expected.tolist(), rel=1e-12)


@given(SIZES, SIZES)
def test_steps_make_up_every_sample_of_both_sides(n: int, m: int) -> None:
    lengths, i, j = quantile_steps(n, m)
    assert torch.bincount(i, lengths, n).tolist() == pytest.approx([1 / n] * n, rel=1e-12)
    assert torch.bincount(j, lengths, m).tolist() == pytest.approx([1 / m] * m, rel=1e-12)
    assert len(lengths) <= n + m - 1


def test_more_lines_than_are_in_memory_at_once_are_all_taken() -> None:
    x, y = normal(0, 40, 9).T.contiguous().sort(1).values, normal(1, 40, 9).T.contiguous().sort(1).values
    assert len(wasserstein_of_sorted(x, y, 1)) == 9
    assert len(wasserstein_of_sorted(x.repeat(5, 1), y.repeat(5, 1), 1)) == 45


# --- closed forms -----------------------------------------------------------------------------------------------------


def test_of_a_shift_it_is_the_shift_along_the_lines() -> None:
    real, shift = normal(0, 60, 4), torch.tensor([3.0, 0.0, -1.0, 0.5])
    along = shift.double().numpy() @ directions(4)
    assert ours(real, real + shift) == pytest.approx(np.sqrt((along**2).mean()), rel=1e-6)
    assert ours(real, real + shift, p=1) == pytest.approx(np.abs(along).mean(), rel=1e-6)


def test_of_a_shift_it_is_its_length_over_the_root_of_the_width() -> None:
    real, shift = normal(0, 20, 50), torch.full((50,), 2.0)
    assert ours(real, real + shift, n_projections=20_000) == pytest.approx(2.0, rel=0.02)


def test_of_a_scaled_centred_side_it_is_the_spread_lost() -> None:
    real = normal(0, 60, 4)
    real = torch.cat([real, -real])
    expected = np.square(real.double().numpy() @ directions(4)).mean() ** 0.5
    assert ours(real, 3 * real) == pytest.approx(2 * expected, rel=1e-6)


def test_unit_vectors_are_uniform_over_the_sphere() -> None:
    vectors = directions(3, 20_000)
    assert np.linalg.norm(vectors, axis=0) == pytest.approx(np.ones(20_000), abs=1e-12)
    assert vectors @ vectors.T / 20_000 == pytest.approx(np.eye(3) / 3, abs=0.01)
    assert np.abs(vectors.mean(1)).max() < 0.02


# --- edges ------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
@pytest.mark.parametrize("p", [1, 2])
def test_identical_sides_and_constant_features_are_at_0(p: int) -> None:
    rows = normal(0, 40, 4)
    assert ours(rows, rows[torch.randperm(40, generator=torch.Generator().manual_seed(0))], p) == 0
    assert ours(torch.ones(30, 4), torch.ones(20, 4), p) == 0


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_of_a_collapsed_generator_it_is_the_spread_about_that_sample() -> None:
    real, one = normal(0, 60, 4), normal(1, 1, 4)
    expected = np.square((real - one).double().numpy() @ directions(4)).mean() ** 0.5
    assert ours(real, one.repeat(35, 1)) == pytest.approx(expected, rel=1e-6)


def test_one_feature_has_one_line() -> None:
    real, fake = normal(0, 30, 1), normal(1, 20, 1, 1.0)
    expected = wasserstein_distance(real[:, 0].numpy(), fake[:, 0].numpy())
    assert ours(real, fake, p=1, n_projections=1) == pytest.approx(expected, rel=1e-6)


def test_no_sample_is_refused() -> None:
    with pytest.raises(NotEnoughSamples, match="SlicedWasserstein needs at least 1 fake samples, got 0"):
        ours(normal(0, 5, 3), normal(1, 0, 3))


def test_a_seed_decides_the_lines() -> None:
    real, fake = normal(0, 30, 5), normal(1, 30, 5, 0.5)
    assert ours(real, fake, seed=1) == ours(real, fake, seed=1) != ours(real, fake, seed=2)


def test_features_are_not_kept() -> None:
    metric = GenerativeMetrics([SlicedWasserstein(n_projections=3)], extractor=None, num_features=500)
    metric.update(normal(0, 40, 500), real=False)
    assert sum(state.nbytes for name, state in metric.metric_state.items() if "projections" in name) <= 2 * 40 * 20
    assert not any(isinstance(slot, Bank) for slot in metric._states.local("fake", 0).states)


def test_float64_features_are_projected_before_they_are_rounded() -> None:
    projections = Projections(2, num_projections=4)
    rows = 1.0 + 1e-9 * torch.arange(6, dtype=torch.float64).view(3, 2)
    state = projections.update(projections.empty(), Features(rows, index=torch.arange(3)))
    assert torch.equal(state["rows"], (rows @ torch.from_numpy(directions(2, 4))).float())
