"""Block permutations: squared MMD of two sides as blocks of their samples change sides."""

from __future__ import annotations

from math import comb

import numpy as np
import torch
from torch import Tensor

ROUNDING = 1e-12
"""Values so close are equal: kernels are at most 1, and their means are rounded at 1e-15."""


class BlockPermutations:
    """Squared MMD of two sides of a Gram matrix, and of the sides that exchanging their blocks makes.

    A group is the blocks on one side: kernel sums between blocks say all that its squared MMD needs.

    Args:
        gram: ``(n + m, n + m)`` float64.
        n: rows of the first side.
        block: rows of a block; on each side a shorter one may be left, which is not exchanged.
        biased: include the diagonal.
    """

    def __init__(self, gram: Tensor, n: int, block: int, biased: bool) -> None:
        sizes = n, len(gram) - n
        self.full = [size // block for size in sizes]
        rows = torch.cat([torch.arange(size) // block for size in sizes]).to(gram.device)
        rows[n:] += -(-n // block)
        self.is_first = torch.zeros(int(rows[-1]) + 1, dtype=torch.float64, device=gram.device)
        self.is_first[rows[:n]] = 1
        among_first = torch.arange(self.full[0])
        self.exchanged = torch.cat([among_first, torch.arange(self.full[1]) + -(-n // block)]).to(gram.device)
        kernel = gram if biased else gram.clone().fill_diagonal_(0)
        by_rows = gram.new_zeros(len(self.is_first), len(gram)).index_add_(0, rows, kernel)
        self.sums = gram.new_zeros(len(self.is_first), len(self.is_first)).index_add_(1, rows, by_rows)
        self.pairs = [size * (size if biased else size - 1) for size in sizes]
        self.between = sizes[0] * sizes[1]

    @property
    def observed(self) -> Tensor:
        return self._squared(self.is_first.unsqueeze(0))[0]

    @property
    def arrangements(self) -> int:
        """How many ways there are to deal the blocks."""
        return comb(sum(self.full), self.full[0])

    def p_value(self, permutations: int, seed: int) -> Tensor:
        random, sides = np.random.RandomState(seed), self.is_first[self.exchanged]
        orders = np.stack([random.permutation(len(sides)) for _ in range(permutations)])
        groups = self.is_first.repeat(permutations, 1)
        groups[:, self.exchanged] = sides[torch.from_numpy(orders).to(sides.device)]
        reached = (self._squared(groups) >= self.observed - ROUNDING).sum()
        return (1 + reached).double() / (1 + permutations)

    def _squared(self, groups: Tensor) -> Tensor:
        """Return the squared MMD ``(P,)`` of each of ``groups (P, blocks)`` with the rest."""
        rest = 1 - groups
        within = [((side @ self.sums) * side).sum(1) / pairs for side, pairs in zip((groups, rest), self.pairs)]
        return within[0] + within[1] - 2 * ((groups @ self.sums) * rest).sum(1) / self.between
