"""Logistic regression against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from streaming_metrics.measures.logistic import logistic_regression


def drawn(n: int, width: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(n + width)
    signs = np.where(random.uniform(size=n) < 0.4, 1.0, -1.0)
    return random.standard_normal((n, width)) + shift * signs[:, None], signs


@pytest.mark.parametrize(("n", "width", "shift"), [(60, 3, 0.2), (40, 100, 0.0), (50, 2, 5.0), (200, 20, 0.1)])
@pytest.mark.parametrize("penalty", [1.0, 0.05])
def test_function_is_scikit_learns(n: int, width: int, shift: float, penalty: float) -> None:
    x, signs = drawn(n, width, shift)
    peer = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000).fit(x, signs)
    found = logistic_regression(x, signs, penalty)
    unseen = np.random.RandomState(0).standard_normal((30, width))
    assert found(unseen) == pytest.approx(peer.decision_function(unseen), rel=1e-3, abs=1e-3)


def test_without_a_difference_only_the_bias_is_left() -> None:
    found = logistic_regression(np.zeros((40, 3)), np.repeat([1.0, -1.0], [30, 10]))
    assert found(np.zeros((1, 3))) == pytest.approx([np.log(3)], abs=1e-5)
