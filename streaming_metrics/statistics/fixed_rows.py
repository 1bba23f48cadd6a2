"""Fixed rows: of a frozen side, or the centres of its bins, to which points are compared as they come."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from streaming_metrics.distributed.comm import Comm
from streaming_metrics.pairwise import Nearest, PairContext, Shard
from streaming_metrics.pairwise.chunks import column_sums
from streaming_metrics.pairwise.sweep import sweep


@dataclass(frozen=True, eq=False)
class FixedRows:
    """Rows whose nearest one is asked for; what points need of them is made once a device.

    Args:
        rows: ``(n, D)`` float32, n ≥ 1.

    Example:
        >>> rows = FixedRows(torch.tensor([[0.0], [2.0], [9.0]]))
        >>> rows.nearest(torch.tensor([[0.5], [1.0], [8.0]]))
        (tensor([0.2500, 1.0000, 1.0000], dtype=torch.float64), tensor([0, 0, 2]))
    """

    rows: Tensor
    _shards: dict[torch.device, Shard] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def nearest(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the squared distance of each of ``points (N, D)`` to the nearest row, exact, float64 ``(N,)``; and
        that row's place, int64 ``(N,)``, the smallest where several are equally near.
        """
        fixed = self._on(points.device)
        local = Shard(points.float(), torch.arange(len(points), device=points.device), fixed.centre)
        reduction = Nearest("points", "fixed")
        context = PairContext({"points": len(points), "fixed": len(self)}, local, {})
        squared, place = sweep([reduction], context, [fixed], Comm.single())[reduction]
        return squared, place.long()

    def _on(self, device: torch.device) -> Shard:
        """Return the rows on a device, with the norms that every batch needs."""
        if device not in self._shards:
            rows = self.rows.to(device)
            centre = (column_sums(rows) / len(rows)).float()
            self._shards[device] = Shard(rows, torch.arange(len(rows), device=device), centre)
        return self._shards[device]
