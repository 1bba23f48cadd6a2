"""Chunks: slices of rows that bound the memory of a computation in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

BYTES_PER_CHUNK = 1 << 22
"""What stays in a processor's cache."""
BYTES_PER_STRIP = 3 << 18
"""Of which three stay in the caches of two cores."""
BYTES_ON_A_GPU = 1 << 28
"""What keeps a GPU busy for longer than its work takes to be asked for."""


def parts(n: int, size: int) -> list[slice]:
    """Return slices of at most ``size`` that make up ``n``.

    Example:
        >>> parts(5, 2)
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def rows_per_chunk(rows: Tensor, most: int | None = None) -> int:
    """Return how many pairs of such rows ``(…, D)`` fit in ``most`` bytes in float64, at least one.

    Args:
        rows: of which the width and the device count.
        most: None takes what suits the device.
    """
    usual = BYTES_PER_CHUNK if rows.device.type == "cpu" else BYTES_ON_A_GPU
    return max(1, (most or usual) // (16 * max(rows.shape[-1], 1)))


def strips_of(values: Tensor) -> list[slice]:
    """Return slices of the rows of ``values (n, m)`` of which each stays in a processor's cache; on a GPU all."""
    row = max(values.shape[1], 1) * values.element_size()
    return parts(len(values), max(1, BYTES_PER_STRIP // row) if values.device.type == "cpu" else max(1, len(values)))


def column_sums(rows: Tensor) -> Tensor:
    """Return the sum of ``rows (n, D)``, float64 ``(D,)``, without a copy of them all in float64."""
    sums = rows.new_zeros(rows.shape[1], dtype=torch.float64)
    for part in parts(len(rows), rows_per_chunk(rows)):
        sums += rows[part].sum(0, dtype=torch.float64)
    return sums
