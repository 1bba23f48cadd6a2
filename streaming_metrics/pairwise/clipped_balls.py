"""Clipped balls: those around fixed samples, and the same with radii of at most the median, in one look at points."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from streaming_metrics.pairwise.chunks import column_sums
from streaming_metrics.pairwise.inside import count_inside
from streaming_metrics.pairwise.shards import Shard
from streaming_metrics.pairwise.tiling import DEFAULT_TILING, Tiling, tiles
from streaming_metrics.precision import full_precision


@dataclass(frozen=True, eq=False)
class ClippedBalls:
    """Balls around the rows of a fixed side, open, and closed ones with radii clipped at the median of all.

    Args:
        rows: ``(n, D)`` float32.
        squared: ``(n,)`` float64, squared radii.

    Example:
        >>> rows, radii = torch.tensor([[0.0], [1.0], [9.0]]), torch.tensor([1.0, 1.0, 8.0])
        >>> balls = ClippedBalls(rows, radii.double().square())
        >>> held, holds = balls.count(torch.tensor([[0.5], [2.0], [8.0]]))
        >>> held.tolist(), holds.tolist()  # 2 is at the edge of the second ball; both it and 8 are within 8 of 9
        ([2, 1, 1], [1, 1, 2])
    """

    rows: Tensor
    squared: Tensor
    _placed: dict[torch.device, tuple[Shard, Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def count(self, points: Tensor, tiling: Tiling = DEFAULT_TILING) -> tuple[Tensor, Tensor]:
        """Return how many clipped balls each of ``points (N, D)`` lies in, and how many points each open ball holds,
        int64.
        """
        balls, whole, clipped = self._on(points.device)
        local = Shard(points.float(), torch.arange(len(points), device=points.device), balls.centre)
        held = torch.zeros(len(local), dtype=torch.int64, device=points.device)
        holds = torch.zeros(len(balls), dtype=torch.int64, device=points.device)
        with full_precision(points.device):
            for tile in tiles(local, balls, tiling.uses_bf16(points), tiling=tiling):
                rows, columns = tile.rows.which, tile.columns.which
                held[rows] += count_inside(tile, clipped[columns], strict=False)[0]
                holds[columns] += count_inside(tile, whole[columns], strict=True)[1]
        return held, holds

    def _on(self, device: torch.device) -> tuple[Shard, Tensor, Tensor]:
        """Return the balls on a device, with the norms that every batch needs, and both squared radii."""
        if device not in self._placed:
            rows, squared = self.rows.to(device), self.squared.to(device)
            centre = (column_sums(rows) / len(rows)).float()
            shard = Shard(rows, torch.arange(len(rows), device=device), centre)
            self._placed[device] = shard, squared, squared.clamp(max=squared_median(squared))
        return self._placed[device]


def squared_median(squared: Tensor) -> float:
    """Return the square of the median of distances, of the mean of the middle two where they are even in number.

    Example:
        >>> squared_median(torch.tensor([1.0, 4.0, 16.0, 25.0]).double())
        9.0
    """
    ordered = squared.sort().values
    low, high = float(ordered[(len(ordered) - 1) // 2]), float(ordered[len(ordered) // 2])
    return low if low == high else ((low**0.5 + high**0.5) / 2) ** 2
