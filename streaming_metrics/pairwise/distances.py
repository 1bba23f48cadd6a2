"""Squared distances of single pairs of rows: exact ones, and bounds that are nearly so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from streaming_metrics.pairwise.chunks import parts, rows_per_chunk

if TYPE_CHECKING:
    from streaming_metrics.pairwise.shards import Shard

UNIT_ROUNDOFF = 2.0**-24
UNDERFLOW = 2.0**-125
MANY = 16
"""Pairs a row from which on it pays to look for copies among them."""


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


def pair_distances(x: Shard, y: Shard, rows: Tensor, columns: Tensor, chunk_bytes: int | None = None) -> Tensor:
    """Return exact ``‖x − y‖²`` float64 ``(P,)`` of the pairs ``(rows, columns)``, in chunks of bounded memory."""
    distances = x.norms.new_empty(len(rows))
    for part in parts(len(rows), rows_per_chunk(x.rows, chunk_bytes)):
        distances[part] = squared_distances(x.rows[rows[part]], y.rows[columns[part]])
    return distances


def measured(x: Shard, y: Shard, rows: Tensor, columns: Tensor) -> Tensor:
    """Return what :func:`pair_distances` does; of many pairs, those with copies of one row of ``y`` are measured once.

    That many pairs are too near to be told apart otherwise is what a collapsed generator's are.
    """
    place, which = columns.unique(return_inverse=True)
    if len(rows) <= MANY * len(place):
        return pair_distances(x, y, rows, columns)
    _, kind = y.rows[place].unique(dim=0, return_inverse=True)
    first = place.new_empty(int(kind.max()) + 1).scatter_(0, kind, place)
    pairs, which = (rows * len(first) + kind[which]).unique(return_inverse=True)
    return pair_distances(x, y, pairs // len(first), first[pairs % len(first)])[which]


def distance_bounds(x: Shard, y: Shard, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Return float64 ``(P,)`` that the exact ``‖x − y‖²`` of the pairs are not below, and not above.

    Differences come before squares here, so that the bounds are as close together as float32 can tell, relative to the
    distance itself: for pairs that :attr:`Tile.low` and :attr:`Tile.high` leave open, at a third of what exact ones
    cost.
    """
    width = x.rows.shape[1]
    squared = x.norms.new_empty(len(rows))
    for part in parts(len(rows), 2 * rows_per_chunk(x.rows)):
        squared[part] = (x.rows[rows[part]] - y.rows[columns[part]]).square_().sum(1)
    spread = 2 * summation_error(width) * squared + 2 * width * UNDERFLOW
    return squared - spread, squared + spread


def summation_error(width: int, unit_roundoff: float = UNIT_ROUNDOFF) -> float:
    """Return the relative rounding bound of a sum of ``width`` products, in any order."""
    return (width + 32) * unit_roundoff
