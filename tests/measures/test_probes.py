"""Linear probes against scikit-learn's classifiers, and against probes trained anew without each sample; degenerate
features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scores import labelled, normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import LeaveOneOut, cross_val_score

from streaming_metrics import Features
from streaming_metrics.measures.base import Side
from streaming_metrics.measures.probing import Probes
from streaming_metrics.statistics.linear_probe import best

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from streaming_metrics.measures.probes import Fit, Kind

SEEDS = st.integers(0, 2**31 - 1)
KINDS: list[Kind] = ["lda", "ridge"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def side_of(features: Features, probes: Probes) -> Side:
    states = {statistic: statistic.update(statistic.empty(), features) for statistic in probes.tests}
    return Side("real", len(features), states)


def trained(features: Features, kind: Kind, shrinkage: float, classes: int = 4) -> Fit:
    assert features.pool is not None
    probes = Probes(features.pool.shape[1], classes, kind, shrinkage)
    return probes.trained(side_of(features, probes))


def left_out(fit: Fit, features: Features) -> Tensor:
    assert features.pool is not None
    assert features.labels is not None
    return fit.left_out(features.pool, features.labels, fit.norms(features.pool))


def arrays(features: Features) -> tuple[np.ndarray, np.ndarray]:
    assert features.pool is not None
    assert features.labels is not None
    return features.pool.double().numpy(), features.labels.numpy()


def peer(features: Features, kind: Kind, s: float) -> Any:
    x, labels = arrays(features)
    penalty = s / (1 - s) * np.square(x - x.mean(0)).sum() / x.shape[1]
    made = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=s) if kind == "lda" else RidgeClassifier(alpha=penalty)
    return made.fit(x, labels)


def check_scores(kind: Kind, ours: Tensor, theirs: np.ndarray) -> None:
    """Discriminants are equal up to a number a row; RidgeClassifier's targets are −1 and 1."""
    found = ours.numpy() if kind == "lda" else 2 * ours.numpy() - 1
    if kind == "lda":
        found, theirs = (scores - scores.mean(1, keepdims=True) for scores in (found, theirs))
    np.testing.assert_allclose(found, theirs, rtol=0, atol=1e-9 * np.abs(theirs).max())


# --- parity -----------------------------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("shrinkage", [0.001, 0.1, 0.7])
@pytest.mark.parametrize(("sizes", "width"), [([40, 60, 50, 7], 5), ([9, 4, 6, 3], 90)])
@given(seed=SEEDS)
def test_scores_are_scikit_learns(kind: Kind, shrinkage: float, sizes: list[int], width: int, seed: int) -> None:
    features, others = labelled(seed, sizes, width), labelled(seed + 1, sizes, width).pool
    assert others is not None
    expected = peer(features, kind, shrinkage).decision_function(others.double().numpy())
    check_scores(kind, trained(features, kind, shrinkage).probe.scores(others), expected)


@every_kind
def test_two_classes_are_scikit_learns(kind: Kind) -> None:
    features, others = labelled(0, [30, 50], 4, apart=1), labelled(1, [300, 300], 4, apart=1).pool
    assert others is not None
    predicted = trained(features, kind, 0.2, classes=2).probe.predicted(others)
    assert predicted.tolist() == peer(features, kind, 0.2).predict(others.double().numpy()).tolist()


# --- leave-one-out ----------------------------------------------------------------------------------------------------


def without(kind: Kind, x: np.ndarray, labels: np.ndarray, i: int, s: float) -> np.ndarray:
    """Scores of row i by a probe of the others; shares and the amount of shrinkage are those of all rows."""
    n, width = x.shape
    shares, rest = np.bincount(labels) / n, np.arange(n) != i
    centres = np.stack([x[labels == c].mean(0) if kind == "lda" else x.mean(0) for c in range(len(shares))])
    level = np.square(x - centres[labels]).sum() / n / width * np.eye(width)
    row, x, y = x[i], x[rest], labels[rest]
    if kind == "lda":
        means = np.stack([x[y == c].mean(0) for c in range(len(shares))])
        covariance = (1 - s) * (x - means[y]).T @ (x - means[y]) / n + s * level
        return np.log(shares) - np.einsum("cd,de,ce->c", row - means, np.linalg.inv(covariance), row - means) / 2
    about, targets = x - x.mean(0), np.eye(len(shares))[y]
    return shares + (row - x.mean(0)) @ np.linalg.solve(about.T @ about + s / (1 - s) * n * level, about.T @ targets)


@every_kind
@pytest.mark.parametrize(("sizes", "width"), [([7, 12, 9, 2], 3), ([5, 4, 3, 3], 40)])
@given(seed=SEEDS)
def test_a_row_left_out_is_scored_by_a_probe_of_the_others(kind: Kind, sizes: list[int], width: int, seed: int) -> None:
    features = labelled(seed, sizes, width)
    x, labels = arrays(features)
    expected = np.stack([without(kind, x, labels, i, 0.1) for i in range(len(x))])
    np.testing.assert_allclose(left_out(trained(features, kind, 0.1), features).numpy(), expected, rtol=1e-8, atol=1e-8)


@every_kind
def test_it_is_close_to_scikit_learns_leave_one_out(kind: Kind) -> None:
    features = labelled(0, [40, 50, 60, 50], 6, apart=2)
    x, labels = arrays(features)
    expected = cross_val_score(peer(features, kind, 0.1), x, labels, cv=LeaveOneOut()).mean()
    found = best(left_out(trained(features, kind, 0.1), features)).numpy() == labels
    assert 0.5 < expected < 0.9
    assert found.mean() == pytest.approx(expected, abs=0.015)


@every_kind
@pytest.mark.parametrize(("width", "shrinkage"), [(1, 0.9), (20, 0.1), (100, 0.1)])
def test_of_noise_it_is_chance(kind: Kind, width: int, shrinkage: float) -> None:
    found = []
    for seed in range(30):
        features = labelled(seed, [20, 20], width, apart=0)
        fit = trained(features, kind, shrinkage, classes=2)
        found.append((best(left_out(fit, features)) == features.labels).double().mean().item())
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)


def test_plain_leave_one_out_of_noise_is_far_below_chance() -> None:
    x, labels = arrays(labelled(0, [20, 20], 1, apart=0))
    assert cross_val_score(RidgeClassifier(alpha=1e6), x, labels, cv=LeaveOneOut()).mean() == 0


@every_kind
def test_of_a_class_of_one_nothing_is_known_without_it(kind: Kind) -> None:
    features = labelled(0, [20, 1, 20], 4, apart=9)
    assert features.labels is not None
    scores = left_out(trained(features, kind, 0.1, classes=3), features)
    alone = features.labels == 1
    assert scores[alone, 1].isneginf().all()
    assert scores[~alone].isfinite().all()


# --- features of any scale, and none ----------------------------------------------------------------------------------

SCALED: dict[str, Callable[[Tensor], Tensor]] = {
    "1e6": lambda rows: rows * 1e6,
    "1e-12": lambda rows: rows * 1e-12,
    "moved by 1e4": lambda rows: rows + 1e4,
}


@every_kind
@pytest.mark.parametrize("scaled", SCALED.values(), ids=SCALED)
def test_scale_and_place_do_not_matter(kind: Kind, scaled: Callable[[Tensor], Tensor]) -> None:
    features, others = labelled(0, [30, 30, 30, 30], 5), labelled(1, [90, 90, 90, 90], 5).pool
    assert features.pool is not None
    assert others is not None
    there = features.having(pool=scaled(features.pool.double()))
    expected = trained(features, kind, 0.1)
    found = trained(there, kind, 0.1)
    assert torch.allclose(found.probe.scores(scaled(others.double())), expected.probe.scores(others), atol=1e-5)
    assert torch.allclose(left_out(found, there), left_out(expected, features), atol=1e-5)


@every_kind
def test_a_large_constant_does_not_hide_what_others_say(kind: Kind) -> None:
    features = labelled(0, [30, 30, 30, 30], 5)
    assert features.pool is not None
    beside = features.having(pool=torch.cat([1e-3 * features.pool, torch.full((120, 1), 1e6)], 1))
    found, expected = trained(beside, kind, 0.1), trained(features, kind, 0.1)
    agreement = found.probe.predicted(beside.pool) == expected.probe.predicted(features.pool)
    assert agreement.double().mean() > 0.9
    assert (best(left_out(found, beside)) == best(left_out(expected, features))).double().mean() > 0.9


@every_kind
@given(seed=SEEDS)
def test_classes_apart_by_little_more_than_rounding_are_fitted(kind: Kind, seed: int) -> None:
    features = labelled(seed, [10, 10, 10, 10], 100)
    assert features.pool is not None
    near = features.having(pool=1 + 1e-6 * features.pool.double())
    assert trained(near, kind, 0.001).probe.scores(features.pool).isfinite().all()


EQUAL = {
    "zeros": torch.zeros(7),
    "1e5": normal(0, 1, 7)[0] + 1e5,
    "0.1, in float64": torch.full((7,), 0.1, dtype=torch.float64),  # whose sums round
    "1e5, in float64": normal(0, 1, 7)[0].double() / 3 + 1e5,
}


@every_kind
@pytest.mark.parametrize("row", EQUAL.values(), ids=EQUAL)
@pytest.mark.parametrize(("sizes", "predicted"), [([5, 9, 0, 8], 1), ([0, 6, 6, 6], 1)])
def test_of_one_row_the_commonest_class_is_predicted(kind: Kind, row: Tensor, sizes: list[int], predicted: int) -> None:
    features = labelled(0, sizes, 7).having(pool=row.repeat(sum(sizes), 1))
    fit = trained(features, kind, 0.1)
    others = torch.cat([row + normal(1, 50, 7), row.view(1, 7), 1e3 * normal(2, 50, 7)])
    assert set(fit.probe.predicted(others).tolist()) == {predicted}
    assert best(left_out(fit, features)).tolist() == [predicted] * sum(sizes)


@every_kind
def test_classes_of_one_row_each_are_told_apart(kind: Kind) -> None:
    features = labelled(0, [30, 40, 50, 60], 9)
    assert features.labels is not None
    rows = 4 * torch.eye(4, 9) + 100
    fit = trained(features.having(pool=rows[features.labels]), kind, 0.1)
    noisy = rows.repeat(20, 1) + 0.3 * normal(1, 80, 9)
    assert fit.probe.predicted(noisy).tolist() == [0, 1, 2, 3] * 20
    assert torch.equal(best(left_out(fit, features.having(pool=rows[features.labels]))), features.labels)


def test_of_scores_equal_up_to_rounding_the_first_counts() -> None:
    scores = torch.tensor([[1.0, 1.0 + 1e-12, 0.0], [0.0, 1.0, 1.0 + 1e-6], [-torch.inf, 3e9, 3e9 + 1e-6]])
    assert best(scores.double()).tolist() == [0, 2, 1]


@every_kind
@given(seed=SEEDS)
def test_rows_midway_between_classes_are_told_alike_in_any_order(kind: Kind, seed: int) -> None:
    """Such rows score the same for both classes, and sums that round another way would toss a coin."""
    rows = torch.tensor([[-1.0, 0.3], [-3.0, -0.7], [-2.0, 0.1], [1.0, 0.3], [3.0, -0.7], [2.0, 0.1]]).repeat(9, 1)
    features = Features(rows / 7, labels=(rows[:, 0] > 0).long(), index=torch.arange(54))
    order = torch.randperm(54, generator=torch.Generator().manual_seed(seed))
    midway = torch.tensor([[0.0, -0.1], [0.0, 5.0], [0.0, 1 / 3]])
    assert trained(features[order], kind, 0.1, classes=2).probe.predicted(midway).tolist() == [0, 0, 0]
