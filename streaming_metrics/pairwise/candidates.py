"""Candidates: the few pairs of a tile that can be among the nearest of their row, measured exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streaming_metrics.pairwise.distances import MANY, measured

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.pairwise.tiles import Tile


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
    if len(rows) > (MANY + k) * len(reach):
        rows, columns = _within(*tile.bounds64(), k, reach)
    local, others = tile.rows.places(rows), tile.columns.places(columns)
    return rows, columns, measured(tile.rows.shard, tile.columns.shard, local, others)


def _within(low: Tensor, high: Tensor, k: int, reach: Tensor) -> tuple[Tensor, ...]:
    if high.shape[1] >= k:
        reach = torch.minimum(reach, high.topk(k, largest=False).values[:, -1].double())
    return (low <= reach.unsqueeze(1)).nonzero(as_tuple=True)
