"""Who of the other side is nearest to each sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.folds.base import Fold, Role, Setting, Sight, Tile, pair_distances

if TYPE_CHECKING:
    from streaming_metrics.comm import Comm

CANDIDATES = 8


@dataclass(frozen=True)
class Nearest(Fold):
    """Squared distance of every sample of ``role`` to the nearest of the other side, and that one's place: float64
    ``(2, N)``.

    Of each tile's pairs the few with the smallest lower bounds are measured exactly, where they can be nearer than what
    was found before. Of others that are equally near, any one is named.
    """

    role: Role

    @property
    def sides(self) -> tuple[Role, Role]:
        return self.role, "real" if self.role == "fake" else "fake"

    def start(self, setting: Setting) -> _Closest:
        n, total = len(setting.own), setting.size(self.role)
        squared = torch.full((n,), torch.inf, dtype=torch.float64, device=setting.own.rows.device)
        return _Closest(squared, torch.zeros_like(squared), setting.own.position, total)

    def reads(self, setting: Setting) -> Sight:  # noqa: ARG002
        return "products"

    def tile(self, accumulator: _Closest, tile: Tile) -> None:
        low, columns = tile.low.topk(min(CANDIDATES, tile.low.shape[1]), largest=False)
        high = tile.high.gather(1, columns).amin(1, keepdim=True)
        before = accumulator.squared[tile.rows.which].unsqueeze(1)
        rows, slots = ((low <= high) & (low.double() <= before)).nonzero(as_tuple=True)
        if not len(rows):
            return
        measured = torch.full(low.shape, torch.inf, dtype=torch.float64, device=low.device)
        own, others = tile.rows.places(rows), tile.columns.places(columns[rows, slots])
        measured[rows, slots] = pair_distances(tile.rows.shard, tile.columns.shard, own, others)
        nearest, slot = measured.min(1, keepdim=True)
        place = tile.columns.position[columns.gather(1, slot)]
        accumulator.offer(tile.rows.which, nearest[:, 0], place[:, 0])

    def finish(self, accumulator: _Closest, comm: Comm) -> Tensor:
        whole = torch.zeros(2, accumulator.total, dtype=torch.float64, device=accumulator.squared.device)
        whole[:, accumulator.position] = torch.stack([accumulator.squared, accumulator.place])
        return comm.sum(whole)


@dataclass
class _Closest:
    squared: Tensor
    place: Tensor
    position: Tensor
    total: int

    def offer(self, rows: slice | Tensor, squared: Tensor, place: Tensor) -> None:
        nearer = squared < self.squared[rows]
        self.place[rows] = torch.where(nearer, place.double(), self.place[rows])
        self.squared[rows] = torch.where(nearer, squared, self.squared[rows])
