"""The modified Inception Score against SciPy's KL divergence of every pair, closed forms, and what it keeps."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import entropy
from scores import normal, score_logits

from streaming_metrics import GenerativeMetrics, ModifiedIS, NotEnoughSamples
from streaming_metrics.features import Features
from streaming_metrics.measures.modified_inception_score import ClassPredictions

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")  # rows repeat on purpose


def modified(logits: torch.Tensor) -> float:
    return score_logits(ModifiedIS(), logits)["modified_is"]


def over_pairs(logits: torch.Tensor) -> float:
    """exp of the mean divergence of all pairs of a predicted class, mean over the classes that there are."""
    p = softmax(logits.double().numpy(), 1)
    classes = [p[p.argmax(1) == c] for c in np.unique(p.argmax(1))]
    return float(np.mean([exp(entropy(of_one[:, None], of_one[None], axis=2).mean()) for of_one in classes]))


@pytest.mark.parametrize(("classes", "n"), [(2, 40), (5, 23), (30, 12)])
@given(seed=st.integers(0, 2**31 - 1))
def test_it_is_the_formula_over_all_pairs(classes: int, n: int, seed: int) -> None:
    logits = normal(seed, n, classes, std=2.0)
    assert modified(logits) == pytest.approx(over_pairs(logits), rel=1e-9)


@pytest.mark.parametrize("logits", [torch.zeros(9, 3), 100 * torch.eye(5), torch.tensor([[0.5, -1.0]])])
def test_equal_predictions_within_classes_score_1(logits: torch.Tensor) -> None:
    assert modified(logits) == pytest.approx(1, abs=1e-9)


def test_two_predictions_of_one_class_have_a_closed_form() -> None:
    p = np.array([[0.9, 0.1], [0.6, 0.4]])
    expected = exp((entropy(p[0], p[1]) + entropy(p[1], p[0])) / 4)  # of 4 pairs two are of a sample with itself
    assert modified(torch.from_numpy(np.log(p))) == pytest.approx(expected, rel=1e-12)


def test_classes_count_alike_however_many_samples_they_have() -> None:
    spread = torch.tensor([[0.0, 3.0], [0.0, 0.5]])
    alone = modified(spread)
    assert modified(torch.cat([spread, torch.tensor([[2.0, 0.0]]).repeat(50, 1)])) == pytest.approx((alone + 1) / 2)


def test_of_equal_logits_the_first_is_the_class() -> None:
    counts = ClassPredictions(3).update(ClassPredictions(3).empty(), Features(logits=torch.zeros(4, 3)))["counts"]
    assert counts.tolist() == [4, 0, 0]


def test_probabilities_beyond_float64_are_no_nan() -> None:
    logits = torch.tensor([[5.0, 0.0, -900.0], [5.0, -900.0, 0.0]])
    p, log_p = logits.double().softmax(1), logits.double().log_softmax(1)
    mean = (p * log_p).sum(1).mean() - (p.mean(0) * log_p.mean(0)).sum()
    assert modified(logits) == pytest.approx(mean.exp().item(), rel=1e-9)


def test_sums_that_no_predictions_can_have_are_refused() -> None:
    sums = ClassPredictions(3)
    state = sums.update(sums.empty(), Features(logits=normal(0, 9, 3)))
    for key, wrong in {"counts": 0.5, "p": 1.0, "log_p": 99.0, "negentropy": 99.0}.items():
        with pytest.raises(ValueError, match="State class_predictions_3: expected"):
            sums.check(state | {key: state[key] + wrong})


def test_no_samples_are_refused() -> None:
    with pytest.raises(NotEnoughSamples, match="ModifiedIS needs at least 1 fake samples"):
        GenerativeMetrics([ModifiedIS()], extractor=None, num_classes=4).compute()
