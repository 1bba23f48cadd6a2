"""Symmetric matrices, float64 ``(D, D)``: their sum over ranks, of which half travels, and checks of them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streaming_metrics.distributed.comm import Comm

ROWS_PER_BLOCK, NUMBERS_PER_MESSAGE = 64, 2**20
ROUNDING = 1e-6
"""Share by which the rounding of whoever wrote a covariance may keep it from being one: float32's, with room."""


def sum_symmetric(
    comm: Comm, block: Callable[[slice], Tensor], out: Tensor, numbers_per_message: int = NUMBERS_PER_MESSAGE
) -> Tensor:
    """Return the sum over ranks of a symmetric matrix.

    Blocks of rows travel from their diagonal on, half the matrix, packed into messages of at most 8 MiB (or one block).
    A message costs a rank the wait for all others, whatever its size, so there are few; while one travels, the next is
    packed and the one before unpacked.

    Args:
        comm: the ranks.
        block: makes rows of this rank's matrix, from their first one's diagonal on: ``matrix[rows, rows.start:]``.
        out: ``(D, D)``, what the sum is written to.
        numbers_per_message: the most that travel together, where a block is not more.
    """
    travelling = deque()
    for message in _messages(len(out), numbers_per_message):
        packed = [block(rows).flatten() for rows in message]
        travelling.append((message, comm.start_sum(torch.cat(packed))))
        if len(travelling) > 1:
            _unpack(out, *travelling.popleft())
    _unpack(out, *travelling.popleft())
    return out


def _unpack(out: Tensor, message: list[slice], arrived: Callable[[], Tensor]) -> None:
    """Write the blocks of a message that has arrived, and their mirror images."""
    sums = arrived().split([(rows.stop - rows.start) * (len(out) - rows.start) for rows in message])
    for rows, summed in zip(message, sums):
        summed = summed.view(rows.stop - rows.start, -1)
        out[rows, rows.start :] = summed
        out[rows.start :, rows] = summed.T


def _messages(width: int, numbers: int) -> Iterator[list[slice]]:
    """Yield the blocks of rows that travel together."""
    blocks, room = [], numbers
    for start in range(0, width, ROWS_PER_BLOCK):
        rows = slice(start, min(start + ROWS_PER_BLOCK, width))
        size = (rows.stop - start) * (width - start)
        if blocks and size > room:
            yield blocks
            blocks, room = [], numbers
        blocks.append(rows)
        room -= size
    yield blocks


def is_symmetric(matrix: Tensor) -> bool:
    """Return whether a matrix is its transpose, up to rounding."""
    return bool(((matrix - matrix.T).abs() <= ROUNDING * matrix.norm()).all())


def is_semidefinite(matrix: Tensor) -> bool:
    """Return whether a symmetric matrix has no negative eigenvalue, up to rounding."""
    slack = ROUNDING * matrix.norm()
    shifted = matrix.clone()
    shifted.diagonal().add_(slack)
    return not slack or not torch.linalg.cholesky_ex(shifted).info
