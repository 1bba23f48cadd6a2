"""Distances to the k-th nearest neighbour, and who lies inside the balls that they span."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.pairwise.base import (
    Block,
    PairReduction,
    Role,
    Setting,
    Shard,
    Tile,
    distance_bounds,
    pair_distances,
)
from streaming_metrics.pairwise.sweep import TILE, blocks

if TYPE_CHECKING:
    from streaming_metrics.distributed.comm import Comm

SPARE = 12
"""Candidates kept beyond k: so many that rounding seldom lets one more matter."""
GROUP = 2**3
UNDECIDED = 2.0**-8
"""Share of a tile's pairs beyond which float32 products cost less than measuring the pairs."""


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

    def start(self, setting: Setting) -> _Nearest:
        return _Nearest.empty(setting, self.k, setting.size(self.role))

    def tile(self, accumulator: _Nearest, tile: Tile) -> None:
        accumulator.offer(tile.rows, tile.columns, tile.low)
        if tile.mirrored:
            accumulator.offer(tile.columns, tile.rows, tile.low.T)
        accumulator.rough |= tile.rough

    def leave(self, accumulator: _Nearest, own: Shard, visitor: Shard) -> None:
        accumulator.settle(own, visitor)

    def finish(self, accumulator: _Nearest, comm: Comm) -> Tensor:
        radii = torch.zeros(accumulator.total, dtype=torch.float64, device=accumulator.exact.device)
        radii[accumulator.position] = accumulator.exact[:, -1]
        return comm.sum(radii)


@dataclass
class _Nearest:
    """Of each own row: the k smallest exact squared distances so far, and candidates among the present visitor.

    Args:
        exact: ``(n, k)`` float64, ascending, inf where fewer than k were met; where this rank holds the whole side only
            the last is exact, nearer ones may be lower bounds.
        low: ``(n, k + SPARE)`` float32, the smallest lower bounds of the visitor's pairs, ascending.
        column: ``(n, k + SPARE)`` int64, the visitor's rows that they belong to.
    """

    exact: Tensor
    low: Tensor
    column: Tensor
    position: Tensor
    total: int
    is_alone: bool
    rough: bool = False

    @classmethod
    def empty(cls, setting: Setting, k: int, total: int) -> _Nearest:
        n, device = len(setting.own), setting.own.rows.device
        exact = torch.full((n, k), torch.inf, dtype=torch.float64, device=device)
        low = torch.full((n, k + SPARE), torch.inf, device=device)
        return cls(exact, low, torch.zeros_like(low, dtype=torch.int64), setting.own.position, total, n == total)

    def offer(self, rows: Block, columns: Block, low: Tensor) -> None:
        low, column = _smallest_of(low, self.low.shape[1])
        low = torch.cat([self.low[rows.which], low], 1)
        column = torch.cat([self.column[rows.which], columns.places(column)], 1)
        self.low[rows.which], order = low.topk(self.low.shape[1], largest=False)
        self.column[rows.which] = column.gather(1, order)

    def settle(self, own: Shard, visitor: Shard) -> None:
        """Measure the candidates that can be among the k nearest; look again where equals may have been crowded out."""
        before, k, low = self.exact, self.exact.shape[1], self.low.double()
        sums = own.norms.unsqueeze(1) + visitor.norms[self.column] if len(visitor) else low
        high = low + Tile(Block(own, slice(0)), Block(visitor, slice(0)), rough=self.rough).spread(self.low, sums)
        for measure in (distance_bounds, _exactly):
            reach = torch.minimum(before[:, -1], high.topk(k, largest=False).values[:, -1])
            nearer = (high < low.topk(k, largest=False).values[:, -1:]) & self.is_alone
            rows, slots = ((low <= reach.unsqueeze(1)) & low.isfinite() & ~nearer).nonzero(as_tuple=True)
            low[rows, slots], high[rows, slots] = measure(own, visitor, rows, self.column[rows, slots])
        self.exact = _smallest(before, low)
        crowded = ((self.low[:, -1] < self.exact[:, -1]) & (self.exact[:, -1] > 0)).nonzero().squeeze(1)
        for some in crowded.split(TILE) if len(crowded) else ():
            self.exact[some] = _search(before[some], self.exact[some, -1], own, visitor, some)
        self.low.fill_(torch.inf)
        self.column.zero_()


def _exactly(x: Shard, y: Shard, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    distances = pair_distances(x, y, rows, columns)
    return distances, distances


def _search(exact: Tensor, reach: Tensor, own: Shard, visitor: Shard, rows: Tensor) -> Tensor:
    """Return ``exact`` with all of the visitor's pairs within ``reach`` merged in, each measured."""
    mine = Block(own, rows)
    for columns in blocks(visitor):
        near = Tile(mine, columns).low <= reach.unsqueeze(1)
        r, c = near.nonzero(as_tuple=True)
        c = columns.places(c)
        if own is visitor:
            others = rows[r] != c
            r, c = r[others], c[others]
        exact = _smallest(exact, _spread_out(pair_distances(own, visitor, rows[r], c), r, len(rows)))
    return exact


def _spread_out(values: Tensor, rows: Tensor, n: int) -> Tensor:
    """Return ``(n, most of a row)``: each row's values, ``rows`` ascending says whose they are, then inf."""
    counts = rows.bincount(minlength=n)
    place = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    table = values.new_full((n, int(counts.max())), torch.inf)
    table[rows, place] = values
    return table


def _smallest_of(low: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return values and columns that hold the ``count`` smallest of each row, in any order, and maybe others.

    Columns are grouped; the smallest lie in the groups of the smallest minima, an eighth of the values to choose among.
    """
    groups = low.shape[1] // GROUP
    if low.shape[1] % GROUP or groups <= count:
        return low.topk(min(count, low.shape[1]), largest=False, sorted=False)
    minima = low
    while minima.shape[1] > groups:
        minima = torch.minimum(*minima.chunk(2, 1))
    heads = minima.topk(count, largest=False, sorted=False).indices
    members = heads.unsqueeze(1) + groups * torch.arange(GROUP, device=low.device).view(1, -1, 1)
    return low.gather(1, members.flatten(1)), members.flatten(1)


def _smallest(exact: Tensor, more: Tensor) -> Tensor:
    return torch.cat([exact, more], 1).topk(exact.shape[1], largest=False).values


@dataclass(frozen=True)
class BallCounts(PairReduction):
    """How many balls each point lies in, then how many points each ball holds: int64 ``(points + balls,)``.

    Args:
        balls: the side whose samples span the balls, each reaching to its k-th nearest other sample; the points are the
            other side's.
        k: see :class:`Radii`.
        strict: whether a point at exactly the radius is outside.
    """

    balls: Role
    k: int
    strict: bool = True

    def __post_init__(self) -> None:
        check_integer("k", self.k, least=1)

    @property
    def sides(self) -> tuple[Role, Role]:
        return "fake", "real"

    @property
    def needs(self) -> tuple[PairReduction, ...]:
        return (Radii(self.balls, self.k),)

    def start(self, setting: Setting) -> _Counts:
        device = setting.own.rows.device
        points: Role = "fake" if self.balls == "real" else "real"
        held, holds = (
            torch.zeros(setting.size(role), dtype=torch.int64, device=device) for role in (points, self.balls)
        )
        return _Counts(setting.results[self.needs[0]], held, holds)

    def tile(self, accumulator: _Counts, tile: Tile) -> None:
        balls, points, across = (tile.columns, tile.rows, 1) if self.balls == "real" else (tile.rows, tile.columns, 0)
        radii = accumulator.radii[balls.position].unsqueeze(1 - across)
        inside = inside_balls(tile, radii, self.strict)
        accumulator.held[points.position] += inside.sum(across, dtype=torch.int32)
        accumulator.holds[balls.position] += inside.sum(1 - across, dtype=torch.int32)

    def finish(self, accumulator: _Counts, comm: Comm) -> Tensor:
        return comm.sum(torch.cat([accumulator.held, accumulator.holds]))

    def split(self, counts: Tensor, num_balls: int) -> tuple[Tensor, Tensor]:
        """Return the counts of the points and those of the balls."""
        return counts[: len(counts) - num_balls], counts[len(counts) - num_balls :]


@dataclass
class _Counts:
    radii: Tensor
    held: Tensor
    holds: Tensor


def inside_balls(tile: Tile, squared: Tensor, strict: bool) -> Tensor:
    """Return bool ``(rows, columns)``: which points lie in which balls.

    The bounds decide where they can, exact distances where they cannot.

    Args:
        tile: of points and of the balls' centres.
        squared: float64, squared radii: ``(1, columns)`` of balls around the columns, ``(rows, 1)`` around the rows.
        strict: whether a point at exactly the radius is outside.
    """
    inside = tile.high < _below(squared)
    maybe = tile.low <= _above(squared)
    if strict:
        maybe &= squared > 0
    r, c = (maybe & ~inside).nonzero(as_tuple=True)
    if tile.rough and len(r) > UNDECIDED * inside.numel():
        return inside_balls(tile.refined, squared, strict)
    if len(r):
        shards, radii = (tile.rows.shard, tile.columns.shard), squared.expand_as(inside)[r, c]
        low, high = distance_bounds(*shards, tile.rows.places(r), tile.columns.places(c))
        inside[r, c] = high < radii
        still = (low <= radii) & (high >= radii)
        r, c, radii = r[still], c[still], radii[still]
        distances = pair_distances(*shards, tile.rows.places(r), tile.columns.places(c))
        inside[r, c] = distances < radii if strict else distances <= radii
    return inside


def _below(values: Tensor) -> Tensor:
    """Return float32 that are not above the float64 ``values``."""
    return torch.nextafter(values.float(), torch.full((), -torch.inf, device=values.device))


def _above(values: Tensor) -> Tensor:
    """Return float32 that are not below the float64 ``values``."""
    return torch.nextafter(values.float(), torch.full((), torch.inf, device=values.device))
