"""Ragged rows: some values for each row, not equally many, as a table."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def spread_out(values: Tensor, rows: Tensor, n: int, free: float = inf) -> Tensor:
    """Return ``(n, most of a row)``: each row's values, ``rows`` ascending says whose they are, then ``free`` ones.

    Example:
        >>> spread_out(torch.tensor([5.0, 6.0, 7.0]), torch.tensor([0, 2, 2]), n=3)
        tensor([[5., inf],
                [inf, inf],
                [6., 7.]])
    """
    counts = rows.bincount(minlength=n)
    place = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    table = values.new_full((n, int(counts.max())), free)
    table[rows, place] = values
    return table
