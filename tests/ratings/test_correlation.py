"""Rank correlation of people's scores and computed measures: SciPy as oracle, edges, and what the interval covers."""

from __future__ import annotations

from math import asin, isnan, pi

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from streaming_metrics.ratings.correlation import beside, rank_correlation

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n", [4, 7, 30])
@pytest.mark.parametrize("ties", [False, True])
def test_the_values_are_scipys(n: int, ties: bool) -> None:
    x, y = RNG.normal(size=(2, n))
    if ties:
        x, y = x.round(), (2 * y).round()
        x[0], y[0] = x[0] + 1, y[0] + 2  # not all the same
    found = rank_correlation(x, y)
    assert found.spearman.value == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert found.kendall.value == pytest.approx(kendalltau(x, y).statistic, abs=1e-12)
    assert found.spearman.low <= found.spearman.value <= found.spearman.high


@pytest.mark.parametrize("n", [2, 3])
def test_fewer_than_four_checkpoints_have_no_interval(n: int) -> None:
    found = rank_correlation(range(n), range(n))
    assert found.spearman.value == found.kendall.value == 1
    assert isnan(found.spearman.low)
    assert isnan(found.kendall.high)
    assert f"{n} checkpoints are too few" in found.note


@pytest.mark.parametrize(("x", "why"), [([1.0], "1 checkpoints"), ([2.0, 2.0, 2.0, 2.0], "the same")])
def test_no_order_is_told(x: list[float], why: str) -> None:
    found = rank_correlation(x, range(len(x)))
    assert isnan(found.spearman.value)
    assert why in found.note


def test_the_same_order_is_one_with_an_interval_that_reaches_it_and_reversed_is_minus_one() -> None:
    found, reverse = rank_correlation(range(6), range(6)), rank_correlation(range(6), range(6, 0, -1))
    assert (found.spearman.value, reverse.spearman.value) == (1, -1)
    assert found.spearman.high == 1
    assert reverse.spearman.low == -1
    assert 0 < found.spearman.low < 0.8
    assert found.spearman.low == pytest.approx(-reverse.spearman.high)


def test_unsure_scores_widen_the_interval() -> None:
    x, y = np.arange(8.0), np.array([0, 2, 1, 3, 5, 4, 6, 7.0])
    sure, unsure = rank_correlation(x, y), rank_correlation(x, y, np.eye(8))
    shared = rank_correlation(x, y, np.ones((8, 8)))  # raters who are lenient to all change no order
    assert unsure.spearman.high - unsure.spearman.low > 1.05 * (sure.spearman.high - sure.spearman.low)
    assert shared.spearman.low == pytest.approx(sure.spearman.low, abs=1e-6)
    spread = rank_correlation(x, y, None, np.ones(8))
    assert spread.spearman.low < sure.spearman.low


@pytest.mark.parametrize("bad", [[1.0, 2.0], [1.0, float("nan"), 3.0]])
def test_what_does_not_match_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="Remedy"):
        rank_correlation([1.0, 2.0, 3.0], bad)


def test_checkpoints_that_lack_a_value_are_left_out_of_that_measure_alone() -> None:
    scores = {f"epoch-{i}": float(i) for i in range(6)}
    measured = {"fid": {name: value for name, value in scores.items() if name != "epoch-3"}, "kid": scores}
    found = beside(scores, measured, np.diag([0.0, 0, 0, 1e9, 0, 0]))
    assert (found["fid"].checkpoints, found["kid"].checkpoints) == (5, 6)
    assert found["fid"] == beside(scores, measured)["fid"]  # the unsure checkpoint is not among its own
    assert found["kid"].spearman.low < beside(scores, measured)["kid"].spearman.low


@pytest.mark.parametrize(("n", "rho"), [(8, 0.0), (8, 0.8), (12, 0.8)])
def test_the_interval_covers(n: int, rho: float) -> None:
    """Checkpoints from a bivariate normal, judged with noise: 90 % at least of 300 (its own error is 1.3 %)."""
    rng, noise, hits = np.random.default_rng(n), 0.3, 0
    for _ in range(300):
        quality, other, errors = rng.normal(size=(3, n))
        found = rank_correlation(
            quality + noise * errors, rho * quality + (1 - rho**2) ** 0.5 * other, noise**2 * np.eye(n)
        )
        hits += found.spearman.low <= 6 / pi * asin(rho / 2) <= found.spearman.high
    assert hits >= 270
