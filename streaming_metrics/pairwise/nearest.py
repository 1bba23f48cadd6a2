"""Nearest: the sample of another side that is nearest to each one of a side, exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.pairwise.base import Needs, PairContext, PairReduction, check_distinct
from streaming_metrics.pairwise.candidates import nearest_candidates

if TYPE_CHECKING:
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Role
    from streaming_metrics.pairwise.tiles import Tile


@dataclass(frozen=True)
class Nearest(PairReduction):
    """Squared distance of every sample of one side to the nearest of another, and that one's place: float64 ``(2, N)``.

    Pairs that can be nearer than what was found before are measured exactly; of others that are equally near, the one
    whose place comes first is named. Where the other side is empty, both are inf.

    Args:
        rows: the side whose samples look for the nearest.
        columns: the side among which they look.

    Raises:
        ValueError: where both are one side.
    """

    rows: Role
    columns: Role

    def __post_init__(self) -> None:
        check_distinct("Nearest", self.rows, self.columns)

    @property
    def sides(self) -> tuple[Role, Role]:
        return self.rows, self.columns

    def start(self, context: PairContext) -> _Closest:
        n, total = len(context.local), context.sizes[self.rows]
        squared = torch.full((n,), torch.inf, dtype=torch.float64, device=context.local.rows.device)
        return _Closest(squared, torch.full_like(squared, torch.inf), context.local.position, total)

    def needs(self, context: PairContext) -> Needs:  # noqa: ARG002
        return "products"  # what bounds leave open is measured: of clusters far apart, in bfloat16 every pair

    def tile(self, accumulator: _Closest, tile: Tile) -> None:
        rows, columns, squared = nearest_candidates(tile, 1, accumulator.squared[tile.rows.which])
        accumulator.offer(tile.rows.places(rows), squared, tile.columns.position[columns])

    def finish(self, accumulator: _Closest, comm: Comm) -> Tensor:
        whole = torch.zeros(2, accumulator.total, dtype=torch.float64, device=accumulator.squared.device)
        whole[:, accumulator.position] = torch.stack([accumulator.squared, accumulator.place])
        return comm.sum(whole)


@dataclass
class _Closest:
    """The smallest squared distance of each local row so far, and the place of the sample that it leads to."""

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
