"""Closest pairs of generated samples against brute force: of any bank, on any ranks, with copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from scores import normal

from streaming_metrics import FID, KID, PRDC, BirthdayParadox, Features, GenerativeMetrics
from streaming_metrics.pairwise.closest import closest_pairs, squared_matrix
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from conftest import Ranks

    from streaming_metrics import Measure
    from streaming_metrics.core.closest import ClosestPairs

FAKE = normal(0, 40, 3)
FAKE[[7, 30]] = FAKE[[11, 11]]  # three of a kind
IDS = torch.arange(40) * 3 + 5
KEEPERS = [BirthdayParadox(), BirthdayParadox(threshold=0.0), KID(), PRDC()]


def built(measures: list[Measure], rows: torch.Tensor, **options: Any) -> GenerativeMetrics:
    metric = GenerativeMetrics(measures, extractor=None, num_features=3, **options)
    metric.update(FAKE[rows], real=False, index=IDS[rows])
    return metric


def by_brute_force(kept: torch.Tensor, k: int) -> list[tuple[float, int, int]]:
    """Distances and ids, the closest first, of equally close pairs those of smaller ids."""
    pairs = np.transpose(np.triu_indices(len(kept), 1))
    apart = pdist(FAKE[kept].double().numpy())
    return sorted((float(d), *IDS[kept][pair].tolist()) for d, pair in zip(apart, pairs))[:k]


def check(found: ClosestPairs | None, expected: list[tuple[float, int, int]]) -> None:
    assert found is not None
    assert found.ids.tolist() == [[i, j] for _, i, j in expected]
    assert found.distance.tolist() == pytest.approx([d for d, _, _ in expected], rel=1e-8)


@pytest.mark.parametrize("measure", KEEPERS, ids=repr)
def test_pairs_are_those_of_brute_force(measure: Measure) -> None:
    metric = built([FID(), measure], torch.randperm(40, generator=torch.Generator().manual_seed(1)))
    found = metric.closest_pairs(9)
    check(found, by_brute_force(torch.arange(40), 9))
    assert found is not None
    assert found.searched == 40
    assert found.ids[:3].tolist() == [[26, 38], [26, 95], [38, 95]]
    assert found.distance[:3].tolist() == [0, 0, 0]


def test_samples_are_searched_by_their_ids_alone() -> None:
    kept = hashed(IDS).argsort()[:15].sort().values
    check(built([KID()], torch.arange(40)).closest_pairs(5, most=15), by_brute_force(kept, 5))
    among = IDS[[3, 5, 7, 11, 20]]
    found = built([KID()], torch.arange(40)).closest_pairs(50, among=among)
    check(found, by_brute_force(torch.tensor([3, 5, 7, 11, 20]), 50))


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_samples_make_no_pair(n: int) -> None:
    found = built([KID()], torch.arange(n)).closest_pairs()
    assert found is not None
    assert (found.ids.shape, found.distance.shape, found.searched) == ((0, 2), (0,), n)


def test_without_features_there_is_nothing_to_look_at() -> None:
    assert built([FID()], torch.arange(40)).closest_pairs() is None


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_of_several_networks_the_pairs_are_of_that_whose_neighbours_are_shown() -> None:
    """Their distances are shown in units of its spacing."""
    metric = GenerativeMetrics([KID(on="a"), PRDC(k=3, on="b")], None, num_features={"a": 2, "b": 2})
    first, second = normal(0, 30, 2), 1000 * normal(1, 30, 2)
    for real in (True, False):
        metric.update({"a": Features(first), "b": Features(second)}, real=real)
    found, alone = metric.closest_pairs(3), GenerativeMetrics([PRDC(k=3)], None, num_features=2)
    alone.update(second, real=False)
    expected = alone.closest_pairs(3)
    assert found is not None
    assert expected is not None
    assert torch.equal(found.ids, expected.ids)
    assert torch.equal(found.distance, expected.distance)


def on_a_rank(group: Any, rows: torch.Tensor) -> list[list[int]]:
    found = built([BirthdayParadox()], rows, process_group=group).closest_pairs(6)
    assert found is not None
    return found.ids.tolist()


def test_every_rank_is_told_the_same_pairs(ranks: Ranks) -> None:
    expected = [[i, j] for _, i, j in by_brute_force(torch.arange(40), 6)]
    assert ranks.run(3, on_a_rank, each=list(torch.arange(40).split([9, 0, 31]))) == [expected] * 3


def test_rows_far_from_zero_are_told_apart() -> None:
    rows = 1e4 + normal(1, 20, 3)
    squared, _ = closest_pairs(squared_matrix(rows), 190)
    assert squared.tolist() == pytest.approx(sorted(pdist(rows.double().numpy()) ** 2), rel=1e-8)


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"k": 0}, ValueError, "closest_pairs k: expected at least 1, got 0"),
        ({"k": -1}, ValueError, "closest_pairs k: expected at least 1, got -1"),
        ({"k": None}, TypeError, "closest_pairs k: expected an integer, got None"),
        ({"most": 1}, ValueError, "closest_pairs most: expected at least 2, got 1"),
        ({"most": None}, TypeError, "closest_pairs most: expected an integer, got None"),
    ],
)
def test_what_is_no_number_of_pairs_is_refused(options: dict[str, Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        built([KID()], torch.arange(5)).closest_pairs(**options)
