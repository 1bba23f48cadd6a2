"""Distances to the k-th nearest neighbour, and who lies inside the balls that they span."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.folds.base import Fold, Role, Setting, Shard, Tile, pair_distances
from streaming_metrics.folds.sweep import TILE, tile_of

if TYPE_CHECKING:
    from streaming_metrics.comm import Comm

SPARE = 8


@dataclass(frozen=True)
class Radii(Fold):
    """Squared distance of every sample to its k-th nearest other sample of its side: float64 ``(N,)``, exact.

    The smallest lower bounds of a row are kept while tiles pass; the few that can matter are then measured exactly.
    """

    role: Role
    k: int

    @property
    def sides(self) -> tuple[Role, Role]:
        return self.role, self.role

    def start(self, setting: Setting) -> _Nearest:
        return _Nearest.empty(setting, self.k, setting.size(self.role))

    def tile(self, accumulator: _Nearest, tile: Tile) -> None:
        low = tile.bounds(-1)
        if tile.diagonal:
            low.fill_diagonal_(torch.inf)
        values, columns = low.topk(min(self.k + SPARE, low.shape[1]), largest=False)
        accumulator.offer(tile.rows, values, columns + tile.columns.start)

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
        exact: ``(n, k)`` float64, ascending, inf where fewer than k were met.
        low: ``(n, k + SPARE)`` float32, the smallest lower bounds of the visitor's pairs, ascending.
        column: ``(n, k + SPARE)`` int64, the visitor's rows that they belong to.
    """

    exact: Tensor
    low: Tensor
    column: Tensor
    position: Tensor
    total: int

    @classmethod
    def empty(cls, setting: Setting, k: int, total: int) -> _Nearest:
        n, device = len(setting.own), setting.own.rows.device
        exact = torch.full((n, k), torch.inf, dtype=torch.float64, device=device)
        low = torch.full((n, k + SPARE), torch.inf, device=device)
        return cls(exact, low, torch.zeros_like(low, dtype=torch.int64), setting.own.position, total)

    def offer(self, rows: slice | Tensor, low: Tensor, column: Tensor) -> None:
        low, column = torch.cat([self.low[rows], low], 1), torch.cat([self.column[rows], column], 1)
        self.low[rows], order = low.topk(self.low.shape[1], largest=False)
        self.column[rows] = column.gather(1, order)

    def settle(self, own: Shard, visitor: Shard) -> None:
        """Measure the candidates that can be among the k nearest; look again where equals may have been crowded out."""
        before, k = self.exact, self.exact.shape[1]
        sums = own.norms.unsqueeze(1) + visitor.norms[self.column] if len(visitor) else self.low.double()
        slack = Tile(own, visitor, slice(0), slice(0), own.rows).slack
        high = self.low + 2 * slack * sums
        reach = torch.minimum(before[:, -1], high.topk(k, largest=False).values[:, -1])
        rows, slots = (self.low <= reach.unsqueeze(1)).nonzero(as_tuple=True)
        rows, slots = (which[self.low[rows, slots].isfinite()] for which in (rows, slots))
        measured = torch.full(self.low.shape, torch.inf, dtype=torch.float64, device=before.device)
        if len(rows):
            measured[rows, slots] = pair_distances(own, visitor, rows, self.column[rows, slots])
        self.exact = _smallest(before, measured)
        crowded = ((self.low[:, -1] < self.exact[:, -1]) & (self.exact[:, -1] > 0)).nonzero().squeeze(1)
        for some in crowded.split(TILE) if len(crowded) else ():
            self.exact[some] = _search(before[some], self.exact[some, -1], own, visitor, some)
        self.low.fill_(torch.inf)
        self.column.zero_()


def _search(exact: Tensor, reach: Tensor, own: Shard, visitor: Shard, rows: Tensor) -> Tensor:
    """Return ``exact`` with all of the visitor's pairs within ``reach`` merged in, each measured."""
    for start in range(0, len(visitor), TILE):
        tile = tile_of(own, visitor, rows, slice(start, min(start + TILE, len(visitor))))
        near = tile.bounds(-1) <= reach.unsqueeze(1)
        if own is visitor:
            near &= rows.unsqueeze(1) != torch.arange(start, tile.columns.stop, device=rows.device)
        measured = torch.full(near.shape, torch.inf, dtype=torch.float64, device=near.device)
        r, c = near.nonzero(as_tuple=True)
        if len(r):
            measured[r, c] = pair_distances(own, visitor, rows[r], c + start)
        exact = _smallest(exact, measured)
    return exact


def _smallest(exact: Tensor, more: Tensor) -> Tensor:
    return torch.cat([exact, more], 1).topk(exact.shape[1], largest=False).values


@dataclass(frozen=True)
class BallCounts(Fold):
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

    @property
    def sides(self) -> tuple[Role, Role]:
        return "fake", "real"

    @property
    def needs(self) -> tuple[Fold, ...]:
        return (Radii(self.balls, self.k),)

    def start(self, setting: Setting) -> _Counts:
        device = setting.own.rows.device
        points: Role = "fake" if self.balls == "real" else "real"
        held, holds = (
            torch.zeros(setting.size(role), dtype=torch.int64, device=device) for role in (points, self.balls)
        )
        return _Counts(setting.results[self.needs[0]], held, holds)

    def tile(self, accumulator: _Counts, tile: Tile) -> None:
        tile = tile if self.balls == "real" else tile.transposed()
        inside = inside_balls(tile, accumulator.radii[tile.visitor.position[tile.columns]], self.strict)
        accumulator.held[tile.own.position[tile.rows]] += inside.sum(1)
        accumulator.holds[tile.visitor.position[tile.columns]] += inside.sum(0)

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
    """Return bool ``(rows, columns)``: which rows lie in the balls around the columns.

    The bounds decide where they can, exact distances where they cannot.

    Args:
        tile: its rows are the points, its columns the balls' centres.
        squared: ``(columns,)`` float64, squared radii.
        strict: whether a point at exactly the radius is outside.
    """
    inside = tile.bounds(1) < _below(squared).unsqueeze(0)
    maybe = tile.bounds(-1) <= _above(squared).unsqueeze(0)
    if strict:
        maybe &= (squared > 0).unsqueeze(0)
    points, balls = (maybe & ~inside).nonzero(as_tuple=True)
    if len(points):
        distances = pair_distances(tile.own, tile.visitor, points + _start(tile.rows), balls + _start(tile.columns))
        inside[points, balls] = distances < squared[balls] if strict else distances <= squared[balls]
    return inside


def _start(part: slice | Tensor) -> int:
    assert isinstance(part, slice)
    return part.start


def _below(values: Tensor) -> Tensor:
    """Return float32 that are not above the float64 ``values``."""
    return torch.nextafter(values.float(), torch.full((), -torch.inf, device=values.device))


def _above(values: Tensor) -> Tensor:
    """Return float32 that are not below the float64 ``values``."""
    return torch.nextafter(values.float(), torch.full((), torch.inf, device=values.device))
