"""CAS against scikit-learn's classifiers of the same features; classes that a side lacks, collapse, label shift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from scores import labelled, score_labelled
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeClassifier

from streaming_metrics import CAS, Features, GenerativeMetrics, NotEnoughSamples

if TYPE_CHECKING:
    from conftest import Ranks

    from streaming_metrics.measures.probes import Kind

repeats = pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
KINDS: list[Kind] = ["lda", "ridge"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def digits() -> Features:
    data = load_digits()
    order = torch.randperm(len(data.data), generator=torch.Generator().manual_seed(0))[:900]
    return Features(torch.tensor(data.data)[order].float(), labels=torch.tensor(data.target)[order], index=order)


def labels_of(features: Features) -> torch.Tensor:
    assert features.labels is not None
    return features.labels


def cas(real: Features, fake: Features, kind: Kind = "lda", shrinkage: float = 0.1, classes: int = 3) -> list[float]:
    return list(score_labelled(CAS(classes, kind, shrinkage), real, fake).values())


# --- value ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shrinkage", [0.01, 0.3])
def test_digits_are_told_as_by_scikit_learn(shrinkage: float) -> None:
    every = digits()
    real, fake = every[slice(0, 400)], every[slice(400, 900)]
    assert real.pool is not None
    assert fake.pool is not None
    x, y = fake.pool.double().numpy(), labels_of(fake).numpy()
    penalty = shrinkage / (1 - shrinkage) * ((x - x.mean(0)) ** 2).sum() / x.shape[1]
    peers = {
        "lda": LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage),
        "ridge": RidgeClassifier(alpha=penalty),
    }
    for kind, peer in peers.items():
        expected = peer.fit(x, y).score(real.pool.double().numpy(), labels_of(real).numpy())
        assert cas(real, fake, kind, shrinkage, classes=10)[0] == pytest.approx(expected, abs=1e-12)  # pyright: ignore


@every_kind
def test_of_one_distribution_it_is_what_real_samples_reach(kind: Kind) -> None:
    found, reached = cas(labelled(0, [300, 300, 300], 8), labelled(1, [300, 300, 300], 8), kind)
    assert 0.7 < reached < 0.95
    assert found == pytest.approx(reached, abs=0.02)


@every_kind
def test_features_that_say_nothing_of_the_class_give_chance(kind: Kind) -> None:
    real, fake = labelled(0, [200, 200, 200], 5, apart=0), labelled(1, [200, 200, 200], 5, apart=0)
    assert cas(real, fake, kind) == pytest.approx([1 / 3, 1 / 3], abs=0.05)


@every_kind
@repeats
def test_copies_of_real_samples_score_above_what_these_reach(kind: Kind) -> None:
    real = labelled(0, [20, 20, 20], 30, apart=1)
    found, reached = cas(real, real, kind)
    assert found > reached + 0.2


@every_kind
def test_mixed_up_labels_are_seen(kind: Kind) -> None:
    real, fake = labelled(0, [100, 100, 100], 4, apart=9), labelled(1, [100, 100, 100], 4, apart=9)
    assert cas(real, fake, kind) == [1, 1]
    assert cas(real, fake.having(labels=(labels_of(fake) + 1) % 3), kind) == [0, 1]


# --- classes ----------------------------------------------------------------------------------------------------------


@every_kind
def test_a_class_that_is_not_generated_is_never_predicted(kind: Kind) -> None:
    real, fake = labelled(0, [50, 30, 20], 4, apart=9), labelled(1, [80, 0, 80], 4, apart=9)
    found, reached = cas(real, fake, kind)
    assert found == pytest.approx(0.7)
    assert reached == 1


@every_kind
def test_of_one_generated_class_alone_it_is_the_share_of_that_class(kind: Kind) -> None:
    assert cas(labelled(0, [50, 30, 20], 4), labelled(1, [0, 40, 0], 4), kind)[0] == pytest.approx(0.3)


@every_kind
@repeats
def test_a_collapsed_generator_gives_the_share_of_its_commonest_class(kind: Kind) -> None:
    real, fake = labelled(0, [50, 30, 20], 4), labelled(1, [20, 20, 40], 4)
    collapsed = fake.having(pool=torch.full((80, 4), 0.7))
    assert cas(real, collapsed, kind)[0] == pytest.approx(0.2)


@every_kind
def test_one_generated_sample_is_enough(kind: Kind) -> None:
    assert cas(labelled(0, [50, 30, 20], 4), labelled(1, [1, 0, 0], 4), kind)[0] == pytest.approx(0.5)


def test_shares_of_classes_that_shift_cost_accuracy() -> None:
    real = labelled(0, [300, 300], 2, apart=1.5)
    sides = [labelled(1, sizes, 2, apart=1.5) for sizes in ([300, 300], [580, 20])]
    (alike, shifted), (_, shifted_ridge) = ([cas(real, fake, kind, classes=2)[0] for fake in sides] for kind in KINDS)
    assert shifted < alike - 0.1
    assert shifted_ridge < shifted


@pytest.mark.parametrize(
    ("sizes", "told"), [([4, 1, 4], "fewer of 1 of 3: 1. Remedy"), ([9, 0, 1], "fewer of 2 of 3: 1, 2. Remedy")]
)
def test_real_classes_of_fewer_than_two_samples_are_named(sizes: list[int], told: str) -> None:
    with pytest.raises(NotEnoughSamples, match=f"CAS needs at least 2 real samples of each class, got {told}"):
        cas(labelled(0, sizes, 2), labelled(1, [5, 5, 5], 2))


def test_many_short_classes_are_named_by_the_first() -> None:
    with pytest.raises(NotEnoughSamples, match=r"fewer of 14 of 15: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …\. Remedy"):
        cas(labelled(0, [16] + [1] * 14, 2), labelled(1, [4] * 15, 2), classes=15)


def test_without_labels_nothing_is_added() -> None:
    metric = GenerativeMetrics([CAS(classes=3)], extractor=None, num_features=2)
    with pytest.raises(ValueError, match="labels"):
        metric.update(Features(torch.zeros(4, 2)), real=False)
    with pytest.raises(ValueError, match=r"labels: expected classes in \[0, 3\), got 0 to 3"):
        metric.update(Features(torch.zeros(4, 2), labels=torch.arange(4)), real=False)
    assert metric.num_samples("fake") == 0


# --- options ----------------------------------------------------------------------------------------------------------


def test_wrong_options_are_refused() -> None:
    for shrinkage, told in ((0.0, "of at least 0.001"), (1.5, "at most 1, got 1.5")):
        with pytest.raises(ValueError, match=f"CAS shrinkage: .*{told}"):
            CAS(classes=3, shrinkage=shrinkage)
    with pytest.raises(ValueError, match=r"CAS probe: expected one of .*, got 'mlp'. Remedy: probe='lda'"):
        CAS(classes=3, probe="mlp")  # pyright: ignore[reportArgumentType]


# --- a side that goes on ----------------------------------------------------------------------------------------------


def test_what_was_made_of_a_side_does_not_outlive_it() -> None:
    real, fake = labelled(0, [30, 30, 30], 4), labelled(1, [30, 30, 30], 4)
    metric = GenerativeMetrics([CAS(classes=3)], extractor=None, num_features=4)
    metric.update(real[slice(0, 40)], real=True)
    metric.update(fake, real=False)
    metric.compute()
    metric.update(real[slice(40, 90)], real=True)
    assert [value.item() for value in metric.compute().values()] == cas(real, fake)
    metric.freeze_real()
    metric.reset()
    metric.update(fake[slice(0, 50)], real=False)
    assert [value.item() for value in metric.compute().values()] == cas(real, fake[slice(0, 50)])


def computed_twice(group: Any, sides: tuple[Features, Features]) -> list[list[float]]:
    real, fake = sides
    metric = GenerativeMetrics([CAS(classes=3)], extractor=None, num_features=4, process_group=group)
    metric.update(real, real=True)
    metric.freeze_real()
    metric.update(fake, real=False)
    found = []
    for _ in range(2):
        found.append([value.item() for value in metric.compute().values()])
        metric._computed = None
    return found


def test_ranks_that_compute_again_find_what_they_found(ranks: Ranks) -> None:
    real, fake = labelled(0, [30, 30, 30], 4), labelled(1, [30, 30, 30], 4)
    shares = [(real[slice(rank, None, 2)], fake[slice(rank, None, 2)]) for rank in range(2)]
    for found in ranks.run(2, computed_twice, each=shares):
        assert found == [cas(real, fake)] * 2
