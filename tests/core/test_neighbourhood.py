"""Nearest samples against brute force: on any ranks, with copies and collapsed sides."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import torch
from brute_force import WIDTH, distances
from scores import normal

from streaming_metrics import FID, KID, PRDC, GenerativeMetrics
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from conftest import Ranks
    from torch import Tensor

    from streaming_metrics.core.nearest_samples import NearestSamples

REAL, FAKE = normal(0, 60, WIDTH), normal(1, 50, WIDTH, mean=0.8)
FAKE[7] = REAL[11]
BALLS, KERNEL = (PRDC(k=3),), KID(subset_size=9)
SPACED = torch.arange(50) * 3 + 5


def built(measures: Any = BALLS, **options: Any) -> GenerativeMetrics:
    return GenerativeMetrics(measures, None, num_features=WIDTH, **options)


def around(real: Tensor = REAL, fake: Tensor = FAKE, measures: Any = BALLS) -> tuple[NearestSamples, Any]:
    metric = built(measures)
    metric.update(real, real=True, index=torch.arange(len(real)))
    metric.update(fake, real=False, index=SPACED[: len(fake)])
    found = metric.neighbourhood()
    assert found is not None
    return found, metric.compute()


def test_ids_and_distances_are_those_of_brute_force() -> None:
    found, _ = around()
    dense = distances(FAKE, REAL).sqrt()
    radius = distances(REAL, REAL).sqrt().kthvalue(4, 1).values
    assert found.spacing == pytest.approx(radius.median().item())
    assert torch.equal(found.fake, SPACED)
    assert torch.equal(found.fake_neighbour, dense.argmin(1))
    assert torch.equal(found.real_neighbour, SPACED[dense.argmin(0)])
    assert torch.allclose(found.fake_distance, dense.min(1).values / radius.median())
    assert torch.allclose(found.real_distance, dense.min(0).values / radius.median())
    assert torch.allclose(found.radius, radius / radius.median())


def test_the_chosen_are_the_extremes() -> None:
    found, _ = around()
    order = distances(FAKE, REAL).min(1).values.argsort()
    assert found.nearest(4).tolist() == order[:4].tolist()
    assert found.nearest(1).tolist() == [7]
    assert found.farthest(4).tolist() == order.flip(0)[:4].tolist()
    some = SPACED[order[10:20]]
    assert found.farthest(2, among=some).tolist() == order[[19, 18]].tolist()
    assert found.nearest(99, among=some).tolist() == order[10:20].tolist()


def test_the_fixed_depend_on_ids_alone() -> None:
    found, _ = around()
    assert found.fake[found.fixed(5)].tolist() == SPACED[hashed(SPACED).argsort()[:5]].tolist()
    assert torch.equal(found.fixed(5), around(fake=FAKE + 1)[0].fixed(5))


def test_the_uncovered_are_those_that_coverage_leaves_out() -> None:
    found, values = around()
    lonely = found.uncovered()
    assert 0 < len(lonely) < 60
    assert 1 - len(lonely) / 60 == pytest.approx(values["coverage_features"].item())
    ratio = (found.real_distance / found.radius)[lonely]
    assert (ratio.diff() <= 0).all()
    assert ratio[-1] >= 1
    assert torch.equal(found.uncovered(3), lonely[:3])


@pytest.mark.parametrize(("measures", "k"), [([PRDC(k=2), KERNEL], 2), ([KERNEL, PRDC(k=4)], 4), ([KERNEL], 5)])
def test_balls_are_those_that_a_measure_has(measures: Any, k: int) -> None:
    assert around(measures=measures)[0].k == k


def test_a_reservoir_is_searched_alone() -> None:
    found, _ = around(measures=[PRDC(k=3, capacity=20)])
    assert found.fake.tolist() == sorted(SPACED[hashed(SPACED).argsort()[:20]].tolist())
    assert len(found.real) == 20


def test_without_features_there_is_none() -> None:
    metric = built([FID()])
    metric.update(REAL, real=True)
    assert metric.neighbourhood() is None
    assert built().neighbourhood() is None


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_collapsed_sides_have_neighbours() -> None:
    found, _ = around(real=REAL[:1].expand(10, -1), fake=REAL[:1].expand(9, -1), measures=[KID(subset_size=5)])
    assert found.spacing == 1
    assert found.fake_distance.tolist() == [0.0] * 9
    assert len(found.uncovered()) == 10


def test_it_leaves_the_metric_and_what_it_remembers() -> None:
    metric = built([PRDC(k=3), KID(subsets=None)])
    metric.update(REAL, real=True)
    metric.freeze_real()
    metric.update(FAKE, real=False)
    before, memo = metric.compute(), dict(metric._memory(metric._states, "real").reduced)
    metric.neighbourhood()
    assert metric._memory(metric._states, "real").reduced.keys() == memo.keys()
    assert metric.compute() == before


def searched(group: Any, frozen: bool, parts: tuple[Any, Any]) -> list[Tensor]:
    metric = built(process_group=group)
    for part, real in zip(parts, (True, False)):
        metric.update(part[0], real=real, index=part[1])
    if frozen:
        metric.freeze_real()
    found = metric.neighbourhood()
    return [torch.as_tensor(getattr(found, field.name)) for field in fields(found)]  # pyright: ignore


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("edges", [[0, 30, 50], [0, 0, 50], [0, 1, 20, 50]])
def test_any_ranks_find_the_same(ranks: Ranks, edges: list[int], frozen: bool) -> None:
    def parts(rows: Tensor, index: Tensor) -> list[Any]:
        return [(rows[a:b], index[a:b]) for a, b in pairwise([*edges[:-1], len(rows)])]

    each = list(zip(parts(REAL, torch.arange(60)), parts(FAKE, SPACED)))
    alone = searched(None, frozen, ((REAL, torch.arange(60)), (FAKE, SPACED)))
    for answer in ranks.run(len(each), searched, frozen, each=each):
        assert all(torch.equal(one, other) for one, other in zip(alone, answer))
