"""Who of the other side is nearest to each sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.folds.base import Fold, Role, Setting, Tile, pair_distances

if TYPE_CHECKING:
    from streaming_metrics.comm import Comm

CANDIDATES = 8


@dataclass(frozen=True)
class Nearest(Fold):
    """Squared distance of every sample of ``role`` to the nearest of the other side, and that one's place: float64
    ``(2, N)``.

    Of each tile the few pairs with the smallest lower bounds are measured exactly. Of others that are equally near, any
    one is named.
    """

    role: Role

    @property
    def sides(self) -> tuple[Role, Role]:
        return self.role, "real" if self.role == "fake" else "fake"

    def start(self, setting: Setting) -> _Closest:
        n, total = len(setting.own), setting.size(self.role)
        squared = torch.full((n,), torch.inf, dtype=torch.float64, device=setting.own.rows.device)
        return _Closest(squared, torch.zeros_like(squared), setting.own.position, total)

    def tile(self, accumulator: _Closest, tile: Tile) -> None:
        assert isinstance(tile.rows, slice)
        low = tile.bounds(-1)
        columns = low.topk(min(CANDIDATES, low.shape[1]), largest=False).indices
        rows = torch.arange(tile.rows.start, tile.rows.stop, device=low.device).repeat_interleave(columns.shape[1])
        places = columns.flatten() + tile.columns.start
        squared = pair_distances(tile.own, tile.visitor, rows, places).view(columns.shape)
        nearest, choice = squared.min(1)
        place = tile.visitor.position[places].view(columns.shape).gather(1, choice[:, None])[:, 0]
        accumulator.offer(tile.rows, nearest, place)

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

    def offer(self, rows: slice, squared: Tensor, place: Tensor) -> None:
        nearer = squared < self.squared[rows]
        self.place[rows] = torch.where(nearer, place.double(), self.place[rows])
        self.squared[rows] = torch.where(nearer, squared, self.squared[rows])
