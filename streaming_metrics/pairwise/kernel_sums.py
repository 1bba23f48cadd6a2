"""Kernel sums: a kernel summed over all pairs of every row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.pairwise.base import Needs, PairContext, PairReduction

if TYPE_CHECKING:
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Role
    from streaming_metrics.pairwise.kernels import Kernel
    from streaming_metrics.pairwise.shards import Shard
    from streaming_metrics.pairwise.tiles import Tile


@dataclass(frozen=True)
class KernelSums(PairReduction):
    """``Σ_y k(x, y)`` of every row, then, between two sides, ``Σ_x k(x, y)`` of every column: float64.

    ``(N,)`` over one side, pairs of a row with itself left out; ``(rows + columns,)`` between two.
    """

    rows: Role
    columns: Role
    kernel: Kernel

    @property
    def sides(self) -> tuple[Role, Role]:
        return self.rows, self.columns

    def needs(self, context: PairContext) -> Needs:  # noqa: ARG002
        return self.kernel.needs

    def start(self, context: PairContext) -> tuple[Tensor, Tensor]:
        between = self.rows != self.columns
        sizes = context.sizes[self.rows], context.sizes[self.columns] if between else 0
        rows, columns = (context.local.rows.new_zeros(size, dtype=torch.float64) for size in sizes)
        return rows, columns

    def tile(self, accumulator: tuple[Tensor, Tensor], tile: Tile) -> None:
        rows, columns = accumulator
        there = columns if len(columns) else rows
        for part, rest in self.kernel.strips(tile):
            rows[tile.rows.position[part]] += rest.sum(1, dtype=torch.float64)
            if len(columns) or tile.mirrored:
                there[tile.columns.position] += rest.sum(0, dtype=torch.float64)

    def end_shard(self, accumulator: tuple[Tensor, Tensor], local: Shard, remote: Shard) -> None:
        rows, columns = accumulator
        for x, y in self.kernel.powers(local, remote):
            rows[local.position] += x * y.sum()
            if len(columns):
                columns[remote.position] += y * x.sum()
            elif local is remote:
                rows[local.position] -= x * y

    def finish(self, accumulator: tuple[Tensor, Tensor], comm: Comm) -> Tensor:
        return comm.sum(torch.cat(accumulator))
