"""Adversarial divergence against an integral of the populations' posteriors, and against scikit-learn's; accuracies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit, rel_entr
from scipy.stats import norm
from scores import labelled, score_labelled
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from streaming_metrics import CAS, AdversarialDivergence, Features, NotEnoughSamples
from streaming_metrics.measures.adversarial_divergence import divergence


def values_of(real: Features, fake: Features, classes: int = 3, shrinkage: float = 0.1) -> dict[str, float]:
    return score_labelled(AdversarialDivergence(classes, shrinkage), real, fake)


def integral(shift: float) -> float:
    """Divergence of posteriors of classes N(0, 1) and N(2, 1) that are generated ``shift`` to the right."""

    def at(x: float) -> float:
        p, q = (expit(2 * (x - moved) - 2) for moved in (shift, 0.0))
        return (norm.pdf(x) + norm.pdf(x, 2)) / 2 * (rel_entr(p, q) + rel_entr(1 - p, 1 - q))

    return quad(at, -9, 11)[0]


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_of_many_samples_it_is_the_populations(shift: float) -> None:
    real, fake = labelled(0, [20_000, 20_000], 1, apart=2), labelled(1, [20_000, 20_000], 1, apart=2, shift=shift)
    found = score_labelled(AdversarialDivergence(2), real, fake, batch_size=10_000)["adversarial_divergence"]
    assert found == pytest.approx(integral(shift), rel=0.05, abs=1e-3)


def test_posteriors_are_scikit_learns() -> None:
    """Of real samples that are many, leaving one out changes next to nothing."""
    real, fake = labelled(0, [900, 700, 800], 4), labelled(1, [300, 300, 100], 4, apart=0.8)
    fits = []
    for side in (fake, real):
        assert side.pool is not None
        assert side.labels is not None
        peer = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)
        fits.append(peer.fit(side.pool.double().numpy(), side.labels.numpy()))
    assert real.pool is not None
    p, q = (fit.predict_proba(real.pool.double().numpy()) for fit in fits)
    found = values_of(real, fake)["adversarial_divergence"]
    assert found == pytest.approx(np.mean(rel_entr(p, q).sum(1)), rel=0.02)
    assert found > 0.1


def test_its_accuracies_are_those_of_cas() -> None:
    real, fake = labelled(0, [40, 40, 40], 9), labelled(1, [30, 20, 60], 9, shift=0.3)
    values, accuracies = values_of(real, fake), score_labelled(CAS(3), real, fake)
    assert values["adversarial_accuracy"] == accuracies["cas"]
    assert values["adversarial_accuracy_real"] == accuracies["cas_real"]


def test_it_falls_with_the_number_of_samples_of_one_distribution() -> None:
    found = [
        values_of(labelled(0, [n, n, n], 20), labelled(1, [n, n, n], 20))["adversarial_divergence"]
        for n in (20, 100, 1000)
    ]
    assert found[0] > 5 * found[1] > 20 * found[2] > 0


def test_more_shrinkage_makes_posteriors_of_few_samples_less_sure() -> None:
    real, fake = labelled(0, [20, 20, 20], 50), labelled(1, [20, 20, 20], 50)
    found = [values_of(real, fake, shrinkage=s)["adversarial_divergence"] for s in (0.01, 0.1, 0.9)]
    assert found == sorted(found, reverse=True)


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
@pytest.mark.parametrize("sizes", [[40, 0, 40], [0, 0, 9], [1, 0, 0]])
@pytest.mark.parametrize("collapsed", [False, True])
def test_dropped_classes_and_a_collapsed_generator_are_finite_and_far(sizes: list[int], collapsed: bool) -> None:
    real, fake = labelled(0, [40, 40, 40], 4, apart=4), labelled(1, sizes, 4, apart=4)
    if collapsed:
        fake = fake.having(pool=torch.ones(len(fake), 4))
    alike = values_of(real, labelled(1, [40, 40, 40], 4, apart=4))["adversarial_divergence"]
    found = values_of(real, fake)["adversarial_divergence"]
    assert 10 * alike < found < 1000


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_real_classes_of_one_row_each_are_finite() -> None:
    real, fake = labelled(0, [20, 20, 20], 4), labelled(1, [20, 20, 20], 4)
    assert real.labels is not None
    found = values_of(real.having(pool=torch.eye(3, 4)[real.labels]), fake)
    assert np.isfinite(list(found.values())).all()


def test_real_classes_of_fewer_than_two_samples_are_named() -> None:
    with pytest.raises(NotEnoughSamples, match="AdversarialDivergence needs at least 2 real samples of each class"):
        values_of(labelled(0, [9, 1, 9], 2), labelled(1, [9, 9, 9], 2))


def test_the_divergence_is_scipys() -> None:
    scores, others = (3 * torch.randn(50, 6, generator=torch.Generator().manual_seed(s)).double() for s in (0, 1))
    p, q = (given.softmax(1).numpy() for given in (scores, others))
    np.testing.assert_allclose(divergence(scores, others).numpy(), rel_entr(p, q).sum(1), rtol=1e-12)
