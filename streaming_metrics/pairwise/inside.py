"""Inside balls: how many pairs of a tile are nearer than the radius of the ball around one of the two, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streaming_metrics.pairwise.distances import distance_bounds, pair_distances
from streaming_metrics.pairwise.tiles import spread
from streaming_metrics.pairwise.within import above, below, where, within

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.pairwise.tiles import Tile

UNDECIDED = 2.0**-8
"""Share of a tile's pairs beyond which float32 products cost less than measuring the pairs."""
CROWDED = 2.0**-4
"""Share of a tile's pairs within reach beyond which upper bounds of all cost less than those of each."""


def count_inside(
    tile: Tile, squared: Tensor, strict: bool, around_rows: bool = False, ids: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return how many balls each point lies in, how many points each ball holds, and the id of the only one of each
    ball, 0 where it holds none or several, or there are no ids: int64.

    Lower bounds leave few pairs; upper bounds decide most of these, and exact distances the others.

    Args:
        tile: of points and of the balls' centres.
        squared: ``(balls,)`` float64, squared radii.
        strict: whether a point at exactly the radius is outside.
        around_rows: whether the balls are around the rows; else around the columns.
        ids: ``(points,)`` int64.
    """
    low, reach, sure = _balls_first(tile.low, around_rows), above(squared), None
    if strict:
        reach = torch.where(squared > 0, reach, -torch.inf)
    found = within(low, reach, most=int(CROWDED * low.numel()))
    if found is None:
        sure = _balls_first(tile.high, around_rows) < below(squared).unsqueeze(1)
        found = where((low <= reach.unsqueeze(1)) & ~sure)
    balls, points = found
    r, c = (balls, points) if around_rows else (points, balls)
    inside = _upper_bounds(tile, r, c) < squared[balls]
    (open_,) = (~inside).nonzero(as_tuple=True)
    if tile.bf16 and len(open_) > UNDECIDED * low.numel():
        return count_inside(tile.refined, squared, strict, around_rows, ids)
    inside[open_] = _measured(tile, r[open_], c[open_], squared[balls[open_]], strict)
    return _counts(points[inside], balls[inside], sure, low.shape, ids)


def _balls_first(matrix: Tensor, around_rows: bool) -> Tensor:
    return matrix if around_rows else matrix.T


def _upper_bounds(tile: Tile, rows: Tensor, columns: Tensor) -> Tensor:
    low, norms = tile.low[rows, columns], tile.rows.norms[rows] + tile.columns.norms[columns]
    return low + spread(tile.rows.shard, tile.columns.shard, tile.bf16, low, norms)


def _measured(tile: Tile, rows: Tensor, columns: Tensor, squared: Tensor, strict: bool) -> Tensor:
    """Return bool ``(P,)``: which pairs are nearer than their squared radius, or, unless ``strict``, at it."""
    x, y, rows, columns = tile.rows.shard, tile.columns.shard, tile.rows.places(rows), tile.columns.places(columns)
    low, high = distance_bounds(x, y, rows, columns)
    inside = high < squared
    (open_,) = ((low <= squared) & (high >= squared)).nonzero(as_tuple=True)
    distances, radii = pair_distances(x, y, rows[open_], columns[open_]), squared[open_]
    inside[open_] = distances < radii if strict else distances <= radii
    return inside


def _counts(
    points: Tensor, balls: Tensor, sure: Tensor | None, shape: torch.Size, ids: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what :func:`count_inside` does, of pairs of points and balls, and of a matrix of others."""
    holds, held = (numbers.bincount(minlength=n) for numbers, n in zip((balls, points), shape))
    only = torch.zeros_like(holds)
    if ids is not None:
        only.index_add_(0, balls, ids[points])
    if sure is not None:
        surely = sure.sum(1, dtype=torch.int32)
        held, holds = held + sure.sum(0, dtype=torch.int32), holds + surely
        if ids is not None:
            only += ids[sure.to(torch.uint8).argmax(1)] * (surely == 1)
    return held, holds, only * (holds == 1)
