"""Fixed rows: of a frozen side, or the centres of its bins, to which points are compared as they come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.distributed.comm import Comm
from streaming_metrics.pairwise import Nearest, PairContext, Shard
from streaming_metrics.pairwise.chunks import column_sums, parts
from streaming_metrics.pairwise.shards import Block, FixedBlock
from streaming_metrics.pairwise.sweep import sweep
from streaming_metrics.pairwise.tiles import Tile

if TYPE_CHECKING:
    from collections.abc import Iterator

TILE = 256
"""Points of a tile, whose distances to a thousand rows stay in the cache."""


@dataclass(frozen=True, eq=False)
class FixedRows:
    """Rows that points are compared with; what points need of them is made once a device.

    Args:
        rows: ``(n, D)`` float32, n ≥ 1.

    Example:
        >>> rows = FixedRows(torch.tensor([[0.0], [2.0], [9.0]]))
        >>> rows.nearest(torch.tensor([[0.5], [1.0], [8.0]]))
        (tensor([0.2500, 1.0000, 1.0000], dtype=torch.float64), tensor([0, 0, 2]))
    """

    rows: Tensor
    _blocks: dict[torch.device, FixedBlock] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def nearest(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the squared distance of each of ``points (N, D)`` to the nearest row, exact, float64 ``(N,)``; and
        that row's place, int64 ``(N,)``, the smallest where several are equally near.
        """
        fixed = self._on(points.device).shard
        local = _shard(points, fixed.centre)
        reduction = Nearest("points", "fixed")
        context = PairContext({"points": len(points), "fixed": len(self)}, local, {})
        squared, place = sweep([reduction], context, [fixed], Comm.single())[reduction]
        return squared, place.long()

    def tiles(self, points: Tensor) -> Iterator[Tile]:
        """Yield all pairs of the rows, a tile's rows, with ``points (N, D)``, its columns, some hundred at a time."""
        fixed = self._on(points.device)
        shard = _shard(points, fixed.shard.centre)
        for part in parts(len(points), TILE):
            yield Tile(fixed, Block(shard, part))

    def squared(self, points: Tensor) -> Tensor:
        """Return the squared distances of all pairs, ``(n, N)`` float64, within a relative 2⁻³⁰."""
        return torch.cat([tile.squared for tile in self.tiles(points)], 1)

    def _on(self, device: torch.device) -> FixedBlock:
        """Return the rows on a device, with what every batch needs of them."""
        if device not in self._blocks:
            rows = self.rows.to(device)
            shard = _shard(rows, (column_sums(rows) / len(rows)).float())
            self._blocks[device] = FixedBlock(shard, slice(0, len(rows)))
        return self._blocks[device]


def _shard(rows: Tensor, centre: Tensor) -> Shard:
    return Shard(rows.float(), torch.arange(len(rows), device=rows.device), centre)
