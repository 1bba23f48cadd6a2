"""Nearest labels: whether the nearest other sample is of the same side, and a test that permutes sides."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from streaming_metrics.pairwise.all_pairs import all_pairs
from streaming_metrics.pairwise.distances import MANY, measured

ROUNDING = 1e-12
"""Shares so close are equal: a share is a sum of fractions of small denominators."""


class NearestLabels:
    """Nearest other samples of two pooled sides, a graph that the samples' sides have no part in.

    Nodes are different rows: those of which there are copies are nearest to themselves.

    Args:
        real, fake: ``(n, D)`` and ``(m, D)`` float32.
    """

    def __init__(self, real: Tensor, fake: Tensor) -> None:
        rows, self.node, copies = torch.cat([real, fake]).unique(dim=0, return_inverse=True, return_counts=True)
        self.graph = nearest_graph(rows, copies > 1)
        self.is_copied = (copies > 1)[self.node].unsqueeze(1)
        self.signs = torch.ones(len(self.node), dtype=torch.float64, device=real.device)
        self.counts = self._sums(self.signs.unsqueeze(1))
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
        return (1 + signs * self._sums(signs) / self.counts) / 2

    def _sums(self, values: Tensor) -> Tensor:
        """Return the sum of each sample's nearest others' ``values (N, P)``."""
        of_nodes = values.new_zeros(self.graph.shape[0], values.shape[1]).index_add_(0, self.node, values)
        return torch.sparse.mm(self.graph, of_nodes)[self.node] - self.is_copied * values


def nearest_graph(rows: Tensor, is_copied: Tensor) -> Tensor:
    """Return which different rows ``(N, D)`` are nearest to each: sparse ``(N, N)`` float64, 1 where the column is
    nearest to the row; several where they are equally near, exactly. A copied row is nearest to itself.
    """
    tile = all_pairs(rows, rows, diagonal=True)
    near = _can_be_nearest(tile.low, tile.high) & ~is_copied.unsqueeze(1)
    if near.sum() > MANY * len(rows) or not (near.any(1) | is_copied).all():  # too near for float32, or beyond it
        near = _can_be_nearest(*tile.bounds64()) & ~is_copied.unsqueeze(1)
    near |= is_copied.diag()
    r, c = near.nonzero(as_tuple=True)
    exact = torch.zeros(len(r), dtype=torch.float64, device=rows.device)
    is_open = torch.bincount(r)[r] > 1
    exact[is_open] = measured(tile.rows.shard, tile.columns.shard, r[is_open], c[is_open])
    least = torch.full((len(rows),), torch.inf, dtype=torch.float64, device=rows.device)
    is_nearest = exact == least.scatter_reduce(0, r, exact, "amin")[r]
    places, ones = torch.stack([r, c])[:, is_nearest], exact.new_ones(int(is_nearest.sum()))
    return torch.sparse_coo_tensor(places, ones, near.shape, check_invariants=False).coalesce()


def _can_be_nearest(low: Tensor, high: Tensor) -> Tensor:
    """Return which columns can be nearest to each row, bool, by bounds of the distances."""
    return low <= high.amin(1, keepdim=True)
