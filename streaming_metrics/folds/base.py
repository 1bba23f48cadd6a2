"""A fold reads tiles of inner products between two sides, one after another, and keeps what its measure needs.

Tiles are float32 products of centred rows. :attr:`Tile.slack` bounds their rounding, whatever the order of summation,
and :func:`squared_distances` decides the pairs that the bound leaves open, so no result depends on tile sizes or ranks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.comm import Comm

Role: TypeAlias = Literal["real", "fake"]
UNIT_ROUNDOFF = 2.0**-24
UNDERFLOW = 2.0**-125
BYTES_PER_CHUNK = 1 << 22


class Fold(ABC):
    """What is accumulated over all pairs of two sides; subclasses are frozen dataclasses, equal when they yield the
    same.

    ``sides`` names the roles of a tile's rows and columns. A rank meets its own rows with every column; a side with
    itself leaves out the pairs (i, i).
    """

    @property
    @abstractmethod
    def sides(self) -> tuple[Role, Role]:
        """Roles of the rows and of the columns."""

    @property
    def needs(self) -> tuple[Fold, ...]:
        """Folds over single sides whose results :meth:`start` is given."""
        return ()

    @property
    def spans_both(self) -> bool:
        """Whether a fold over one side depends on the other side's size too."""
        return False

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
    """What a fold knows when it starts.

    Args:
        num_real, num_fake: rows of the two sides over all ranks.
        own: this rank's rows.
        results: what the folds in :attr:`Fold.needs` yielded.
    """

    num_real: int
    num_fake: int
    own: Shard
    results: Mapping[Fold, Tensor]

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
        per_chunk = max(1, BYTES_PER_CHUNK // (16 * max(rows.shape[1], 1)))
        for start in range(0, len(rows), per_chunk):
            chunk = slice(start, start + per_chunk)
            self.norms[chunk] = self.centred(chunk).double().square_().sum(1)
            self.offsets[chunk] = rows[chunk].double() @ centre.double()

    def __len__(self) -> int:
        return len(self.rows)

    def centred(self, which: slice | Tensor) -> Tensor:
        """Return rows minus the centre, float32."""
        return self.rows[which] - self.centre


@dataclass
class Tile:
    """Inner products of some rows with some columns.

    Args:
        own, visitor: the shards that ``rows`` and ``columns`` select from.
        products: ``(rows, columns)`` float32, inner products of centred rows.
        diagonal: whether rows and columns are the same samples, so that pairs (i, i) do not count.
    """

    own: Shard
    visitor: Shard
    rows: slice | Tensor
    columns: slice
    products: Tensor
    diagonal: bool = False

    def transposed(self) -> Tile:
        """Return the same pairs seen from the other side; rows and columns must be slices of one shard."""
        assert isinstance(self.rows, slice)
        return Tile(self.visitor, self.own, self.columns, self.rows, self.products.T, self.diagonal)

    @property
    def slack(self) -> float:
        """Relative rounding bound: products and norms give ``‖x − y‖²`` within ``slack·(‖x‖² + ‖y‖²)``, centred."""
        return (self.own.rows.shape[1] + 32) * UNIT_ROUNDOFF

    def bounds(self, sign: int) -> Tensor:
        """Return ``(rows, columns)`` float32 that no ``‖x − y‖²`` is below (``sign = −1``) or above (``sign = 1``)."""
        scale, floor = 1 + sign * self.slack, sign * self.own.rows.shape[1] * UNDERFLOW
        rows, columns = (scale * shard.norms[which] + floor for shard, which in self._ends())
        bounds = torch.add(columns.float().unsqueeze(0), self.products, alpha=-2)
        return bounds.add_(rows.float().unsqueeze(1))

    def _ends(self) -> tuple[tuple[Shard, slice | Tensor], tuple[Shard, slice]]:
        return (self.own, self.rows), (self.visitor, self.columns)


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
    per_chunk = max(1, BYTES_PER_CHUNK // (16 * max(x.rows.shape[1], 1)))
    distances = x.norms.new_empty(len(rows))
    for part in (slice(start, start + per_chunk) for start in range(0, len(rows), per_chunk)):
        distances[part] = squared_distances(x.rows[rows[part]], y.rows[columns[part]])
    return distances
