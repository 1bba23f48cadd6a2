"""Balls: those around fixed samples, which count points as they come."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from streaming_metrics.distributed.comm import Comm
from streaming_metrics.pairwise.base import PairContext
from streaming_metrics.pairwise.chunks import column_sums
from streaming_metrics.pairwise.inside import count_inside
from streaming_metrics.pairwise.radii import Radii
from streaming_metrics.pairwise.shards import Shard
from streaming_metrics.pairwise.sweep import sweep
from streaming_metrics.pairwise.tiling import DEFAULT_TILING, Tiling, tiles
from streaming_metrics.precision import full_precision


@dataclass(frozen=True, eq=False)
class Balls:
    """Balls around the rows of a fixed side, each reaching to its k-th nearest other row.

    Args:
        strict: whether a point at exactly the radius is outside.
        rows: ``(n, D)`` float32.
        squared: ``(n,)`` float64, squared radii.

    Example:
        >>> balls = Balls.around(torch.tensor([[0.0], [1.0], [3.0]]), k=1)
        >>> held, holds = balls.count(torch.tensor([[0.5], [1.5], [9.0]]))
        >>> held.tolist(), holds.tolist()
        ([2, 2, 0], [1, 2, 1])
    """

    strict: bool
    rows: Tensor
    squared: Tensor
    _placed: dict[torch.device, tuple[Shard, Tensor]] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def around(cls, rows: Tensor, k: int, strict: bool = True, squared: Tensor | None = None) -> Balls:
        """Return the balls around ``rows`` ``(n, D)``, float32, n > k; ``squared`` radii are made where not given."""
        return cls(strict, rows, squared_radii(rows, k) if squared is None else squared)

    def __len__(self) -> int:
        return len(self.rows)

    def count(self, points: Tensor, tiling: Tiling = DEFAULT_TILING) -> tuple[Tensor, Tensor]:
        """Return how many balls each of ``points (N, D)`` lies in, and how many points each ball holds, int64."""
        held, holds, _ = self.visits(points, None, tiling)
        return held, holds

    def visits(
        self, points: Tensor, ids: Tensor | None, tiling: Tiling = DEFAULT_TILING
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what :meth:`count` does, and the id of the only point of each ball, 0 where it has none or several, or
        there are no ids.
        """
        balls, squared = self._on(points.device)
        local = Shard(points.float(), torch.arange(len(points), device=points.device), balls.centre)
        held = torch.zeros(len(local), dtype=torch.int64, device=points.device)
        holds = torch.zeros(len(balls), dtype=torch.int64, device=points.device)
        visitors = torch.zeros_like(holds)
        with full_precision(points.device):
            for tile in tiles(local, balls, tiling.uses_bf16(points), tiling=tiling):
                rows, columns = tile.rows.which, tile.columns.which
                here = None if ids is None else ids[rows]
                counts = count_inside(tile, squared[columns], self.strict, ids=here)
                for total, where, count in zip((held, holds, visitors), (rows, columns, columns), counts):
                    total[where] += count
        return held, holds, visitors * (holds == 1)

    def _on(self, device: torch.device) -> tuple[Shard, Tensor]:
        """Return the balls on a device, with the norms that every batch needs."""
        if device not in self._placed:
            self._placed[device] = _shard(self.rows.to(device)), self.squared.to(device)
        return self._placed[device]


def squared_radii(rows: Tensor, k: int, tiling: Tiling = DEFAULT_TILING) -> Tensor:
    """Return the squared distance of each of ``rows (n, D)`` to its k-th nearest other one, float64 ``(n,)``."""
    shard, reduction = _shard(rows), Radii("real", k)
    context = PairContext({reduction.role: len(rows)}, shard, {}, tiling)
    return sweep([reduction], context, [shard], Comm.single())[reduction]


def _shard(rows: Tensor) -> Shard:
    return Shard(rows, torch.arange(len(rows), device=rows.device), (column_sums(rows) / len(rows)).float())
