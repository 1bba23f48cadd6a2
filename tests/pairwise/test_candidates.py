"""Candidates hold the k nearest of each row, exactly, and stay few where a generator has collapsed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from scores import normal

from streaming_metrics.pairwise import distances
from streaming_metrics.pairwise.candidates import nearest_candidates
from streaming_metrics.pairwise.distances import pair_distances, squared_distances
from streaming_metrics.pairwise.shards import Block, Shard
from streaming_metrics.pairwise.tiles import Tile

if TYPE_CHECKING:
    from torch import Tensor

POINTS = {
    "drawn": normal(1, 300, 64),
    "equal": normal(1, 1, 64).repeat(300, 1),
    "all but equal": normal(1, 1, 64) + 1e-6 * normal(2, 300, 64),
    "on two places": normal(1, 2, 64)[torch.arange(300) % 2],
    "copies of rows": normal(0, 40, 64)[torch.arange(300) % 40],
}


def tile_of(rows: Tensor, points: Tensor) -> Tile:
    centre = rows.mean(0)
    one, other = (Block(Shard(side, torch.arange(len(side)), centre), slice(3, len(side))) for side in (rows, points))
    return Tile(one, other)


@pytest.mark.parametrize("points", POINTS.values(), ids=POINTS)
@pytest.mark.parametrize("k", [1, 5])
def test_the_nearest_are_among_them_with_their_exact_distances(points: Tensor, k: int) -> None:
    rows = normal(0, 40, 64)
    found = nearest_candidates(tile_of(rows, points), k, torch.full((37,), torch.inf).double())
    table = torch.full((37, 297), torch.inf, dtype=torch.float64)
    table[found[0], found[1]] = found[2]
    for row, expected in enumerate(rows[3:]):
        exact = squared_distances(expected.expand(297, -1), points[3:])
        assert torch.equal(table[row].topk(k, largest=False).values, exact.topk(k, largest=False).values)
        assert torch.equal(table[row].isfinite() | (exact > exact.kthvalue(k).values), torch.ones(297).bool())


def test_nothing_beyond_reach_is_among_them() -> None:
    rows, points = normal(0, 40, 64), POINTS["drawn"]
    assert len(nearest_candidates(tile_of(rows, points), 1, torch.zeros(37).double())[0]) == 0


@pytest.mark.parametrize("scale", [1.0, 1e-8, 1e6])
def test_nothing_is_where_float64_alone_says_that_all_are_beyond_reach(scale: float) -> None:
    rows, points = scale * normal(0, 40, 64), scale * POINTS["equal"]
    exact = squared_distances(rows[3:], points[3].expand(37, -1))
    assert len(nearest_candidates(tile_of(rows, points), 1, exact * (1 - 1e-8))[0]) == 0
    assert len(nearest_candidates(tile_of(rows, points), 1, exact)[0]) == 37 * 297


@pytest.mark.parametrize(("points", "most"), [("equal", 40), ("all but equal", 80), ("on two places", 80)])
def test_few_are_measured_of_a_collapsed_generator(monkeypatch: pytest.MonkeyPatch, points: str, most: int) -> None:
    counts = []

    def counted(x: Shard, y: Shard, rows: Tensor, columns: Tensor) -> Tensor:
        counts.append(len(rows))
        return pair_distances(x, y, rows, columns)

    monkeypatch.setattr(distances, "pair_distances", counted)
    nearest_candidates(tile_of(normal(0, 40, 64), POINTS[points]), 1, torch.full((37,), torch.inf).double())
    assert 0 < sum(counts) <= most
