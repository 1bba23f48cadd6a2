"""The mode score against SciPy's entropies sample by sample, and its printed form, which is the Inception Score."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import entropy
from scores import normal, score_logits, score_predictions

from streaming_metrics import IS, BiasWarning, Features, GenerativeMetrics, ModeScore, NotEnoughSamples

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")  # rows repeat on purpose

SEEDS = st.integers(0, 2**31 - 1)
SURE = 100 * torch.eye(4)


def mode_score(real: torch.Tensor, fake: torch.Tensor) -> float:
    return score_predictions(ModeScore(), real, fake)["mode_score"]


def sensitive(p: np.ndarray, q: np.ndarray) -> float:
    """exp(E KL(p‖p̄) − KL(p̄‖q̄)), a sample at a time."""
    return exp(np.mean([entropy(row, p.mean(0)) for row in p]) - entropy(p.mean(0), q.mean(0)))


def as_printed(p: np.ndarray, q: np.ndarray) -> float:
    """exp(E KL(p‖q̄) − KL(p̄‖q̄)), a sample at a time."""
    return exp(np.mean([entropy(row, q.mean(0)) for row in p]) - entropy(p.mean(0), q.mean(0)))


@given(SEEDS, st.integers(7, 60), st.integers(7, 60))
def test_it_is_the_sensitive_form(seed: int, n: int, m: int) -> None:
    real, fake = normal(seed, n, 7, std=2.0), normal(seed + 1, m, 7, 0.5, 3.0)
    p, q = (softmax(side.double().numpy(), 1) for side in (fake, real))
    assert mode_score(real, fake) == pytest.approx(sensitive(p, q), rel=1e-9)


@given(SEEDS, st.integers(7, 60), st.floats(0, 5))
def test_as_printed_it_is_the_inception_score_of_one_split_whatever_is_real(seed: int, m: int, std: float) -> None:
    real, fake = normal(seed, 30, 7, 1.0, std), normal(seed + 1, m, 7, std=3.0)
    p, q = (softmax(side.double().numpy(), 1) for side in (fake, real))
    assert score_logits(IS(splits=1), fake)["is"] == pytest.approx(as_printed(p, q), rel=1e-9)


def test_equal_labels_give_the_inception_score() -> None:
    logits = normal(0, 50, 7, std=3.0)
    assert mode_score(logits, logits.flip(0)) == pytest.approx(score_logits(IS(splits=1), logits)["is"], rel=1e-12)


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3], 4),
        ([0, 1, 2, 3], [0, 1, 0, 1], 1),  # 2 classes of 4: IS 2, halved
        ([0, 1, 2, 3], [2, 2, 2, 2], 0.25),
        ([0, 0, 0, 1], [0, 0, 0, 1], exp(-0.75 * log(0.75) - 0.25 * log(0.25))),
        ([2, 2, 2, 2], [2, 2, 2, 2], 1),
    ],
)
def test_sure_predictions_have_a_closed_form(real: list[int], fake: list[int], expected: float) -> None:
    assert mode_score(SURE[real], SURE[fake]) == pytest.approx(expected, rel=1e-9)


def test_a_class_that_real_samples_cannot_be_scores_0() -> None:
    far = 2000 * torch.eye(4)  # a probability below what float64 holds
    assert mode_score(far[[0, 0, 1, 1]], far[[0, 1, 2, 3]]) == 0


def test_no_samples_and_few_are_told() -> None:
    metric = GenerativeMetrics([ModeScore()], extractor=None, num_classes=4)
    metric.update(Features(logits=SURE), real=False)
    with pytest.raises(NotEnoughSamples, match="ModeScore needs at least 1 real samples, got 0"):
        metric.compute()
    metric.update(Features(logits=SURE[:3]), real=True)
    with pytest.warns(BiasWarning, match="ModeScore: 3 real samples of 4 classes"):
        metric.compute()
