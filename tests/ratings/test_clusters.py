"""Clusters: closed forms, a one-way sandwich by hand, and what intervals of a mean cover."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from scipy.stats import t

from streaming_metrics.ratings.clusters import clustered, clustered_covariance, clustered_mean

RNG = np.random.default_rng(0)


def test_rows_that_share_nothing_have_the_variance_of_a_mean() -> None:
    x, own = RNG.normal(size=30), list(range(30))
    found = clustered_mean(x, own, own)
    assert found.value == pytest.approx(x.mean())
    assert found.half_width == pytest.approx(t.ppf(0.975, 29) * x.std(ddof=1) / 30**0.5)


def test_a_one_way_variance_is_that_of_leaving_clusters_out() -> None:
    """The jackknife by hand: what the mean is without each cluster, unequal as they are."""
    x, labels = RNG.normal(size=40), np.repeat(range(6), [1, 2, 4, 8, 10, 15])
    without = np.array([x[labels != one].mean() for one in range(6)])
    expected = 5 / 6 * ((without - x.mean()) ** 2).sum()
    assert clustered_covariance(((x - x.mean()) / 40)[:, None], labels) == pytest.approx(np.array([[expected]]))


def test_unequal_clusters_leave_fewer_degrees_of_freedom() -> None:
    x, own = RNG.normal(size=(60, 1)), list(range(60))
    equal, unequal = np.repeat(range(6), 10), np.repeat(range(6), [50, 2, 2, 2, 2, 2])
    assert clustered(x, equal).freedom == pytest.approx([5])
    assert clustered(x, unequal).freedom[0] < 0.1
    assert clustered(x, equal, own).freedom[0] <= 59
    assert np.isnan(clustered(x, [0] * 60, own).freedom).all()


def test_two_ways_are_never_below_either_and_have_no_negative_direction() -> None:
    for _ in range(50):
        rows, a, b = RNG.normal(size=(24, 2)), RNG.integers(0, 4, 24), RNG.integers(0, 5, 24)
        both = clustered_covariance(rows, a, b)
        for one in (a, b):
            assert (np.diag(both) >= np.diag(clustered_covariance(rows, one)) - 1e-12).all()
        assert np.linalg.eigvalsh(both).min() > -1e-9


def test_one_rater_tells_no_interval_and_none_tells_nothing() -> None:
    one = clustered_mean([1.0, 2.0, 3.0], ["a"] * 3, [0, 1, 2])
    assert one.value == 2
    assert isnan(one.low)
    assert isnan(clustered_mean([], [], []).value)


@pytest.mark.parametrize(("raters", "units"), [(10, 10), (20, 50)])
@pytest.mark.parametrize("spreads", [(0.5, 0.3, 1.0), (1.0, 0.1, 0.5), (0.3, 1.0, 0.5)])
def test_the_interval_covers(raters: int, units: int, spreads: tuple[float, float, float]) -> None:
    """Crossed effects of raters and prompts: 92 % at least of 400 (its own error is 1.1 %), 99 % at most."""
    rng, hits = np.random.default_rng(raters), 0
    for _ in range(400):
        of_rater, of_unit = rng.normal(size=raters) * spreads[0], rng.normal(size=units) * spreads[1]
        r = np.repeat(np.arange(raters), 10)
        u = np.concatenate([rng.permutation(units)[:10] for _ in range(raters)])
        found = clustered_mean(of_rater[r] + of_unit[u] + spreads[2] * rng.normal(size=len(r)), r.tolist(), u.tolist())
        hits += found.low <= 0 <= found.high
    assert 368 <= hits <= 396


def test_rows_that_share_either_of_their_members_go_together() -> None:
    """Against the definition: a sum over all pairs of rows that share an image, each as its clusters' sizes say."""
    rng = np.random.default_rng(0)
    raters = rng.integers(6, size=40)
    images = [frozenset(rng.choice(7, rng.integers(1, 3), replace=False).tolist()) for _ in range(40)]
    influence = rng.normal(size=(40, 2))
    alone = _left_out(influence, [tuple(sorted(pair)) for pair in images])
    pairs = [(pair,) if len(pair) == 2 else () for pair in images]
    assert clustered_covariance(influence, images) == pytest.approx(alone - _left_out(influence, pairs))
    shared = np.zeros((2, 2))
    for i in range(40):
        for j in range(40):
            shared += np.outer(influence[i], influence[j]) * bool(images[i] & images[j])
    by_hand = _left_out(influence, [tuple(sorted(pair)) for pair in images], plain=True)
    assert by_hand - _left_out(influence, pairs, plain=True) == pytest.approx(shared)
    assert np.linalg.eigvalsh(clustered_covariance(influence, raters, images)).min() > -1e-9


def _left_out(influence: np.ndarray, members: list, *, plain: bool = False) -> np.ndarray:
    """Return ``(G − 1)/G · Σ_g s_g s_gᵀ / (1 − n_g/n)²`` over what rows are members of; ``plain`` without factors."""
    labels = sorted({label for own in members for label in own}, key=str)
    total = np.zeros((influence.shape[1],) * 2)
    for label in labels:
        has = [number for number, own in enumerate(members) if label in own]
        moved = influence[has].sum(0) / (1 if plain else 1 - len(has) / len(influence))
        total += np.outer(moved, moved)
    return total * (1 if plain else (len(labels) - 1) / len(labels))
