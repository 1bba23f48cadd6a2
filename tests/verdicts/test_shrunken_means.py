"""Shrunken means: by hand, between all and nothing, and how often their intervals hold what they are of."""

from __future__ import annotations

import numpy as np
import pytest

from streaming_metrics.verdicts.group_means import PRIOR, GroupMeans
from streaming_metrics.verdicts.shrunken_means import ShrunkenMeans


def raw(means: list[float], error: float = 1.0) -> GroupMeans:
    n = len(means)
    return GroupMeans(np.arange(n), np.full(n, 9), np.array(means, dtype=float), np.full(n, error))


def test_group_means_are_numpys_and_their_errors_of_a_variance_that_is_partly_shared() -> None:
    generator = np.random.default_rng(0)
    values, groups = generator.normal(size=60), np.repeat([7, 2, -5], [30, 20, 10])
    found = GroupMeans.of(values, groups)
    assert found.groups.tolist() == [-5, 2, 7]
    assert found.counts.tolist() == [10, 20, 30]
    parts = [values[groups == group] for group in (-5, 2, 7)]
    np.testing.assert_allclose(found.means, [part.mean() for part in parts])
    pooled = sum(part.var() * len(part) for part in parts) / 57
    own = [(part.var() * len(part) + PRIOR * pooled) / (len(part) - 1 + PRIOR) / len(part) for part in parts]
    np.testing.assert_allclose(found.errors**2, own)


def test_samples_of_one_cluster_count_as_one() -> None:
    values, groups = np.array([1.0, 3.0, 5.0, 7.0, 2.0, 2.0]), np.array([0, 0, 0, 0, 1, 1])
    found = GroupMeans.of(values, groups, np.array([4, 4, 5, 5, 5, 6]))
    assert found.counts.tolist() == [2, 2]
    assert found.means.tolist() == [4, 2]
    assert GroupMeans.of(values, groups, least=3).groups.tolist() == [0]


def test_a_difference_is_of_groups_that_both_have() -> None:
    one, other = raw([1.0, 2.0, 3.0], 3.0), GroupMeans(np.array([2, 5]), np.array([4, 4]), np.ones(2), np.full(2, 4.0))
    found = one.minus(other)
    assert (found.groups.tolist(), found.means.tolist(), found.errors.tolist()) == ([2], [2.0], [5.0])


def test_means_that_do_not_differ_are_the_mean_of_all_and_those_that_do_are_themselves() -> None:
    near = ShrunkenMeans.of(raw([0.1, -0.1, 0.2, -0.2, 0.0, 0.05]))
    assert np.ptp(near.values) == pytest.approx(0.4 * 0.4)  # 1 − 3/5 of how far they lie apart
    assert not near.stand_out.any()
    far = ShrunkenMeans.of(raw([0.0, 100, -300, 250, 80, -90]))
    np.testing.assert_allclose(far.values, far.raw.means, atol=0.2)
    np.testing.assert_allclose(far.high - far.low, 2 * 1.96, rtol=1e-3)
    assert far.stand_out.sum() == 6


@pytest.mark.parametrize("error", [0.0, 1e-200, 1e-150])
def test_means_without_error_are_themselves(error: float) -> None:
    """Features that do not vary within a class: weights by their variances would be infinite."""
    found = ShrunkenMeans.of(raw([1.0, 1, 1, 1, 1, 5], error))
    np.testing.assert_allclose(found.values, found.raw.means, rtol=1e-9)
    assert found.centre == pytest.approx(10 / 6)
    equal = ShrunkenMeans.of(raw([2.0] * 5, error))
    np.testing.assert_allclose((equal.values, equal.low, equal.high), 2.0)


def test_three_groups_are_taken_by_themselves() -> None:
    found = ShrunkenMeans.of(raw([0.0, 1.0, 5.0]))
    assert found.values.tolist() == [0, 1, 5]
    assert found.by_value.tolist() == [2, 1, 0]
    np.testing.assert_allclose(found.high - found.low, 2 * 1.96, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "n"), [(10, 50), (50, 20), (200, 8)])
@pytest.mark.parametrize("law", ["equal", "normal", "sparse", "heavy"])
def test_of_all_intervals_nineteen_in_twenty_cover(groups: int, n: int, law: str) -> None:
    generator, covered, gain, others = np.random.default_rng(1), [], [], []
    for _ in range(200):
        truth = {
            "equal": np.zeros(groups),
            "normal": generator.normal(0, 0.3, groups),
            "sparse": np.where(np.arange(groups) < groups // 10, 1.0, 0.0),
            "heavy": 0.2 * generator.standard_t(3, groups),
        }[law]
        noise = (generator.chisquare(4, (groups, n)) - 4) / 8**0.5 * generator.uniform(0.7, 1.4, (groups, 1))
        found = ShrunkenMeans.of(GroupMeans.of((noise + truth[:, None]).ravel(), np.repeat(np.arange(groups), n)))
        covered.append(((found.low <= truth) & (truth <= found.high)).mean())
        gain.append(((found.values - truth) ** 2).mean() / ((found.raw.means - truth) ** 2).mean())
        others.append(found.stand_out.any())
    assert np.mean(covered) > 0.915
    assert np.mean(gain) < 1
    assert law != "equal" or np.mean(others) < 0.05
