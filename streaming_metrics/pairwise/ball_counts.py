"""Ball counts: how many balls each point lies in, and how many points each ball holds, exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.pairwise.base import PairContext, PairReduction, check_distinct
from streaming_metrics.pairwise.half import half_reach
from streaming_metrics.pairwise.inside import count_inside
from streaming_metrics.pairwise.radii import Radii

if TYPE_CHECKING:
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Role
    from streaming_metrics.pairwise.tiles import Tile


@dataclass(frozen=True)
class BallCounts(PairReduction):
    """How many balls each point lies in, then how many points each ball holds: int64 ``(points + balls,)``; with
    ``visitors``, then the place of the only point that each ball holds ``(balls,)``, 0 where it holds none or several.

    Args:
        balls: the side whose samples span the balls, each reaching to its k-th nearest other sample.
        k: see :class:`Radii`.
        strict: whether a point at exactly the radius is outside.
        points: another side; by default the generated one, for its own balls the real one.
        visitors: whether to tell the only points.
        half: whether squared distances and radii are compared after rounding to float16, see :func:`half_reach`.

    Raises:
        ValueError: where points and balls are one side.

    Example:
        >>> BallCounts("train", k=5).points, BallCounts("fake", k=5).points
        ('fake', 'real')
    """

    balls: Role
    k: int
    strict: bool = True
    points: Role = ""
    visitors: bool = False
    half: bool = False

    def __post_init__(self) -> None:
        check_integer("k", self.k, least=1)
        object.__setattr__(self, "points", self.points or ("real" if self.balls == "fake" else "fake"))
        check_distinct("BallCounts", self.balls, self.points)

    @property
    def sides(self) -> tuple[Role, Role]:
        first, second = sorted((self.balls, self.points))  # both ways of a pair of sides share one sweep
        return first, second

    @property
    def requires(self) -> tuple[PairReduction, ...]:
        return (Radii(self.balls, self.k),)

    def start(self, context: PairContext) -> _Counts:
        device = context.local.rows.device
        held, holds = (
            torch.zeros(context.sizes[role], dtype=torch.int64, device=device) for role in (self.points, self.balls)
        )
        visitors = torch.zeros_like(holds) if self.visitors else None
        squared = context.results[self.requires[0]]
        return _Counts(half_reach(squared) if self.half else squared, held, holds, visitors)

    def tile(self, accumulator: _Counts, tile: Tile) -> None:
        are_columns = self.sides[1] == self.balls
        balls, points = (tile.columns, tile.rows) if are_columns else (tile.rows, tile.columns)
        squared = accumulator.radii[balls.position]
        ids = points.position if self.visitors else None
        held, holds, visitors = count_inside(tile, squared, self.strict, not are_columns, ids)
        accumulator.held[points.position] += held
        accumulator.holds[balls.position] += holds
        if accumulator.visitors is not None:
            accumulator.visitors[balls.position] += visitors

    def finish(self, accumulator: _Counts, comm: Comm) -> Tensor:
        held, holds, visitors = accumulator.held, accumulator.holds, accumulator.visitors
        counts = comm.sum(torch.cat([held, holds, *([] if visitors is None else [visitors])]))
        return self.settled(counts, len(holds))

    def settled(self, counts: Tensor, num_balls: int) -> Tensor:
        """Return a sum of counts without the visitors of balls that hold several: each may have been the only one of a
        tile, or of a rank.
        """
        held, holds, *visitors = self.parts(counts, num_balls)
        return torch.cat([held, holds, *(visitor * (holds == 1) for visitor in visitors)])

    def split(self, counts: Tensor, num_balls: int) -> tuple[Tensor, Tensor]:
        """Return the counts of the points and those of the balls."""
        held, holds, *_ = self.parts(counts, num_balls)
        return held, holds

    def parts(self, counts: Tensor, num_balls: int) -> tuple[Tensor, ...]:
        """Return the counts of the points, those of the balls, and the balls' only visitors where they are told."""
        told = 1 + self.visitors
        held, *rest = counts.split([len(counts) - told * num_balls, *[num_balls] * told])
        return held, *rest


@dataclass
class _Counts:
    radii: Tensor
    held: Tensor
    holds: Tensor
    visitors: Tensor | None = None
