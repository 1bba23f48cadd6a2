"""Subset sums: a kernel summed over the pairs of drawn subsets."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from streaming_metrics.pairwise.base import Needs, PairContext, PairReduction
from streaming_metrics.pairwise.tiling import Tiling, tiles

if TYPE_CHECKING:
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Role
    from streaming_metrics.pairwise.draws import Draw
    from streaming_metrics.pairwise.kernels import Kernel
    from streaming_metrics.pairwise.shards import Block, Shard
    from streaming_metrics.pairwise.tiles import Tile


@dataclass(frozen=True)
class SubsetSums(PairReduction):
    """``Σ k(x, y)`` over the pairs of every subset, float64 ``(S,)``; pairs of a row with itself left out.

    Where the subsets together hold more pairs than the sides do, each tile is summed over all subsets: its rows first,
    a strip at a time, then its columns; else each subset's own pairs are multiplied out, and no tile is looked at.

    Args:
        rows, columns: sides among those of the draw.
        kernel: k.
        draw: which rows each subset holds.

    Raises:
        ValueError: where a side is none of the draw's.
    """

    rows: Role
    columns: Role
    kernel: Kernel
    draw: Draw

    def __post_init__(self) -> None:
        if strange := {self.rows, self.columns}.difference(self.draw.roles):
            raise ValueError(
                f"SubsetSums: expected sides among {self.draw.roles}, got {sorted(strange)}. Remedy: Draw(roles=…)."
            )

    @property
    def sides(self) -> tuple[Role, Role]:
        return self.rows, self.columns

    @property
    def sized_by(self) -> tuple[Role, ...]:
        return self.draw.roles

    def needs(self, context: PairContext) -> Needs:
        return "none" if self.draw.is_sparse(*self._sizes(context)) else self.kernel.needs

    def start(self, context: PairContext) -> _SubsetSums:
        places, device = self.draw.places(*self._sizes(context)), context.local.rows.device
        rows, columns = (_Members(places[role].to(device), context.sizes[role]) for role in self.sides)
        sums = torch.zeros(self.draw.subsets, dtype=torch.float64, device=device)
        return _SubsetSums(rows, columns, sums, self.needs(context) == "none", context.tiling)

    def tile(self, accumulator: _SubsetSums, tile: Tile) -> None:
        strips = (accumulator.over_rows(tile.rows, *strip) for strip in self.kernel.strips(tile))
        sums = accumulator.over_columns(tile.columns, reduce(Tensor.add_, strips))
        accumulator.sums += 2 * sums if tile.mirrored else sums

    def end_shard(self, accumulator: _SubsetSums, local: Shard, remote: Shard) -> None:
        rows, columns = accumulator.rows, accumulator.columns
        for x, y in self.kernel.powers(local, remote):
            accumulator.sums += rows.sums(local, x) * columns.sums(remote, y)
            if local is remote:
                accumulator.sums -= rows.sums(local, x * y)
        if accumulator.is_sparse:
            for subset, members in enumerate(zip(rows.held(local.position).T, columns.held(remote.position).T)):
                some, others = (member.nonzero()[:, 0] for member in members)
                accumulator.sums[subset] += self._within(local, remote, (some, others), accumulator.tiling)

    def finish(self, accumulator: _SubsetSums, comm: Comm) -> Tensor:
        return comm.sum(accumulator.sums)

    def _sizes(self, context: PairContext) -> tuple[int, int]:
        first, second = self.draw.roles
        return context.sizes[first], context.sizes[second]

    def _within(self, local: Shard, remote: Shard, among: tuple[Tensor, Tensor], tiling: Tiling) -> Tensor:
        """Return the sum of :meth:`Kernel.rest` over one subset's pairs."""
        total = torch.zeros((), dtype=torch.float64, device=local.rows.device)
        for tile in tiles(local, remote, among=among, tiling=tiling):
            total += (2 if tile.mirrored else 1) * self.kernel.rest(tile).sum(dtype=torch.float64)
        return total


class _Members:
    """Which rows of a side each subset holds.

    Args:
        places: int64 ``(S, size)``.
        n: rows of the side.
    """

    def __init__(self, places: Tensor, n: int) -> None:
        self.places, self.n = places, n
        holds = torch.zeros(n, len(places), dtype=torch.bool, device=places.device)
        self._holds = holds.scatter_(0, places.T, True)

    def held(self, position: Tensor) -> Tensor:
        """Return bool ``(n, S)``, whether the subset holds each of these rows."""
        return self._holds[position]

    def sums(self, shard: Shard, values: Tensor) -> Tensor:
        """Return ``(S,)``, the sum over the rows of each subset of ``values``, those of a shard's rows."""
        return values.new_zeros(self.n).index_copy_(0, shard.position, values)[self.places].sum(1)


@dataclass
class _SubsetSums:
    """The members of each side, and the sums so far.

    Args:
        bags: of the parts of blocks of rows that were met, by their ends: the rows that each subset holds, one subset
            after the other, and where each begins.
        held: of the blocks of columns that were met: float32 ``(S, columns)``, 1 where the subset holds the column.
    """

    rows: _Members
    columns: _Members
    sums: Tensor
    is_sparse: bool
    tiling: Tiling
    bags: WeakKeyDictionary[Block, dict[tuple[int, int], tuple[Tensor, Tensor]]] = field(
        default_factory=WeakKeyDictionary
    )
    held: WeakKeyDictionary[Block, Tensor] = field(default_factory=WeakKeyDictionary)

    def over_rows(self, rows: Block, part: slice, values: Tensor) -> Tensor:
        """Return ``(S, columns)``: the sum over the rows of each subset of ``values``, those of a part of a block."""
        bags, ends = self.bags.setdefault(rows, {}), (part.start, part.stop)
        if ends not in bags:
            subsets, members = self.rows.held(rows.position[part]).T.nonzero(as_tuple=True)
            counts = subsets.bincount(minlength=len(self.sums))
            bags[ends] = members, counts.cumsum(0) - counts
        members, starts = bags[ends]
        return embedding_bag(members, values, starts, mode="sum")

    def over_columns(self, columns: Block, values: Tensor) -> Tensor:
        """Return ``(S,)`` float64, the sum over the columns of each subset of ``values (S, columns)``."""
        if columns not in self.held:
            self.held[columns] = self.columns.held(columns.position).T.contiguous().float()
        return values.mul_(self.held[columns]).sum(1, dtype=torch.float64)
