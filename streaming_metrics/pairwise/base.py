"""A reduction reads tiles of inner products between two sides, one after another, and keeps what its measure needs.

Tiles are products of centred rows, in float32, or in bfloat16 where that is quicker and distances alone are asked for.
:meth:`Tile.bounds` holds what rounding can have done, whatever the order of summation, and :func:`squared_distances`
decides the pairs that the bounds leave open, so no result depends on precision, tile sizes or ranks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.distributed.comm import Comm

from streaming_metrics.features import Role as Role  # noqa: E402
Sight: TypeAlias = Literal["products", "bounds", "nothing"]
UNIT_ROUNDOFF = 2.0**-24
BLUR = 2.0**-7 * (1 + 2.0**-7)
"""Twice the unit roundoff of bfloat16, in which rough products come out."""
UNDERFLOW = 2.0**-125
BYTES_PER_CHUNK = 1 << 22


class PairReduction(ABC):
    """What is accumulated over all pairs of two sides; subclasses are frozen dataclasses, equal when they yield the
    same.

    ``sides`` names the roles of a tile's rows and columns. A rank meets its own rows with every column; a side with
    itself leaves out the pairs (i, i), and of a rank's rows with themselves each pair comes once: see
    :attr:`Tile.mirrored`.
    """

    @property
    @abstractmethod
    def sides(self) -> tuple[Role, Role]:
        """Roles of the rows and of the columns."""

    @property
    def needs(self) -> tuple[PairReduction, ...]:
        """Folds over single sides whose results :meth:`start` is given."""
        return ()

    @property
    def spans_both(self) -> bool:
        """Whether a reduction over one side depends on the other side's size too."""
        return False

    def reads(self, setting: Setting) -> Sight:  # noqa: ARG002
        """Return what it looks at in tiles: float32 ``"products"``, ``"bounds"`` of distances, or ``"nothing"``."""
        return "bounds"

    @abstractmethod
    def start(self, setting: Setting) -> Any:
        """Return a fresh accumulator."""

    @abstractmethod
    def tile(self, accumulator: Any, tile: Tile) -> None:
        """Add one tile."""

    def leave(self, accumulator: Any, own: Shard, visitor: Shard) -> None:  # noqa: B027
        """Settle what needs the rows of ``visitor`` once all its tiles were added, before it leaves."""

    @abstractmethod
    def finish(self, accumulator: Any, comm: Comm) -> Tensor:
        """Return the result, whole on every rank; collective."""


@dataclass(frozen=True)
class Setting:
    """What a reduction knows when it starts.

    Args:
        num_real, num_fake: rows of the two sides over all ranks.
        own: this rank's rows.
        results: what the reductions in :attr:`PairReduction.needs` yielded.
    """

    num_real: int
    num_fake: int
    own: Shard
    results: Mapping[PairReduction, Tensor]

    def size(self, role: Role) -> int:
        """Return the number of rows of a side over all ranks."""
        return self.num_real if role == "real" else self.num_fake


class Shard:
    """Rows of one side that one rank holds, seen from a common centre.

    Args:
        rows: ``(n, D)`` float32.
        position: ``(n,)`` int64, the place of each row in the whole side, ordered by index.
        centre: ``(D,)`` float32.
    """

    def __init__(self, rows: Tensor, position: Tensor, centre: Tensor) -> None:
        self.rows, self.position, self.centre = rows, position, centre
        self.norms = rows.new_empty(len(rows), dtype=torch.float64)
        self.offsets = torch.empty_like(self.norms)
        for chunk in self._chunks():
            self.norms[chunk] = self.centred(chunk).double().square_().sum(1)
            self.offsets[chunk] = rows[chunk].double() @ centre.double()

    def __len__(self) -> int:
        return len(self.rows)

    def centred(self, which: slice | Tensor) -> Tensor:
        """Return rows minus the centre, float32."""
        return self.rows[which] - self.centre

    @cached_property
    def reach(self) -> tuple[float, float]:
        """The length of the longest centred row, and the most that the centre adds to a product of rows."""
        if not len(self):
            return 0.0, 0.0
        longest, offset = torch.stack([self.norms.amax().sqrt(), self.offsets.abs().amax()]).tolist()
        return longest, offset + float(self.centre.double().square().sum()) / 2

    @cached_property
    def roughness(self) -> float:
        """The most that rounding to bfloat16 moves a centred row, relative to its length."""
        worst = self.norms.new_zeros(())
        for chunk in self._chunks():
            centred = self.centred(chunk)
            moved = (centred - centred.bfloat16()).double().square_().sum(1) / self.norms[chunk]
            worst = torch.maximum(worst, moved.nan_to_num(0).amax())
        return float(worst.sqrt())

    def _chunks(self) -> list[slice]:
        return parts(len(self.rows), rows_per_chunk(self.rows.shape[1]))


class Block:
    """Some rows of a shard: those of a tile's rows, or of its columns.

    Args:
        shard: whose rows they are.
        which: a slice, or int64 ``(n,)``.
    """

    def __init__(self, shard: Shard, which: slice | Tensor) -> None:
        self.shard, self.which = shard, which
        self.norms, self.offsets, self.position = (
            column[which] for column in (shard.norms, shard.offsets, shard.position)
        )

    @cached_property
    def centred(self) -> Tensor:
        """``(n, D)`` float32."""
        return self.shard.centred(self.which)

    @cached_property
    def rounded(self) -> Tensor:
        """``(n, D)`` bfloat16."""
        return self.shard.centred(self.which).bfloat16()

    def places(self, numbers: Tensor) -> Tensor:
        """Return where in the shard the block's rows of these ``numbers`` are."""
        return self.which[numbers] if isinstance(self.which, Tensor) else numbers + self.which.start


@dataclass
class Tile:
    """Inner products of some rows with some columns, made when they are looked at.

    Args:
        rows, columns: of one shard each.
        diagonal: whether rows and columns are the same samples, so that pairs (i, i) do not count.
        mirrored: whether the pairs (column, row) count as well, and no other tile shows them.
        rough: whether distances are bounded by products in bfloat16.
    """

    rows: Block
    columns: Block
    diagonal: bool = False
    mirrored: bool = False
    rough: bool = False

    @cached_property
    def products(self) -> Tensor:
        """``(rows, columns)`` float32, inner products of centred rows."""
        return torch.mm(self.rows.centred, self.columns.centred.T)

    @cached_property
    def products64(self) -> Tensor:
        """The same in float64, for what float32 cannot hold."""
        return torch.mm(self.rows.centred.double(), self.columns.centred.double().T)

    @cached_property
    def low(self) -> Tensor:
        """``(rows, columns)`` float32 that no ``‖x − y‖²`` is below; inf where a pair does not count."""
        low = self._bounds(-1)
        return low.fill_diagonal_(torch.inf) if self.diagonal else low

    @cached_property
    def high(self) -> Tensor:
        """``(rows, columns)`` float32 that no ``‖x − y‖²`` is above."""
        return self._bounds(1)

    @cached_property
    def refined(self) -> Tile:
        """The same pairs, bounded by float32 products."""
        return Tile(self.rows, self.columns, self.diagonal, self.mirrored)

    @cached_property
    def slack(self) -> float:
        """Relative rounding bound: products and norms give ``‖x − y‖²`` within ``slack·(‖x‖² + ‖y‖²)``, centred, and,
        where rough, ``BLUR`` times the product.

        Rounded rows ``x + d``, ``‖d‖ ≤ r·‖x‖``, move a product by at most ``(2r + r²)·‖x‖·‖y‖`` (Cauchy and Schwarz).
        """
        return slack(self.rows.shard, self.columns.shard, self.rough)

    def spread(self, low: Tensor, norms: Tensor) -> Tensor:
        """Return how far above ``low`` a distance can be; ``norms`` is ``‖x‖² + ‖y‖²``, float64."""
        rounding = self.slack * norms
        if self.rough:
            rounding = rounding + BLUR * ((norms - low).abs() + rounding) / (2 - BLUR)
        return 2 * rounding + 8 * self.rows.shard.rows.shape[1] * UNDERFLOW

    @cached_property
    def _dots(self) -> Tensor:
        return torch.mm(self.rows.rounded, self.columns.rounded.T).float() if self.rough else self.products

    def _bounds(self, sign: int) -> Tensor:
        scale, floor = 1 + sign * self.slack, sign * 2 * self.rows.shard.rows.shape[1] * UNDERFLOW
        rows, columns = (scale * block.norms + floor for block in (self.rows, self.columns))
        bounds = torch.add(columns.float().unsqueeze(0), self._dots, alpha=-2)
        if self.rough:
            bounds.add_(self._dots.abs(), alpha=sign * BLUR)
        return bounds.add_(rows.float().unsqueeze(1))


def slack(x: Shard, y: Shard, rough: bool) -> float:
    """Return :attr:`Tile.slack` of two shards."""
    summation = (x.rows.shape[1] + 32) * UNIT_ROUNDOFF
    if not rough:
        return summation
    moved = max(x.roughness, y.roughness)
    return 2 * moved + moved**2 + 2 * summation


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return ``‖x_i − y_i‖²`` float64 ``(P,)`` of paired float32 rows ``(P, D)``.

    Summed as a binary tree of elementwise additions, so that a pair has the same bits in any batch, order of arguments,
    number of threads and device.
    """
    terms = (x.double() - y.double()).square_()
    while terms.shape[1] > 1:
        half = (terms.shape[1] + 1) // 2
        terms[:, : terms.shape[1] - half] += terms[:, half:]
        terms = terms[:, :half]
    return terms[:, 0] if terms.shape[1] else terms.sum(1)


def pair_distances(x: Shard, y: Shard, rows: Tensor, columns: Tensor) -> Tensor:
    """Return exact ``‖x − y‖²`` float64 ``(P,)`` of the pairs ``(rows, columns)``, in chunks of bounded memory."""
    distances = x.norms.new_empty(len(rows))
    for part in parts(len(rows), rows_per_chunk(x.rows.shape[1])):
        distances[part] = squared_distances(x.rows[rows[part]], y.rows[columns[part]])
    return distances


def distance_bounds(x: Shard, y: Shard, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Return float64 ``(P,)`` that the exact ``‖x − y‖²`` of the pairs are not below, and not above.

    Differences come before squares here, so that the bounds are as close together as float32 can tell, relative to the
    distance itself: for pairs that :attr:`Tile.low` and :attr:`Tile.high` leave open, at a third of what exact ones
    cost.
    """
    width = x.rows.shape[1]
    squared = x.norms.new_empty(len(rows))
    for part in parts(len(rows), 2 * rows_per_chunk(width)):
        squared[part] = (x.rows[rows[part]] - y.rows[columns[part]]).square_().sum(1)
    spread = 2 * slack(x, y, rough=False) * squared + 2 * width * UNDERFLOW
    return squared - spread, squared + spread


def column_sums(rows: Tensor) -> Tensor:
    """Return the sum of ``rows (n, D)``, float64 ``(D,)``, without a copy of them all in float64."""
    sums = rows.new_zeros(rows.shape[1], dtype=torch.float64)
    for part in parts(len(rows), rows_per_chunk(rows.shape[1])):
        sums += rows[part].sum(0, dtype=torch.float64)
    return sums


def rows_per_chunk(width: int) -> int:
    """Return how many pairs of float64 rows fit in :data:`BYTES_PER_CHUNK`."""
    return max(1, BYTES_PER_CHUNK // (16 * max(width, 1)))


def parts(n: int, size: int) -> list[slice]:
    """Return slices of at most ``size`` that make up ``n``."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
