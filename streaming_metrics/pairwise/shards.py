"""Shard and block: rows of a side that one rank holds, and those of them that a tile compares."""

from __future__ import annotations

from functools import cached_property
from math import sqrt

import torch
from torch import Tensor

from streaming_metrics.huge_pages import fresh
from streaming_metrics.pairwise.chunks import parts, rows_per_chunk


class Shard:
    """Rows of one side that one rank holds, seen from a common centre.

    Args:
        rows: ``(n, D)`` float32.
        position: ``(n,)`` int64, the place of each row in the whole side, ordered by index.
        centre: ``(D,)`` float32.
    """

    def __init__(self, rows: Tensor, position: Tensor, centre: Tensor) -> None:
        self.rows, self.position, self.centre = rows, position, centre

    def __len__(self) -> int:
        return len(self.rows)

    def centred(self, which: slice | Tensor) -> Tensor:
        """Return rows minus the centre, float32."""
        rows = self.rows[which]
        return torch.sub(rows, self.centre, out=fresh(rows, *rows.shape))

    @cached_property
    def norms(self) -> Tensor:
        """``(n,)`` float64, squared lengths of centred rows."""
        norms = self.rows.new_empty(len(self), dtype=torch.float64)
        for chunk in self._chunks():
            norms[chunk] = self.centred(chunk).double().square_().sum(1)
        return norms

    @cached_property
    def offsets(self) -> Tensor:
        """``(n,)`` float64, what the centre adds to products: ``xᵀy = x̃ᵀỹ + offset(x) + offset(y)``."""
        offsets, centre = self.rows.new_empty(len(self), dtype=torch.float64), self.centre.double()
        for chunk in self._chunks():
            offsets[chunk] = self.rows[chunk].double().mul_(centre).sum(1)  # a product of these waits for its threads
        return offsets.sub_(centre.square().sum() / 2)

    @cached_property
    def reach(self) -> tuple[float, float]:
        """A bound on :attr:`longest`, up to √D above it or more, that needs no centred rows; and the largest of
        :attr:`offsets`, either way.
        """
        if not self.rows.numel():
            return 0.0, 0.0
        ends = torch.stack([*self.rows.aminmax(), *self.centre.aminmax()]).double().view(2, 2)
        farthest, offset = torch.stack([ends.abs().amax(1).sum(), self.offsets.abs().amax()]).tolist()
        return farthest * sqrt(self.rows.shape[1]), offset

    @cached_property
    def longest(self) -> float:
        """The length of the longest centred row, 0 of none."""
        return float(self.norms.amax().sqrt()) if len(self) else 0.0

    @cached_property
    def bf16_error(self) -> float:
        """The most that rounding to bfloat16 moves a centred row, relative to its length."""
        worst = self.norms.new_zeros(())
        for chunk in self._chunks():
            centred = self.centred(chunk)
            moved = (centred - centred.bfloat16()).double().square_().sum(1) / self.norms[chunk]
            worst = torch.maximum(worst, moved.nan_to_num(0).amax())
        return float(worst.sqrt())

    def _chunks(self) -> list[slice]:
        return parts(len(self.rows), rows_per_chunk(self.rows))


class Block:
    """Rows of a shard that are a tile's rows, or its columns.

    Args:
        shard: whose rows they are.
        which: a slice, or int64 ``(n,)``.
    """

    def __init__(self, shard: Shard, which: slice | Tensor) -> None:
        self.shard, self.which = shard, which
        self.position = shard.position[which]

    def __len__(self) -> int:
        return len(self.position)

    @cached_property
    def norms(self) -> Tensor:
        """``(n,)`` float64: see :attr:`Shard.norms`."""
        return self.shard.norms[self.which]

    @property
    def offsets(self) -> Tensor:
        """``(n,)`` float64: see :attr:`Shard.offsets`."""
        return self.shard.offsets[self.which]

    @cached_property
    def centred(self) -> Tensor:
        """``(n, D)`` float32."""
        return self.shard.centred(self.which)

    @cached_property
    def rounded(self) -> Tensor:
        """``(n, D)`` bfloat16."""
        return self.shard.centred(self.which).bfloat16()

    def halves(self) -> tuple[Block, Block]:
        """Return the first half of the rows, and the others."""
        half = len(self) // 2
        return _PartOfBlock(self, slice(0, half)), _PartOfBlock(self, slice(half, len(self)))

    def centred64(self) -> Tensor:
        """Return rows minus the centre, ``(n, D)`` float64; not kept: it is large, and quick to make again."""
        return self.shard.rows[self.which].double() - self.shard.centre.double()

    def places(self, numbers: Tensor) -> Tensor:
        """Return where in the shard the block's rows of these ``numbers`` are."""
        return self.which[numbers] if isinstance(self.which, Tensor) else numbers + self.which.start


class _PartOfBlock(Block):
    """Some rows of a block that is there for longer: what it has centred serves them as well."""

    def __init__(self, whole: Block, part: slice) -> None:
        which = whole.which
        if isinstance(which, slice):
            super().__init__(whole.shard, slice(which.start + part.start, which.start + part.stop))
        else:
            super().__init__(whole.shard, which[part])
        self._whole, self._part = whole, part

    @cached_property
    def centred(self) -> Tensor:
        return self._whole.centred[self._part]

    @cached_property
    def rounded(self) -> Tensor:
        return self._whole.rounded[self._part]


class FixedBlock(Block):
    """Rows that meet one tile of columns after another: their copy in float64 is kept."""

    def centred64(self) -> Tensor:
        return self._centred64

    @cached_property
    def _centred64(self) -> Tensor:
        return super().centred64()
