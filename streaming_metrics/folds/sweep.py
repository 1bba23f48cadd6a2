"""One sweep of tiles a pair of sides: every fold sees each tile, however the sides are sharded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streaming_metrics.folds.base import Fold, Setting, Shard, Tile
from streaming_metrics.precision import full_precision

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor

    from streaming_metrics.comm import Comm

TILE = 1024


def sweep(folds: Sequence[Fold], setting: Setting, visitors: Iterable[Shard], comm: Comm) -> dict[Fold, Tensor]:
    """Show ``folds`` every pair of this rank's rows with every visitor's, and return their results; collective.

    Args:
        folds: folds over one pair of sides.
        setting: with this rank's shard of the rows' side.
        visitors: the shards of the columns' side; where it is the rows' side, one of them is ``setting.own`` itself.
        comm: over which results are reduced.
    """
    accumulators = {fold: fold.start(setting) for fold in folds}
    with full_precision(setting.own.rows.device):
        for visitor in visitors:
            for tile in tiles(setting.own, visitor):
                for fold, accumulator in accumulators.items():
                    fold.tile(accumulator, tile)
            for fold, accumulator in accumulators.items():
                fold.leave(accumulator, setting.own, visitor)
    return {fold: fold.finish(accumulator, comm) for fold, accumulator in accumulators.items()}


def tiles(own: Shard, visitor: Shard) -> Iterator[Tile]:
    """Yield the tiles of two shards; of a shard with itself half are computed and shown from both sides."""
    for rows in _blocks(len(own)):
        for columns in _blocks(len(visitor)):
            if own is visitor and columns.start < rows.start:
                continue
            tile = tile_of(own, visitor, rows, columns)
            tile.diagonal = own is visitor and columns.start == rows.start
            yield tile
            if own is visitor and not tile.diagonal:
                yield tile.transposed()


def tile_of(own: Shard, visitor: Shard, rows: slice | Tensor, columns: slice) -> Tile:
    """Return the tile of some rows and some columns."""
    products = torch.mm(own.centred(rows), visitor.centred(columns).T)
    return Tile(own, visitor, rows, columns, products)


def _blocks(n: int) -> Iterator[slice]:
    for start in range(0, n, TILE):
        yield slice(start, min(start + TILE, n))
