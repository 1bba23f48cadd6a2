"""Radii: the distance of every sample to its k-th nearest other sample, exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.pairwise.base import PairContext, PairReduction
from streaming_metrics.pairwise.distances import distance_bounds, pair_distances
from streaming_metrics.pairwise.ragged import spread_out
from streaming_metrics.pairwise.shards import Block, Shard
from streaming_metrics.pairwise.tiles import Tile, spread
from streaming_metrics.pairwise.tiling import blocks
from streaming_metrics.pairwise.within import below, smallest_of, within

if TYPE_CHECKING:
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Role

SPARE = 12
"""Candidates kept beyond k: so many that rounding seldom lets one more matter."""
MANY = 64
"""New candidates of a row from which on the smallest of all are chosen anew."""


@dataclass(frozen=True)
class Radii(PairReduction):
    """Squared distance of every sample to its k-th nearest other sample of its side: float64 ``(N,)``, exact.

    The smallest lower bounds of a row are kept while tiles pass; the few that can matter are then measured exactly.
    """

    role: Role
    k: int

    def __post_init__(self) -> None:
        check_integer("k", self.k, least=1)

    @property
    def sides(self) -> tuple[Role, Role]:
        return self.role, self.role

    def start(self, context: PairContext) -> _Candidates:
        return _Candidates.empty(context, self.k, context.sizes[self.role])

    def tile(self, accumulator: _Candidates, tile: Tile) -> None:
        accumulator.offer(tile.rows, tile.columns, tile.low)
        if tile.mirrored:
            accumulator.offer(tile.columns, tile.rows, tile.low.T)
        accumulator.bf16 |= tile.bf16

    def end_shard(self, accumulator: _Candidates, local: Shard, remote: Shard) -> None:
        accumulator.settle(local, remote)

    def finish(self, accumulator: _Candidates, comm: Comm) -> Tensor:
        radii = torch.zeros(accumulator.total, dtype=torch.float64, device=accumulator.exact.device)
        radii[accumulator.position] = accumulator.exact[:, -1]
        return comm.sum(radii)


@dataclass
class _Candidates:
    """Candidates for the k nearest of each local row: the k smallest exact squared distances so far, and the smallest
    lower bounds among the present remote shard.

    Args:
        exact: ``(n, k)`` float64, ascending, inf where fewer than k were met; where this rank holds the whole side only
            the last is exact, nearer ones may be lower bounds.
        low: ``(n, k + SPARE)`` float32, the smallest lower bounds of the remote shard's pairs, ascending.
        column: ``(n, k + SPARE)`` int64, the remote shard's rows that they belong to.
        size: of the blocks in which a second look is taken.
    """

    exact: Tensor
    low: Tensor
    column: Tensor
    position: Tensor
    total: int
    is_alone: bool
    size: int
    bf16: bool = False

    @classmethod
    def empty(cls, context: PairContext, k: int, total: int) -> _Candidates:
        n, device = len(context.local), context.local.rows.device
        exact = torch.full((n, k), torch.inf, dtype=torch.float64, device=device)
        low = torch.full((n, k + SPARE), torch.inf, device=device)
        return cls(
            exact,
            low,
            torch.zeros_like(low, dtype=torch.int64),
            context.local.position,
            total,
            n == total,
            context.tiling.size_for(context.local.rows),
        )

    def offer(self, rows: Block, columns: Block, low: Tensor) -> None:
        kept = self.low[rows.which]
        low, column = _nearer(low, kept[:, -1], kept.shape[1])
        low = torch.cat([kept, low], 1)
        column = torch.cat([self.column[rows.which], columns.places(column)], 1)
        self.low[rows.which], order = low.topk(kept.shape[1], largest=False)
        self.column[rows.which] = column.gather(1, order)

    def settle(self, local: Shard, remote: Shard) -> None:
        """Measure the candidates that can be among the k nearest; look again where equals may have been crowded out."""
        before, k, low = self.exact, self.exact.shape[1], self.low.double()
        sums = local.norms.unsqueeze(1) + remote.norms[self.column] if len(remote) else low
        high = low + spread(local, remote, self.bf16, self.low, sums)
        for measure in (distance_bounds, _exactly):
            reach = torch.minimum(before[:, -1], high.topk(k, largest=False).values[:, -1])
            nearer = (high < low.topk(k, largest=False).values[:, -1:]) & self.is_alone
            rows, slots = ((low <= reach.unsqueeze(1)) & low.isfinite() & ~nearer).nonzero(as_tuple=True)
            low[rows, slots], high[rows, slots] = measure(local, remote, rows, self.column[rows, slots])
        self.exact = _smallest(before, low)
        crowded = ((self.low[:, -1] < self.exact[:, -1]) & (self.exact[:, -1] > 0)).nonzero().squeeze(1)
        for some in crowded.split(self.size) if len(crowded) else ():
            self.exact[some] = _search(before[some], self.exact[some, -1], local, remote, some, self.size)
        self.low.fill_(torch.inf)
        self.column.zero_()


def _exactly(x: Shard, y: Shard, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    distances = pair_distances(x, y, rows, columns)
    return distances, distances


def _search(exact: Tensor, reach: Tensor, local: Shard, remote: Shard, rows: Tensor, size: int) -> Tensor:
    """Return ``exact`` with all of the remote shard's pairs within ``reach`` merged in, each measured."""
    some = Block(local, rows)
    for columns in blocks(remote, None, size):
        near = Tile(some, columns).low <= reach.unsqueeze(1)
        r, c = near.nonzero(as_tuple=True)
        c = columns.places(c)
        if local is remote:
            others = rows[r] != c
            r, c = r[others], c[others]
        exact = _smallest(exact, spread_out(pair_distances(local, remote, rows[r], c), r, len(rows)))
    return exact


def _nearer(low: Tensor, reach: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return values and columns that hold, of the ``count`` smallest of each row, those below its ``reach``; maybe
    others, and inf.
    """
    if not reach.isfinite().all():
        return smallest_of(low, count)
    rows, columns = within(low, below(reach))
    if not len(rows) or int(rows.bincount().max()) > MANY:
        return smallest_of(low, count if len(rows) else 0)
    return spread_out(low[rows, columns], rows, len(low)), spread_out(columns, rows, len(low), 0)


def _smallest(exact: Tensor, more: Tensor) -> Tensor:
    return torch.cat([exact, more], 1).topk(exact.shape[1], largest=False).values
