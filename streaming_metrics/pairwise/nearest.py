"""Who of the other side is nearest to each sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.pairwise.base import PairReduction, Role, Setting, Sight, Tile, pair_distances

if TYPE_CHECKING:
    from streaming_metrics.distributed.comm import Comm


@dataclass(frozen=True)
class Nearest(PairReduction):
    """Squared distance of every sample of ``role`` to the nearest of the other side, and that one's place: float64
    ``(2, N)``.

    Pairs that can be nearer than what was found before are measured exactly; of others that are equally near, the one
    whose place comes first is named.
    """

    role: Role

    @property
    def sides(self) -> tuple[Role, Role]:
        return self.role, "real" if self.role == "fake" else "fake"

    def start(self, setting: Setting) -> _Closest:
        n, total = len(setting.own), setting.size(self.role)
        squared = torch.full((n,), torch.inf, dtype=torch.float64, device=setting.own.rows.device)
        return _Closest(squared, torch.full_like(squared, torch.inf), setting.own.position, total)

    def reads(self, setting: Setting) -> Sight:  # noqa: ARG002
        return "products"

    def tile(self, accumulator: _Closest, tile: Tile) -> None:
        before = accumulator.squared[tile.rows.which]
        reach = torch.minimum(before, tile.high.amin(1).double())
        rows, columns = (tile.low <= reach.unsqueeze(1)).nonzero(as_tuple=True)
        own, others = tile.rows.places(rows), tile.columns.places(columns)
        squared = pair_distances(tile.rows.shard, tile.columns.shard, own, others)
        accumulator.offer(own, squared, tile.columns.position[columns])

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

    def offer(self, rows: Tensor, squared: Tensor, place: Tensor) -> None:
        """Take pairs that are nearer; of equals, the one whose place comes first."""
        before = self.squared.clone()
        self.squared.scatter_reduce_(0, rows, squared, "amin")
        self.place[self.squared < before] = torch.inf
        equal = squared == self.squared[rows]
        self.place.scatter_reduce_(0, rows[equal], place[equal].double(), "amin")
