"""Boundary distortion: its sign, training sets of equal size, ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from by_hand import compute
from scores import labelled, score_labelled

from streaming_metrics import CAS, BiasWarning, BoundaryDistortion, Features, NotEnoughSamples
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from conftest import Ranks

    from streaming_metrics.measures.probes import Kind

every_kind = pytest.mark.parametrize("kind", ["lda", "ridge"])


def distortion(real: Features, fake: Features, kind: Kind = "lda", classes: int = 3) -> float:
    return score_labelled(BoundaryDistortion(classes, kind), real, fake)["boundary_distortion"]


def first_by_hash(features: Features, n: int) -> Features:
    assert features.index is not None
    return features[hashed(features.index).argsort()[:n]]


@every_kind
def test_with_equally_many_samples_it_is_the_difference_of_two_accuracies(kind: Kind) -> None:
    real, fake = labelled(0, [30, 40, 50], 4), labelled(1, [50, 40, 30], 4, shift=0.5)
    values = score_labelled(CAS(3, kind), real, fake)
    assert distortion(real, fake, kind) == pytest.approx(values["cas_real"] - values["cas"], abs=1e-12)


@every_kind
def test_of_one_distribution_it_is_about_0_and_of_another_boundary_above(kind: Kind) -> None:
    real, fake = labelled(0, [300, 300, 300], 6), labelled(1, [300, 300, 300], 6)
    assert fake.pool is not None
    moved = fake.having(pool=fake.pool + 2 * torch.eye(6)[0])
    assert distortion(real, fake, kind) == pytest.approx(0, abs=0.02)
    assert distortion(real, moved, kind) > 0.1


@every_kind
def test_what_moves_every_class_along_no_boundary_is_not_seen(kind: Kind) -> None:
    real, fake = labelled(0, [300, 300, 300], 6), labelled(1, [300, 300, 300], 6)
    assert fake.pool is not None
    moved = fake.having(pool=fake.pool + 9 * torch.eye(6)[5])
    assert distortion(real, moved, kind) == pytest.approx(0, abs=0.04)


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_copies_of_real_samples_are_below_0() -> None:
    real = labelled(0, [20, 20, 20], 30, apart=1)
    assert distortion(real, real) < -0.2


@every_kind
def test_of_more_real_samples_as_many_are_taken_by_their_ids(kind: Kind) -> None:
    real, fake = labelled(0, [90, 80, 70], 5), labelled(1, [30, 20, 10], 5)
    assert distortion(real, fake, kind) == distortion(first_by_hash(real, 60), fake, kind)


def test_as_many_are_taken_so_that_few_samples_are_no_distortion() -> None:
    """Of few samples of many features, any probe is poor: the real one too."""
    real, fake = labelled(0, [400, 400, 400], 100, apart=3), labelled(1, [20, 20, 20], 100, apart=3)
    reached = score_labelled(CAS(3), real, fake)
    assert reached["cas_real"] - reached["cas"] > 0.1
    assert abs(distortion(real, fake)) < 0.1


def test_more_generated_samples_than_real_ones_are_told() -> None:
    with pytest.warns(
        BiasWarning, match="of 90 generated samples is held against one of 60 real ones.*Remedy: no more"
    ):
        distortion(labelled(0, [20, 20, 20], 4), labelled(1, [30, 30, 30], 4))


def test_what_it_needs_is_told() -> None:
    with pytest.raises(NotEnoughSamples, match="BoundaryDistortion needs at least 2 real samples of each class"):
        distortion(labelled(0, [9, 1, 0], 2), labelled(1, [3, 3, 3], 2))
    with pytest.raises(NotEnoughSamples, match=r"BoundaryDistortion\(classes=3\) needs at least 2 fake samples, got 1"):
        distortion(labelled(0, [9, 9, 9], 2), labelled(1, [1, 0, 0], 2))


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_two_equal_generated_samples_are_enough() -> None:
    fake = Features(torch.ones(2, 2), labels=torch.tensor([0, 1]), index=torch.arange(2))
    assert -1 <= distortion(labelled(0, [9, 9, 9], 2), fake) <= 1


def on_a_rank(group: Any, measure: BoundaryDistortion, samples: dict[str, Features]) -> dict[str, float]:
    return compute(measure, samples, Comm(group))


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_take_the_same_samples(ranks: Ranks, world_size: int) -> None:
    real, fake = labelled(0, [60, 50, 40], 5), labelled(1, [20, 20, 17], 5)
    shares = [{"real": real[rank::world_size], "fake": fake[rank::world_size]} for rank in range(world_size)]  # pyright: ignore
    measure = BoundaryDistortion(3)
    for found in ranks.run(world_size, on_a_rank, measure, each=shares):
        assert found == compute(measure, {"real": real, "fake": fake}) == score_labelled(measure, real, fake)
