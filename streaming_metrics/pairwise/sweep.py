"""One sweep of tiles a pair of sides: every reduction sees each tile, however the sides are sharded."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from streaming_metrics.pairwise.base import Block, PairReduction, Setting, Shard, Tile
from streaming_metrics.precision import full_precision, has_fast_bfloat16

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor

    from streaming_metrics.distributed.comm import Comm

TILE = 896
"""Rows and columns of a tile. Not a power of two: rows of it that lie 4 KiB apart drive each other out of the cache."""
WIDE = 256
PANEL = 4
"""Blocks of rows that stay while those of columns pass: each of these is centred a quarter as often."""


def sweep(
    reductions: Sequence[PairReduction], setting: Setting, visitors: Iterable[Shard], comm: Comm
) -> dict[PairReduction, Tensor]:
    """Show ``reductions`` every pair of this rank's rows with every visitor's, and return their results; collective.

    Args:
        reductions: reductions over one pair of sides.
        setting: with this rank's shard of the rows' side.
        visitors: the shards of the columns' side; where it is the rows' side, one of them is ``setting.own`` itself.
        comm: over which results are reduced.
    """
    accumulators = {reduction: reduction.start(setting) for reduction in reductions}
    sights = {reduction: reduction.reads(setting) for reduction in reductions}
    looking = {reduction: accumulators[reduction] for reduction in reductions if sights[reduction] != "nothing"}
    rough = "products" not in sights.values() and rough_pays(setting.own.rows)
    with full_precision(setting.own.rows.device):
        for visitor in visitors:
            for tile in tiles(setting.own, visitor, rough) if looking else ():
                for reduction, accumulator in looking.items():
                    reduction.tile(accumulator, tile)
            for reduction, accumulator in accumulators.items():
                reduction.leave(accumulator, setting.own, visitor)
    return {reduction: reduction.finish(accumulator, comm) for reduction, accumulator in accumulators.items()}


def tiles(
    own: Shard, visitor: Shard, rough: bool = False, among: tuple[Tensor | None, Tensor | None] = (None, None)
) -> Iterator[Tile]:
    """Yield the tiles of two shards; of a shard with itself one half, which stands for both.

    Args:
        own, visitor: whose rows are a tile's rows and its columns.
        rough: see :class:`Tile`.
        among: int64, which rows of each shard, the same ones of a shard with itself; all where None.
    """
    is_same, left = own is visitor, enumerate(blocks(own, among[0]))
    while panel := list(islice(left, PANEL)):
        ready = dict(panel) if is_same else {}
        for j, columns in enumerate(blocks(visitor, among[1])):
            for i, rows in panel:
                if not is_same or i <= j:
                    yield Tile(rows, ready.get(j, columns), is_same and i == j, is_same and i < j, rough)


def blocks(shard: Shard, which: Tensor | None = None) -> Iterator[Block]:
    """Yield blocks of a shard's rows: of all, or of those that ``which`` names, in halves as these are few."""
    n, size = (len(shard), TILE) if which is None else (len(which), (TILE + 1) // 2)
    for start in range(0, n, size):
        part = slice(start, min(start + size, n))
        yield Block(shard, part if which is None else which[part])


def rough_pays(rows: Tensor) -> bool:
    """Return whether products in bfloat16 save more time than measuring what they leave open costs."""
    return rows.shape[1] >= WIDE and has_fast_bfloat16(rows.device)
