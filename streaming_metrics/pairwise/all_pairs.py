"""All pairs of rows of two sets at once, for so few rows that a matrix of their distances fits in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streaming_metrics.pairwise.chunks import column_sums
from streaming_metrics.pairwise.shards import Block, Shard
from streaming_metrics.pairwise.tiles import Tile

if TYPE_CHECKING:
    from torch import Tensor


def all_pairs(rows: Tensor, columns: Tensor, *, diagonal: bool = False) -> Tile:
    """Return all pairs of ``rows (n, D)`` with ``columns (m, D)`` as one tile; of rows with themselves, also each
    with itself, unless ``diagonal``.

    They are seen from the mean of the columns: seen from afar, all pairs of a tight cluster would have to be measured
    one by one.
    """
    centre = (column_sums(columns) / len(columns)).float()
    return Tile(_block(rows, centre), _block(columns, centre), diagonal)


def _block(rows: Tensor, centre: Tensor) -> Block:
    return Block(Shard(rows, torch.arange(len(rows), device=rows.device), centre), slice(0, len(rows)))
