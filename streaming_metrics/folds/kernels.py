"""A polynomial kernel over tiles, and its sum over all pairs of every row."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import comb
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.folds.base import Block, Fold, Role, Setting, Shard, Sight, Tile

if TYPE_CHECKING:
    from streaming_metrics.comm import Comm


@dataclass(frozen=True)
class PolynomialKernel:
    """``k(x, y) = (gamma·xᵀy + coef)^degree``, with ``gamma = 1/D`` where None.

    With ``x = μ + x̃`` and ``y = μ + ỹ`` it is ``(c + u)^degree``, where ``c = a(x) + b(y)`` holds what the mean
    contributes and ``u = gamma·x̃ᵀỹ`` the rest. Sums of ``c^degree`` are sums of powers of a and b, in float64; float32
    holds ``(c + u)^degree − c^degree`` alone, so that the constant part, by far the largest, rounds nothing away.
    """

    degree: int = 3
    gamma: float | None = None
    coef: float = 1.0

    def rest(self, tile: Tile) -> Tensor:
        """Return ``(c + u)^degree − c^degree`` of a tile's pairs, float32; 0 where they do not count.

        It is ``u·Σ_t (c + u)^t·c^(degree − 1 − t)``, without a difference in which digits would cancel.
        """
        a, b, gamma = self.parts(tile.rows)[0], self.parts(tile.columns)[1], self._gamma(tile.rows.shard)
        c = a.float().unsqueeze(1) + b.float().unsqueeze(0)
        base = torch.add(c, tile.products, alpha=gamma)
        total = base + c if self.degree > 1 else torch.ones_like(c)
        for power in accumulate([c] * (self.degree - 2), torch.mul):
            total.mul_(base).addcmul_(power, c)
        rest = torch.addcmul(c.new_zeros(()), total, tile.products, value=gamma, out=base)
        return rest.fill_diagonal_(0) if tile.diagonal else rest

    def parts(self, block: Block | Shard) -> tuple[Tensor, Tensor]:
        """Return a and b of rows, float64 ``(n,)``: a of those that are a tile's rows, b of its columns."""
        shard = block.shard if isinstance(block, Block) else block
        b = self._gamma(shard) * (block.offsets - shard.centre.double().square().sum() / 2)
        return b + self.coef, b

    def powers(self, rows: Shard, columns: Shard) -> list[tuple[Tensor, Tensor]]:
        """Return pairs ``(p, q)``, float64 ``(n,)`` and ``(m,)``, with ``c^degree = Σ p(x)·q(y)``."""
        a, b, d = self.parts(rows)[0], self.parts(columns)[1], self.degree
        return [(comb(d, t) * a ** (d - t), b**t) for t in range(d + 1)]

    def _gamma(self, shard: Shard) -> float:
        return 1 / shard.rows.shape[1] if self.gamma is None else self.gamma


@dataclass(frozen=True)
class KernelSums(Fold):
    """``Σ_y k(x, y)`` of every row, then, between two sides, ``Σ_x k(x, y)`` of every column: float64.

    ``(N,)`` over one side, pairs of a row with itself left out; ``(rows + columns,)`` between two.
    """

    rows: Role
    columns: Role
    kernel: PolynomialKernel

    @property
    def sides(self) -> tuple[Role, Role]:
        return self.rows, self.columns

    def reads(self, setting: Setting) -> Sight:  # noqa: ARG002
        return "products"

    def start(self, setting: Setting) -> tuple[Tensor, Tensor]:
        between = self.rows != self.columns
        sizes = setting.size(self.rows), setting.size(self.columns) if between else 0
        rows, columns = (setting.own.norms.new_zeros(size) for size in sizes)
        return rows, columns

    def tile(self, accumulator: tuple[Tensor, Tensor], tile: Tile) -> None:
        rest = self.kernel.rest(tile)
        rows, columns = accumulator
        rows[tile.rows.position] += rest.sum(1, dtype=torch.float64)
        if len(columns) or tile.mirrored:
            there = columns if len(columns) else rows
            there[tile.columns.position] += rest.sum(0, dtype=torch.float64)

    def leave(self, accumulator: tuple[Tensor, Tensor], own: Shard, visitor: Shard) -> None:
        rows, columns = accumulator
        for x, y in self.kernel.powers(own, visitor):
            rows[own.position] += x * y.sum()
            if len(columns):
                columns[visitor.position] += y * x.sum()
            elif own is visitor:
                rows[own.position] -= x * y

    def finish(self, accumulator: tuple[Tensor, Tensor], comm: Comm) -> Tensor:
        return comm.sum(torch.cat(accumulator))
