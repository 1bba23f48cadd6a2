"""Candidates: the few pairs of a tile that can be among the nearest of their row, measured exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streaming_metrics.pairwise.distances import pair_distances
from streaming_metrics.pairwise.tiles import SQUARED_ERROR

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.pairwise.shards import Shard
    from streaming_metrics.pairwise.tiles import Tile

MANY = 16
"""Pairs a row, beyond k, from which on it pays to leave fewer open."""
SLACK = 1 + 2 * SQUARED_ERROR


def nearest_candidates(tile: Tile, k: int, reach: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pairs of a tile that can be among the k nearest of their row: the tile's rows, ascending, and its
    columns, int64 ``(P,)``, and exact squared distances, float64 ``(P,)``.

    Bounds in float32 leave few pairs open, unless a row's columns are all but equally near, as a collapsed generator's
    are: then float64 decides, and columns that are equal are measured once.

    Args:
        tile: any.
        k: how many are wanted.
        reach: ``(rows,)`` float64, squared distances beyond which nothing is.
    """
    rows, columns = _within(tile.low, tile.high, k, reach)
    are_many = len(rows) > (MANY + k) * len(reach)
    if are_many:
        rows, columns = _within(tile.squared / SLACK, tile.squared * SLACK, k, reach)
    measure = _distinct_distances if are_many and len(rows) else pair_distances
    local, others = tile.rows.places(rows), tile.columns.places(columns)
    return rows, columns, measure(tile.rows.shard, tile.columns.shard, local, others)


def _within(low: Tensor, high: Tensor, k: int, reach: Tensor) -> tuple[Tensor, ...]:
    if high.shape[1] >= k:
        reach = torch.minimum(reach, high.topk(k, largest=False).values[:, -1].double())
    return (low <= reach.unsqueeze(1)).nonzero(as_tuple=True)


def _distinct_distances(x: Shard, y: Shard, rows: Tensor, columns: Tensor) -> Tensor:
    """Return what :func:`pair_distances` does, measured once for those rows of ``y`` that are equal."""
    place, which = columns.unique(return_inverse=True)
    _, kind = y.rows[place].unique(dim=0, return_inverse=True)
    first = place.new_empty(int(kind.max()) + 1).scatter_(0, kind, place)
    pairs, which = (rows * len(first) + kind[which]).unique(return_inverse=True)
    return pair_distances(x, y, pairs // len(first), first[pairs % len(first)])[which]
