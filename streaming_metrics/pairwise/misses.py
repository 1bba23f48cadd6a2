"""Misses: how likely every point is to lie in the support of none of a side's samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer, check_real
from streaming_metrics.pairwise.base import PairContext, PairReduction, check_distinct
from streaming_metrics.pairwise.distances import pair_distances
from streaming_metrics.pairwise.radii import Radii

if TYPE_CHECKING:
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Role
    from streaming_metrics.pairwise.tiles import Tile

MANY = 2.0**-5
"""Share of a tile's pairs beyond which float64 products cost less than measuring the pairs."""


@dataclass(frozen=True)
class Misses(PairReduction):
    """``Σ_i log min(1, d(x_i, y_j) / r)`` of every point y_j, over the samples x_i of a side: float64 ``(points,)``.

    r is ``scale`` times the mean distance of the samples to their k-th nearest others; −inf of copies of a sample.

    Args:
        centres: the side whose samples span the supports.
        k: see :class:`Radii`.
        scale: of the mean radius.

    Example:
        >>> Misses("fake", k=4, scale=1.2).points
        'real'
    """

    centres: Role
    k: int
    scale: float
    points: Role = ""

    def __post_init__(self) -> None:
        check_integer("k", self.k, least=1)
        check_real("scale", self.scale, above=0)
        object.__setattr__(self, "points", self.points or ("real" if self.centres == "fake" else "fake"))
        check_distinct("Misses", self.centres, self.points)

    @property
    def sides(self) -> tuple[Role, Role]:
        first, second = sorted((self.centres, self.points))  # both ways of a pair of sides share one sweep
        return first, second

    @property
    def requires(self) -> tuple[PairReduction, ...]:
        return (Radii(self.centres, self.k),)

    def start(self, context: PairContext) -> tuple[Tensor, Tensor]:
        reach = reach_of(context.results[self.requires[0]], self.scale)
        return reach, context.local.rows.new_zeros(context.sizes[self.points], dtype=torch.float64)

    def tile(self, accumulator: tuple[Tensor, Tensor], tile: Tile) -> None:
        reach, logs = accumulator
        are_columns = self.sides[1] == self.points
        points = tile.columns if are_columns else tile.rows
        logs[points.position] += missed(tile, reach, across=0 if are_columns else 1)

    def finish(self, accumulator: tuple[Tensor, Tensor], comm: Comm) -> Tensor:
        return comm.sum(accumulator[1])


def reach_of(squared: Tensor, scale: float) -> Tensor:
    """Return ``scale`` times the mean of radii, float64 ``()``, of squared radii ``(N,)``."""
    return scale * squared.sqrt().mean()


def missed(tile: Tile, reach: Tensor, across: int) -> Tensor:
    """Return ``Σ log min(1, d / reach)`` over the rows of a tile (``across=0``) or its columns, float64.

    Args:
        tile: of centres and points.
        reach: float64 ``()``, beyond which a centre has no support.
        across: the axis that centres are on.
    """
    near = tile.low < (reach * (1 + 2.0**-20)).square().float()
    rows, columns = near.nonzero(as_tuple=True)
    if len(rows) > MANY * near.numel():
        squared = tile.squared[rows, columns]
    else:
        places = tile.rows.places(rows), tile.columns.places(columns)
        squared = pair_distances(tile.rows.shard, tile.columns.shard, *places)
    inside = squared < reach.square()
    logs = (squared[inside].sqrt() / reach).log()
    sums = squared.new_zeros(near.shape[1 - across])
    return sums.index_add_(0, (columns, rows)[across][inside], logs)
