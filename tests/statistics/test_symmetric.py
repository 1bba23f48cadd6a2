"""Symmetric matrices: their sum over ranks, in messages of any size, and what checks of them let pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from scores import normal

from streaming_metrics.distributed.comm import Comm
from streaming_metrics.statistics.symmetric import is_semidefinite, is_symmetric, sum_symmetric

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ranks
    from torch import Tensor


class CountingComm(Comm):
    """Ranks that count their messages."""

    messages = 0

    def start_sum(self, tensor: Tensor) -> Callable[[], Tensor]:
        self.messages += 1
        return super().start_sum(tensor)


def outer(seed: int, width: int) -> Tensor:
    rows = normal(seed, 40, width).double()
    return rows.T @ rows


def summed(group: Any, numbers: int, matrix: Tensor) -> tuple[Tensor, int]:
    comm = CountingComm(group)
    whole = sum_symmetric(comm, lambda rows: matrix[rows, rows.start :], torch.empty_like(matrix), numbers)
    return whole, comm.messages


@pytest.mark.parametrize(
    ("width", "numbers", "messages"),
    [(200, 1, 4), (200, 14_000, 2), (200, 2**20, 1), (1, 1, 1), (64, 2**20, 1), (65, 1, 2)],
    ids=["a block a message", "some together", "one message", "a number", "a block", "a block and a row"],
)
def test_a_sum_over_ranks_is_the_sum(ranks: Ranks, width: int, numbers: int, messages: int) -> None:
    parts = [outer(seed, width) for seed in range(2)]
    for answer, sent in ranks.run(2, summed, numbers, each=parts):
        torch.testing.assert_close(answer, parts[0] + parts[1], rtol=1e-14, atol=1e-14)
        assert sent == messages


@pytest.mark.parametrize(
    ("matrix", "symmetric", "semidefinite"),
    [
        ([[0.0, 0.0], [0.0, 0.0]], True, True),
        ([[1.0, 1.0], [1.0, 1.0]], True, True),
        ([[1.0, 1.0], [1.0, 1.0 - 1e-7]], True, True),
        ([[1.0, 1.1], [1.1, 1.0]], True, False),
        ([[1.0, 0.0], [1e-7, 1.0]], True, True),
        ([[1.0, 0.0], [0.1, 1.0]], False, True),
    ],
    ids=["zero", "singular", "within rounding of singular", "indefinite", "symmetric up to rounding", "not symmetric"],
)
def test_checks_allow_for_rounding(matrix: list[list[float]], symmetric: bool, semidefinite: bool) -> None:
    given = torch.tensor(matrix, dtype=torch.float64)
    assert (is_symmetric(given), is_semidefinite(given)) == (symmetric, semidefinite)
