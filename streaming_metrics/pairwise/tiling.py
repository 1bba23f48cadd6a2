"""Tiling: the sizes of tiles, and the tiles of two shards."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from streaming_metrics.pairwise.products import multiplies_by_mkl
from streaming_metrics.pairwise.shards import Block, Shard
from streaming_metrics.pairwise.tiles import Tile
from streaming_metrics.precision import has_fast_bfloat16

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

LEAST_BF16_WIDTH = 256
CPU_SIZE, MKL_SIZE, GPU_SIZE = 896, 1680, 8192
"""Rows and columns of a tile: on a CPU not a power of two, since rows of it that lie 4 KiB apart drive each other out
of the cache, and more where MKL multiplies, which is quicker at them; on a GPU so many that the tile's work, in 1.5 GB,
takes longer than asking for it."""


@dataclass(frozen=True)
class Tiling:
    """Sizes of tiles; no result depends on them.

    Args:
        size: rows and columns of a tile; None asks :func:`usual_size`.
        panel: blocks of rows that stay while those of columns pass: each of these is centred so many times less often.
        bf16: whether products in bfloat16 bound distances first; None asks :func:`bf16_pays`.
        halved: rows from which on half of a block with itself is halved again on a CPU: products of fewer take longer
            than they save.
    """

    size: int | None = None
    panel: int = 4
    bf16: bool | None = None
    halved: int = 512

    def size_for(self, rows: Tensor) -> int:
        """Return the rows and columns of a tile of such rows."""
        return usual_size(rows) if self.size is None else self.size

    def uses_bf16(self, rows: Tensor) -> bool:
        """Return whether distances between such rows are bounded by products in bfloat16 first."""
        return bf16_pays(rows) if self.bf16 is None else self.bf16


DEFAULT_TILING = Tiling()


def bf16_pays(rows: Tensor) -> bool:
    """Return whether products in bfloat16 save more time than measuring what they leave open costs."""
    return rows.shape[1] >= LEAST_BF16_WIDTH and has_fast_bfloat16(rows.device)


def usual_size(rows: Tensor) -> int:
    """Return the rows and columns of a tile that suit the device of ``rows``."""
    if rows.device.type != "cpu":
        return GPU_SIZE
    return MKL_SIZE if multiplies_by_mkl() else CPU_SIZE


def tiles(
    local: Shard,
    remote: Shard,
    bf16: bool = False,
    among: tuple[Tensor | None, Tensor | None] = (None, None),
    tiling: Tiling = DEFAULT_TILING,
) -> Iterator[Tile]:
    """Yield the tiles of two shards; of a shard with itself one half, which stands for both.

    Args:
        local, remote: whose rows are a tile's rows and its columns.
        bf16: see :class:`Tile`.
        among: int64, which rows of each shard, the same ones of a shard with itself; all where None.
        tiling: the tiles' sizes.
    """
    size = tiling.size_for(local.rows)
    is_same, left = local is remote, enumerate(blocks(local, among[0], size))
    while panel := list(islice(left, tiling.panel)):
        ready = dict(panel) if is_same else {}
        for j, columns in enumerate(blocks(remote, among[1], size)):
            for i, rows in panel:
                if is_same and i == j:
                    yield from _triangle(rows, bf16, tiling.halved)
                elif not is_same or i < j:
                    yield Tile(rows, ready.get(j, columns), mirrored=is_same, bf16=bf16)


def _triangle(rows: Block, bf16: bool, halved: int) -> Iterator[Tile]:
    """Yield the tiles of a block with itself: of each half, and of the two with each other once, which is three
    quarters of the square, or, where halves are halved again, five eighths.
    """
    if len(rows) < 2:
        yield Tile(rows, rows, diagonal=True, bf16=bf16)
        return
    first, second = rows.halves()
    for half in (first, second):
        if half.position.is_cpu and len(half) >= halved:
            yield from _triangle(half, bf16, halved)
        else:
            yield Tile(half, half, diagonal=True, bf16=bf16)
    yield Tile(first, second, mirrored=True, bf16=bf16)


def blocks(shard: Shard, which: Tensor | None, size: int) -> Iterator[Block]:
    """Yield blocks of a shard's rows: of all, or of those that ``which`` names, in halves as these are few."""
    n, size = (len(shard), size) if which is None else (len(which), (size + 1) // 2)
    for start in range(0, n, size):
        part = slice(start, min(start + size, n))
        yield Block(shard, part if which is None else which[part])
