"""JEDi: the biased MMD of a polynomial kernel, of sums alone."""

from __future__ import annotations

import pytest
import torch
from scores import normal, score
from torch import Tensor

from streaming_metrics import GenerativeMetrics, JEDi
from streaming_metrics.statistics import SecondMoment

REAL, FAKE = normal(0, 60, 7).double(), 1.2 * normal(1, 45, 7).double() + 0.3


def of_definition(real: Tensor, fake: Tensor) -> float:
    """Return 100 times the mean of the kernel (xᵀy / D)² over all pairs: within sides, less twice across them."""
    width = real.shape[1]

    def kernel(x: Tensor, y: Tensor) -> float:
        return ((x @ y.T / width) ** 2).mean().item()

    return 100 * (kernel(real, real) + kernel(fake, fake) - 2 * kernel(real, fake))


def test_equals_its_definition() -> None:
    assert score(JEDi(), REAL, FAKE)["jedi"] == pytest.approx(of_definition(REAL, FAKE), rel=1e-12)


def test_equals_scikit_learn() -> None:
    from sklearn.metrics.pairwise import polynomial_kernel

    within = [polynomial_kernel(side, side, degree=2, coef0=0).mean() for side in (REAL, FAKE)]
    theirs = 100 * (sum(within) - 2 * polynomial_kernel(REAL, FAKE, degree=2, coef0=0).mean())
    assert score(JEDi(), REAL, FAKE)["jedi"] == pytest.approx(theirs, rel=1e-9)


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_closed_forms() -> None:
    one, other = torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 3.0]])
    assert score(JEDi(), one, other)["jedi"] == pytest.approx(100 * 2 * 81 / 9)
    assert score(JEDi(), REAL, -REAL)["jedi"] == 0, "it knows no sign"
    assert score(JEDi(), REAL, REAL)["jedi"] == 0
    assert score(JEDi(), torch.full((4, 1), 2.0), torch.full((3, 1), 1.0))["jedi"] == 100 * (4 - 1) ** 2
    assert score(JEDi(), 2 * REAL, 2 * FAKE)["jedi"] == pytest.approx(16 * score(JEDi(), REAL, FAKE)["jedi"])


def test_nothing_is_kept_but_sums() -> None:
    metric = GenerativeMetrics([JEDi()], extractor=None, num_features=7)
    assert set(JEDi().statistics(metric.spec)["fake"]) == {SecondMoment(7, normalized=False)}


def test_no_samples() -> None:
    metric = GenerativeMetrics([JEDi()], extractor=None, num_features=7)
    metric.update(REAL, real=True)
    with pytest.raises(RuntimeError, match="JEDi needs at least 1 fake samples, got 0"):
        metric.compute()
