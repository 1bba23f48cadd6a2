"""The AM score against SciPy's entropies sample by sample, closed forms, and classes that are lost."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import entropy
from scores import normal, score_predictions

from streaming_metrics import AMScore, BiasWarning, Features, GenerativeMetrics, NotEnoughSamples

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")  # rows repeat on purpose

SURE = 2000 * torch.eye(4)
"""Predictions with probabilities below what float64 holds."""


def am_score(real: torch.Tensor, fake: torch.Tensor) -> float:
    return score_predictions(AMScore(), real, fake)["am_score"]


@given(st.integers(0, 2**31 - 1), st.integers(7, 60), st.integers(7, 60))
def test_it_is_the_formula_sample_by_sample(seed: int, n: int, m: int) -> None:
    real, fake = normal(seed, n, 7, std=2.0), normal(seed + 1, m, 7, 0.5, 3.0)
    p, q = (softmax(side.double().numpy(), 1) for side in (fake, real))
    expected = np.mean([entropy(row) for row in p]) + entropy(q.mean(0), p.mean(0))
    assert am_score(real, fake) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [
        ([0, 1, 2, 3], [3, 2, 1, 0], 0),
        ([0, 0, 0, 1], [0, 1, 0, 0], 0),  # sure, and unbalanced as real ones are
        ([0, 0, 0, 1], [0, 1, 0, 1], 0.75 * log(1.5) + 0.25 * log(0.5)),
        ([0, 0, 1, 1], [0, 0, 0, 0], 0.5 * log(0.5) + 0.5 * log(0.5e18)),  # a lost class costs what the authors' does
        ([0, 0, 0, 0], [1, 1, 1, 1], log(1e18)),
    ],
)
def test_sure_predictions_have_a_closed_form(real: list[int], fake: list[int], expected: float) -> None:
    assert am_score(SURE[real], SURE[fake]) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_unsure_predictions_cost_their_entropy() -> None:
    assert am_score(SURE, torch.zeros(5, 4)) == pytest.approx(log(4), rel=1e-9)


def test_no_samples_and_few_are_told() -> None:
    metric = GenerativeMetrics([AMScore()], extractor=None, num_classes=4)
    metric.update(Features(logits=SURE), real=True)
    with pytest.raises(NotEnoughSamples, match="AMScore needs at least 1 fake samples, got 0"):
        metric.compute()
    metric.update(Features(logits=SURE[:3]), real=False)
    with pytest.warns(BiasWarning, match="AMScore: 3 fake samples of 4 classes"):
        metric.compute()
