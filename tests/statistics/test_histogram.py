"""Histogram of a fixed range: NumPy's counts, and SciPy's distance to within a bin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from streaming_metrics import Features
from streaming_metrics.statistics import Histogram
from streaming_metrics.statistics.base import State


def counted(histogram: Histogram, values: np.ndarray) -> State:
    rows = torch.from_numpy(values).float().unsqueeze(1)
    return histogram.update(histogram.empty(), Features(pool=rows))


@pytest.mark.parametrize(("low", "high", "bins"), [(-2, 2, 8), (0, 1, 3), (-1.5, 4, 100)])
def test_the_counts_are_numpys_with_the_rest_at_the_ends(low: float, high: float, bins: int) -> None:
    values = np.random.RandomState(0).randn(500).astype(np.float32)
    edges = np.linspace(low, high, bins + 1)
    edges[[0, -1]] = -np.inf, np.inf
    assert counted(Histogram(low, high, bins), values)["counts"].tolist() == np.histogram(values, edges)[0].tolist()


@given(seed=st.integers(0, 2**31 - 1), bins=st.integers(1, 300), n=st.integers(1, 60), m=st.integers(1, 60))
def test_the_distance_is_scipys_to_within_a_bin(seed: int, bins: int, n: int, m: int) -> None:
    random, histogram = np.random.RandomState(seed), Histogram(0, 1, bins)
    first, second = random.rand(n), random.rand(m) ** 2
    distance = histogram.wasserstein(counted(histogram, first), counted(histogram, second)).item()
    assert abs(distance - wasserstein_distance(first, second)) <= histogram.bin_width + 1e-6


def test_the_bound_is_reached_and_equal_sides_are_at_0() -> None:
    histogram = Histogram(0, 10, 10)
    near, far, left = (counted(histogram, np.array([value])) for value in (4.999, 5.0, 4.001))
    assert histogram.wasserstein(near, far) == 1  # their distance is 0.001
    assert histogram.wasserstein(left, near) == 0  # and of these 0.998


def test_a_range_is_one_whatever_numbers_say_it() -> None:
    assert Histogram(0, 4, 8).name == Histogram(0.0, 4.0, 8).name == "histogram_8_0p0_4p0"
    assert Histogram(-1.5, 4, 8, "contrast").name == "histogram_8_m1p5_4p0_contrast"


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ((1, 1, 4), ValueError, "expected low < high, got 1 and 1"),
        ((float("nan"), 1, 4), ValueError, "Histogram low: expected a finite number"),
        ((0, "1", 4), TypeError, "Histogram high: expected a number"),
        ((0, 1, 0), ValueError, "Histogram bins: expected at least 1"),
        ((0, 1, 4, "labels"), ValueError, "column: expected"),
    ],
)
def test_what_is_no_range_is_refused(arguments: tuple, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        Histogram(*arguments)


def test_counts_below_0_are_refused() -> None:
    histogram = Histogram(0, 1, 2)
    with pytest.raises(ValueError, match="counts that are not negative"):
        histogram.check({"counts": torch.tensor([3, -1])})
    assert histogram.bounds({"counts": torch.tensor([3, 1])}) == (4, 4)
