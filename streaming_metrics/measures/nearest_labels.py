"""Nearest labels: whether the nearest other sample is of the same side, and a test that permutes sides."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from streaming_metrics.pairwise.all_pairs import pooled_squares
from streaming_metrics.pairwise.distances import pair_distances
from streaming_metrics.pairwise.shards import Shard
from streaming_metrics.pairwise.tiles import SQUARED_ERROR

ROUNDING = 1e-12
"""Shares so close are equal: a share is a sum of fractions of small denominators."""


class NearestLabels:
    """Nearest other samples of two pooled sides, a graph that the samples' sides have no part in.

    Args:
        real, fake: ``(n, D)`` and ``(m, D)`` float32.
    """

    def __init__(self, real: Tensor, fake: Tensor) -> None:
        self.graph = nearest_graph(real, fake)
        self.counts = self.graph.sum(1).to_dense().unsqueeze(1)
        self.signs = torch.ones(len(real) + len(fake), dtype=torch.float64, device=real.device)
        self.signs[len(real) :] = -1

    @property
    def accuracies(self) -> tuple[Tensor, Tensor, Tensor]:
        """Shares of all, of the real and of the generated samples whose nearest other is of their side; of several that
        are equally near, the share of those.
        """
        same = self._same(self.signs.unsqueeze(1))[:, 0]
        return same.mean(), same[self.signs > 0].mean(), same[self.signs < 0].mean()

    def p_value(self, permutations: int, seed: int) -> Tensor:
        """Return ``(1 + #{permuted ≥ observed}) / (1 + permutations)`` of the share of all, as sides are dealt anew."""
        random, signs = np.random.RandomState(seed), self.signs.cpu().numpy()
        dealt = np.stack([random.permutation(signs) for _ in range(permutations)], axis=1)
        shares = self._same(torch.from_numpy(dealt).to(self.signs)).mean(0)
        reached = (shares >= self.accuracies[0] - ROUNDING).sum()
        return (1 + reached).double() / (1 + permutations)

    def _same(self, signs: Tensor) -> Tensor:
        """Return the share of each sample's nearest others that have its sign: ``(N, P)`` of ``signs (N, P)``."""
        return (1 + signs * torch.sparse.mm(self.graph, signs) / self.counts) / 2


def nearest_graph(real: Tensor, fake: Tensor) -> Tensor:
    """Return which pooled samples are nearest to each: sparse ``(N, N)`` float64, 1 where the column is nearest to the
    row; several where they are equally near, exactly.
    """
    squared = pooled_squares(real, fake).fill_diagonal_(torch.inf)
    nearest = squared.amin(1, keepdim=True)
    rows, columns = (squared <= nearest * (1 + 4 * SQUARED_ERROR)).nonzero(as_tuple=True)
    tied = _are_nearest(torch.cat([real, fake]), squared, rows, columns)
    places, ones = torch.stack([rows[tied], columns[tied]]), squared.new_ones(int(tied.sum()))
    return torch.sparse_coo_tensor(places, ones, squared.shape, check_invariants=False).coalesce()


def _are_nearest(pool: Tensor, squared: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return which of the pairs, ``rows`` ascending, are nearest once they are measured exactly.

    Copies, at distance 0, and pairs without a rival need no measuring.
    """
    found = squared[rows, columns]
    open_ = (torch.bincount(rows)[rows] > 1) & (found > 0)
    shard = Shard(pool, torch.arange(len(pool), device=pool.device), pool[0])
    found[open_] = pair_distances(shard, shard, rows[open_], columns[open_])
    least = torch.full((len(pool),), torch.inf, dtype=found.dtype, device=found.device)
    return found == least.scatter_reduce(0, rows, found, "amin")[rows]
