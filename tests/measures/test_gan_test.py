"""GAN-test against scikit-learn's classifiers; bound and not; what of a frozen side is refused."""

from __future__ import annotations

import pytest
import torch
from by_hand import lives
from scores import labelled, score_labelled
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeClassifier

from streaming_metrics import CAS, BiasWarning, Features, GANTest, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.statistics import ProbeHits

EMPTY = torch.empty(0)


def gan_test(real: Features, fake: Features, measure: GANTest | None = None) -> float:
    return score_labelled(measure or GANTest(3), real, fake)["gan_test"]


def test_it_is_the_accuracy_of_scikit_learns_classifiers() -> None:
    real, fake = labelled(0, [90, 100, 50], 5), labelled(1, [100, 90, 110], 5, shift=0.2)
    assert real.pool is not None
    assert real.labels is not None
    assert fake.pool is not None
    assert fake.labels is not None
    x, y = real.pool.double().numpy(), real.labels.numpy()
    penalty = 0.25 / 0.75 * ((x - x.mean(0)) ** 2).sum() / 5
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.25)
    expected = [
        peer.fit(x, y).score(fake.pool.double().numpy(), fake.labels.numpy())
        for peer in (lda, RidgeClassifier(alpha=penalty))
    ]
    found = [gan_test(real, fake, GANTest(3, kind, 0.25)) for kind in ("lda", "ridge")]
    assert found == pytest.approx(expected, abs=1e-12)


def test_it_is_cas_with_the_sides_swapped() -> None:
    real, fake = labelled(0, [90, 100, 50], 5), labelled(1, [100, 90, 110], 5, shift=0.2)
    assert gan_test(real, fake) == score_labelled(CAS(3), fake, real)["cas"]


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_one_clear_image_of_each_class_scores_1() -> None:
    labels = torch.arange(30) % 3
    collapsed = Features(4 * torch.eye(3, 5)[labels], labels=labels, index=torch.arange(30))
    assert gan_test(labelled(0, [90, 90, 90], 5), collapsed) == 1


@pytest.mark.parametrize("measure", [GANTest(3), GANTest(3, "ridge", 0.5)], ids=repr)
def test_freezing_the_real_side_leaves_two_counts(measure: GANTest) -> None:
    samples = {"real": labelled(0, [40, 30, 50], 4), "fake": labelled(1, [30, 30, 30], 4, shift=0.3)}
    found = lives(measure, samples, "real")
    assert {lived.values["gan_test"] for lived in found.values()} == {
        gan_test(samples["real"], samples["fake"], measure)
    }
    assert {how: lived.rows_kept for how, lived in found.items()} == dict.fromkeys(found, 0) | {"nothing frozen": 90}


def test_a_class_without_real_samples_is_never_predicted_and_told() -> None:
    real, fake = labelled(0, [50, 0, 50], 4, apart=9), labelled(1, [30, 10, 60], 4, apart=9)
    with pytest.warns(
        BiasWarning, match=r"GANTest: 1 classes have no real samples, the first of them 1:.*Remedy: real"
    ):
        assert gan_test(real, fake) == pytest.approx(0.9)


def test_of_equal_real_samples_the_commonest_class_is_predicted() -> None:
    real, fake = labelled(0, [5, 9, 6], 4), labelled(1, [30, 10, 60], 4)
    with pytest.warns(UserWarning, match="distinct"):
        assert gan_test(real.having(pool=torch.ones(20, 4)), fake) == pytest.approx(0.1)


def test_what_it_needs_is_told() -> None:
    with pytest.raises(NotEnoughSamples, match="GANTest needs at least 2 real samples, got 1"):
        gan_test(labelled(0, [1, 0, 0], 2), labelled(1, [3, 3, 3], 2))
    with pytest.raises(NotEnoughSamples, match="GANTest needs at least 1 fake samples, got 0"):
        gan_test(labelled(0, [3, 3, 3], 2), labelled(1, [0, 0, 0], 2))


@pytest.mark.parametrize("counts", [[3, 3], [3, 3, 5], [10, 1, -1], [3, 3, 3, 1]])
def test_counts_of_other_samples_are_refused(counts: list[int]) -> None:
    prepared = {"weights": torch.zeros(3, 5).double(), "counts": torch.tensor(counts)}
    with pytest.raises(ValueError, match="expected weights of 3 classes and counts of 10 samples in them, got"):
        GANTest(3).check_prepared(prepared, 10)
    GANTest(3).check_prepared(prepared | {"counts": torch.tensor([3, 3, 4])}, 10)


def test_two_ways_of_training_stand_side_by_side() -> None:
    measures = [GANTest(3), GANTest(3, "ridge"), GANTest(3, shrinkage=0.5)]
    real, fake = labelled(0, [40, 30, 50], 4), labelled(1, [30, 30, 30], 4, shift=0.3)
    metric = GenerativeMetrics(measures, extractor=None, num_features=4)
    metric.update(real, real=True)
    metric.freeze_real()
    metric.update(fake, real=False)
    assert [v.item() for v in metric.compute().values()] == [gan_test(real, fake, measure) for measure in measures]


def test_more_hits_than_samples_are_no_state() -> None:
    with pytest.raises(ValueError, match="no more hits than samples"):
        ProbeHits(4, 3).check({"counts": torch.tensor([3, 4])})
