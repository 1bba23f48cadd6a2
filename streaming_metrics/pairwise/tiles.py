"""Tile: inner products and distances of some rows with some columns.

Products are of centred rows, in float32, or in bfloat16 where that is quicker and bounds of distances alone are asked
for. :attr:`Tile.low` and :attr:`Tile.high` hold what rounding can have done, whatever the order of summation, and
:func:`~streaming_metrics.pairwise.distances.pair_distances` decides the pairs that the bounds leave open, so no result
depends on precision, tile sizes or ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.pairwise.distances import UNDERFLOW, measured, summation_error
from streaming_metrics.pairwise.products import inner_products

if TYPE_CHECKING:
    from streaming_metrics.pairwise.shards import Block, Shard

BF16_PRODUCT_ERROR = 2.0**-7 * (1 + 2.0**-7)
"""Twice the unit roundoff of bfloat16, in which products of bfloat16 rows come out."""
SQUARED_ERROR = 2.0**-30
"""The relative error of :attr:`Tile.squared`."""


@dataclass
class Tile:
    """Inner products and distances of some rows with some columns, made when they are looked at.

    Args:
        rows, columns: of one shard each.
        diagonal: whether rows and columns are the same samples, so that pairs (i, i) do not count.
        mirrored: whether the pairs (column, row) count as well, and no other tile shows them.
        bf16: whether distances are bounded by products in bfloat16.
    """

    rows: Block
    columns: Block
    diagonal: bool = False
    mirrored: bool = False
    bf16: bool = False

    @cached_property
    def products(self) -> Tensor:
        """``(rows, columns)`` float32, inner products of centred rows."""
        return inner_products(self.rows.centred, self.columns.centred)

    @cached_property
    def products64(self) -> Tensor:
        """The same in float64, for what float32 cannot hold."""
        return torch.mm(self.rows.centred.double(), self.columns.centred.double().T)

    @cached_property
    def squared(self) -> Tensor:
        """``(rows, columns)`` float64, ``‖x − y‖²`` within a relative :data:`SQUARED_ERROR`; 0 on the diagonal.

        Pairs so near that :meth:`bounds64` are farther apart than that are measured exactly. They are few, unless the
        two sides lie in clusters some 60 times as far apart (at D = 2048) as they are wide: then, but for copies, it
        takes as long as brute force.
        """
        squared, error = self._squared64()
        r, c = (squared * SQUARED_ERROR < error).nonzero(as_tuple=True)
        squared[r, c] = measured(self.rows.shard, self.columns.shard, self.rows.places(r), self.columns.places(c))
        return squared.fill_diagonal_(0) if self.diagonal else squared

    def bounds64(self) -> tuple[Tensor, Tensor]:
        """Return ``(rows, columns)`` float64 that no ``‖x − y‖²`` is below, and such that none is above; inf where a
        pair does not count. They are ``4·(D + 32)·2⁻⁵³·(‖x‖² + ‖y‖²)`` apart, centred.
        """
        squared, error = self._squared64()
        return squared - error, squared + error

    def _squared64(self) -> tuple[Tensor, Tensor]:
        """Return ``‖x − y‖²`` by float64 products and norms, inf on the diagonal, and what rounding can have done."""
        x, y = self.rows.centred64(), self.columns.centred64()
        rows, columns = (torch.linalg.vector_norm(side, dim=1).square() for side in (x, y))
        norms = rows.unsqueeze(1) + columns
        squared = torch.addmm(norms, x, y.T, alpha=-2)
        if self.diagonal:
            squared.fill_diagonal_(torch.inf)
        return squared, norms.mul_(2 * summation_error(x.shape[1], 2.0**-53))

    @cached_property
    def low(self) -> Tensor:
        """``(rows, columns)`` float32 that no ``‖x − y‖²`` is below; inf where a pair does not count."""
        low = self._bounds(-1)
        return low.fill_diagonal_(torch.inf) if self.diagonal else low

    @cached_property
    def high(self) -> Tensor:
        """``(rows, columns)`` float32 that no ``‖x − y‖²`` is above; inf where a pair does not count."""
        high = self._bounds(1)
        return high.fill_diagonal_(torch.inf) if self.diagonal else high

    @cached_property
    def refined(self) -> Tile:
        """The same pairs, bounded by float32 products."""
        return Tile(self.rows, self.columns, self.diagonal, self.mirrored)

    @cached_property
    def slack(self) -> float:
        """Relative rounding bound: see :func:`slack`."""
        return slack(self.rows.shard, self.columns.shard, self.bf16)

    @cached_property
    def _dots(self) -> Tensor:
        return torch.mm(self.rows.rounded, self.columns.rounded.T).float() if self.bf16 else self.products

    def _bounds(self, sign: int) -> Tensor:
        scale, floor = 1 + sign * self.slack, sign * 2 * self.rows.shard.rows.shape[1] * UNDERFLOW
        rows, columns = (scale * block.norms + floor for block in (self.rows, self.columns))
        bounds = torch.add(columns.float().unsqueeze(0), self._dots, alpha=-2)
        if self.bf16:
            bounds.add_(self._dots.abs(), alpha=sign * BF16_PRODUCT_ERROR)
        return bounds.add_(rows.float().unsqueeze(1))


def slack(x: Shard, y: Shard, bf16: bool) -> float:
    """Return the relative rounding bound of a tile: products and norms give ``‖x − y‖²`` within
    ``slack·(‖x‖² + ‖y‖²)``, centred, and, in bfloat16, ``BF16_PRODUCT_ERROR`` times the product.

    Rounded rows ``x + d``, ``‖d‖ ≤ r·‖x‖``, move a product by at most ``(2r + r²)·‖x‖·‖y‖`` (Cauchy and Schwarz).
    """
    summation = summation_error(x.rows.shape[1])
    if not bf16:
        return summation
    moved = max(x.bf16_error, y.bf16_error)
    return 2 * moved + moved**2 + 2 * summation


def spread(x: Shard, y: Shard, bf16: bool, low: Tensor, norms: Tensor) -> Tensor:
    """Return how far above :attr:`Tile.low` a distance can be; ``norms`` is ``‖x‖² + ‖y‖²``, float64."""
    rounding = slack(x, y, bf16) * norms
    if bf16:
        rounding = rounding + BF16_PRODUCT_ERROR * ((norms - low).abs() + rounding) / (2 - BF16_PRODUCT_ERROR)
    return 2 * rounding + 8 * x.rows.shape[1] * UNDERFLOW
