"""Inside balls: which pairs of a tile are nearer than the radius of the ball around one of the two, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streaming_metrics.pairwise.distances import distance_bounds, pair_distances
from streaming_metrics.pairwise.tiles import spread
from streaming_metrics.pairwise.within import above, within

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.pairwise.tiles import Tile

UNDECIDED = 2.0**-8
"""Share of a tile's pairs beyond which float32 products cost less than measuring the pairs."""


def inside_balls(tile: Tile, squared: Tensor, strict: bool, around_rows: bool = False) -> tuple[Tensor, Tensor]:
    """Return which points lie in which balls, as pairs: int64 ``(P,)``, numbers of points, and of balls, in the tile.

    Lower bounds leave few pairs; upper bounds decide most of these, and exact distances the others.

    Args:
        tile: of points and of the balls' centres.
        squared: ``(balls,)`` float64, squared radii.
        strict: whether a point at exactly the radius is outside.
        around_rows: whether the balls are around the rows; else around the columns.
    """
    reach = above(squared)
    if strict:
        reach = torch.where(squared > 0, reach, -torch.inf)
    balls, points = within(tile.low if around_rows else tile.low.T, reach)
    r, c = (balls, points) if around_rows else (points, balls)
    low, norms, shards = (
        tile.low[r, c],
        tile.rows.norms[r] + tile.columns.norms[c],
        (tile.rows.shard, tile.columns.shard),
    )
    inside = low + spread(*shards, tile.bf16, low, norms) < squared[balls]
    (open_,) = (~inside).nonzero(as_tuple=True)
    if tile.bf16 and len(open_) > UNDECIDED * tile.low.numel():
        return inside_balls(tile.refined, squared, strict, around_rows)
    inside[open_] = _measured(tile, r[open_], c[open_], squared[balls[open_]], strict)
    return points[inside], balls[inside]


def _measured(tile: Tile, rows: Tensor, columns: Tensor, squared: Tensor, strict: bool) -> Tensor:
    """Return bool ``(P,)``: which pairs are nearer than their squared radius, or, unless ``strict``, at it."""
    shards, places = (tile.rows.shard, tile.columns.shard), (tile.rows.places(rows), tile.columns.places(columns))
    low, high = distance_bounds(*shards, *places)
    inside = high < squared
    (open_,) = ((low <= squared) & (high >= squared)).nonzero(as_tuple=True)
    distances, radii = pair_distances(*shards, *(place[open_] for place in places)), squared[open_]
    inside[open_] = distances < radii if strict else distances <= radii
    return inside


def only_points(points: Tensor, balls: Tensor, holds: Tensor, ids: Tensor) -> Tensor:
    """Return the id of the only point of each ball, int64, 0 where there are none or several.

    Args:
        points, balls: what :func:`inside_balls` returned.
        holds: ``(balls,)``, the points of each ball.
        ids: ``(points,)`` int64.
    """
    return torch.zeros_like(holds).index_add_(0, balls, ids[points]) * (holds == 1)
