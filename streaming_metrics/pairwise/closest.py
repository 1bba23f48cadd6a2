"""Closest pairs: distances between all rows of one side, of which there are so few that a matrix holds them."""

from __future__ import annotations

import torch
from torch import Tensor

from streaming_metrics.pairwise.chunks import column_sums
from streaming_metrics.pairwise.shards import Block, Shard
from streaming_metrics.pairwise.tiles import Tile


def squared_matrix(rows: Tensor) -> Tensor:
    """Return ``‖x_i − x_j‖²`` of ``rows (n, D)``, float64 ``(n, n)``, within a relative 2⁻³⁰; 0 for equal rows."""
    centre = (column_sums(rows) / max(len(rows), 1)).float()
    block = Block(Shard(rows, torch.arange(len(rows), device=rows.device), centre), slice(0, len(rows)))
    return Tile(block, block, diagonal=True).squared


def closest_pairs(squared: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k closest pairs of different rows, the closest first; of equally close ones those that come first.

    Args:
        squared: ``(n, n)``, as :func:`squared_matrix` returns them.
        k: how many; fewer where there are fewer pairs.

    Returns:
        Their squared distances ``(k,)``, and their places ``(k, 2)`` int64, the smaller first.

    Example:
        >>> closest_pairs(squared_matrix(torch.tensor([[0.0], [5.0], [2.0], [5.5]])), k=2)
        (tensor([0.2500, 4.0000], dtype=torch.float64), tensor([[1, 3],
                [0, 2]]))
    """
    pairs = torch.triu_indices(*squared.shape, offset=1, device=squared.device)
    found = squared[pairs[0], pairs[1]]
    order = found.argsort(stable=True)[:k]
    return found[order], pairs[:, order].T
