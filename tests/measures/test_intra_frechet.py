"""Intra-FID against pytorch-fid class by class, in both ways that it is made, on ranks; classes that are short."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from by_hand import compute, lives
from hypothesis import given
from hypothesis import strategies as st
from peers import pytorch_fid_distance
from scores import normal

from streaming_metrics import BiasWarning, Features, NotEnoughSamples
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.measures.gaussian import frechet_distance
from streaming_metrics.measures.intra_frechet import IntraFID, fitted, frechet_distance_of_few

if TYPE_CHECKING:
    from conftest import Ranks
    from torch import Tensor

SEEDS = st.integers(0, 2**31 - 1)
few_samples = pytest.mark.filterwarnings("ignore:IntraFID. .*biased upwards:streaming_metrics.BiasWarning")


def labelled(seed: int, sizes: list[int], width: int, shift: float = 0.0) -> Features:
    """Classes of these sizes, each with its own mean and spread, in a random order."""
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    rows = normal(seed, len(labels), width) * (1 + labels.unsqueeze(1)) + (3 + shift) * labels.unsqueeze(1)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    return Features(rows[order], labels=labels[order], index=torch.arange(len(labels)))


def ours(measure: IntraFID, real: Features, fake: Features) -> dict[str, float]:
    return compute(measure, {"real": real, "fake": fake})


def of_class(features: Features, label: int) -> Tensor:
    rows, labels = features.pool, features.labels
    assert rows is not None
    assert labels is not None
    return rows[labels == label].double()


def shrunk(covariance: np.ndarray, s: float) -> np.ndarray:
    return (1 - s) * covariance + s * np.trace(covariance) / len(covariance) * np.eye(len(covariance))


def peers(real: Features, fake: Features, classes: int, shrinkage: float = 0.0) -> list[float]:
    found = []
    for label in range(classes):
        x, y = (of_class(side, label).numpy() for side in (real, fake))
        cx, cy = (shrunk(np.atleast_2d(np.cov(rows.T)), shrinkage) for rows in (x, y))
        found.append(pytorch_fid_distance(x.mean(0), cx, y.mean(0), cy))
    return found


# --- value ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shrinkage", [0.0, 0.1, 1.0])
@pytest.mark.parametrize(
    ("sizes", "others", "width"),
    [([40, 60, 50], [70, 30, 45], 3), ([30, 200], [200, 31], 20), ([25], [90], 1)],
)
@given(seed=SEEDS)
def test_each_class_is_pytorch_fids(
    sizes: list[int], others: list[int], width: int, shrinkage: float, seed: int
) -> None:
    real, fake = labelled(seed, sizes, width), labelled(seed + 1, others, width, 0.5)
    expected = peers(real, fake, len(sizes), shrinkage)
    values = ours(IntraFID(len(sizes), per_class=True, shrinkage=shrinkage), real, fake)
    assert list(values) == ["intra_fid", *(f"intra_fid_{label}" for label in range(len(sizes)))]
    assert list(values.values()) == pytest.approx([np.mean(expected), *expected], rel=1e-6, abs=1e-8)
    assert ours(IntraFID(len(sizes), shrinkage=shrinkage), real, fake) == {"intra_fid": values["intra_fid"]}


@given(SEEDS, st.integers(2, 30), st.integers(2, 60), st.integers(1, 40), st.sampled_from([0.0, 1e3]))
def test_few_rows_give_the_distance_of_their_moments(seed: int, n: int, m: int, width: int, mean: float) -> None:
    x, y = normal(seed, n, width, mean), normal(seed + 1, m, width, mean + 0.3, 1.4)
    few, moments = frechet_distance_of_few(x, y), frechet_distance(fitted(x, 0.0), fitted(y, 0.0))
    assert float(few) == pytest.approx(float(moments), rel=1e-9, abs=1e-6 * width**0.5)


@few_samples
@pytest.mark.parametrize(("size", "width"), [(50, 4), (9, 30)])
def test_closed_forms(size: int, width: int) -> None:
    real = labelled(0, [size, size], width)
    rows = real.pool
    assert rows is not None
    means = torch.stack([of_class(real, label).mean(0) for label in (0, 1)])[real.labels]
    moved = rows + torch.tensor([1.0, 3.0])[real.labels].unsqueeze(1)
    scaled = (means + 3 * (rows - means)).float()
    spread = np.mean([float(of_class(real, label).var(0).sum()) for label in (0, 1)])
    assert ours(IntraFID(2), real, real)["intra_fid"] == pytest.approx(0, abs=1e-8 * width)
    assert ours(IntraFID(2), real, real.having(pool=moved))["intra_fid"] == pytest.approx(5 * width, rel=1e-5)
    assert ours(IntraFID(2), real, real.having(pool=scaled))["intra_fid"] == pytest.approx(4 * spread, rel=1e-5)


@few_samples
def test_classes_that_are_mixed_up_are_seen() -> None:
    real, fake = labelled(0, [40, 40], 4), labelled(1, [40, 40], 4)
    assert fake.labels is not None
    swapped = fake.having(labels=1 - fake.labels)
    assert ours(IntraFID(2), real, swapped)["intra_fid"] > 10 * ours(IntraFID(2), real, fake)["intra_fid"]


@few_samples
def test_shrinkage_lowers_the_bias_of_few_samples_of_equal_distributions() -> None:
    sides = [labelled(seed, [12] * 8, 40) for seed in (0, 1)]
    values = [ours(IntraFID(8, shrinkage=s), *sides)["intra_fid"] for s in (0.0, 0.05, 0.2, 0.6)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.5 * values[0]


# --- ranks and orders -------------------------------------------------------------------------------------------------


def on_a_rank(group: Any, measure: IntraFID, samples: dict[str, Features]) -> dict[str, float]:
    return compute(measure, samples, Comm(group))


def test_freezing_the_real_side_changes_nothing() -> None:
    measure, samples = IntraFID(2, per_class=True), {"real": labelled(0, [40, 30], 3), "fake": labelled(1, [20, 50], 3)}
    for lived in lives(measure, samples, "real").values():
        assert lived == (compute(measure, samples), 70)


@few_samples
@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("width", [3, 30])
def test_ranks_and_orders_do_not_matter(ranks: Ranks, world_size: int, width: int) -> None:
    real, fake = labelled(0, [20, 9, 31], width), labelled(1, [12, 25, 20], width, 0.4)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    shares = [
        {"real": real[order[rank::world_size]], "fake": fake[torch.arange(57) % world_size == rank]}
        for rank in range(world_size)
    ]
    measure = IntraFID(3, per_class=True)
    expected = ours(measure, real, fake)
    for found in ranks.run(world_size, on_a_rank, measure, each=shares):
        assert found == pytest.approx(expected, rel=1e-12)


@few_samples
def test_a_class_that_one_rank_alone_has_seen(ranks: Ranks) -> None:
    real, fake = labelled(0, [20, 20], 3), labelled(1, [20, 20], 3)
    assert real.labels is not None
    shares = [{"real": real[real.labels == rank], "fake": fake[rank::2]} for rank in (0, 1)]
    measure = IntraFID(2)
    for found in ranks.run(2, on_a_rank, measure, each=shares):
        assert found == pytest.approx(ours(measure, real, fake), rel=1e-12)


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("real", "fake", "told"),
    [
        ([5, 1, 5, 0], [5, 5, 5, 5], "2 real samples of each class, got fewer of 2 of 4: 1, 3. Remedy"),
        ([5, 5, 5, 5], [5, 5, 1, 5], "2 fake samples of each class, got fewer of 1 of 4: 2. Remedy"),
    ],
)
def test_classes_of_fewer_than_two_samples_are_named(real: list[int], fake: list[int], told: str) -> None:
    with pytest.raises(NotEnoughSamples, match=f"IntraFID needs at least {told}"):
        ours(IntraFID(4), labelled(0, real, 1), labelled(1, fake, 1))


def test_many_short_classes_are_named_by_the_first() -> None:
    with pytest.raises(NotEnoughSamples, match=r"fewer of 14 of 15: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …\. Remedy"):
        ours(IntraFID(15), labelled(0, [16] + [1] * 14, 1), labelled(1, [4] * 15, 1))


def test_singular_covariances_are_told_by_side_and_number() -> None:
    real, fake = labelled(0, [5, 3, 2], 4), labelled(1, [6, 6, 6], 4)
    told = "2 of 3 classes have no more than 4 {} samples, as many as features, the fewest 2"
    with pytest.warns(BiasWarning, match=told.format("real")):
        ours(IntraFID(3), real, fake)
    with pytest.warns(BiasWarning, match=told.format("fake")):
        ours(IntraFID(3), fake, real)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"classes": 0}, "IntraFID classes: expected at least 1, got 0"),
        ({"classes": 2, "shrinkage": -0.1}, "IntraFID shrinkage: expected a finite number of at least 0"),
        ({"classes": 2, "shrinkage": 1.5}, "IntraFID shrinkage: expected a share, at most 1, got 1.5"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        IntraFID(**options)
