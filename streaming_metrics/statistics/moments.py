"""Moments: running mean and covariance.

B. P. Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics 1962;
T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
1979.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.huge_pages import fresh
from streaming_metrics.statistics.base import MOST_SAMPLES, State, Statistic, check_column, unless
from streaming_metrics.statistics.symmetric import is_semidefinite, is_symmetric, sum_symmetric

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Features


@dataclass(frozen=True)
class Moments(Statistic):
    """Count, mean and centred second moment of a column, in float64.

    The state is one symmetric tensor ``(D + 1, D + 1)``: ``[[n, meanᵀ], [mean, M2]]`` with
    ``M2 = Σ (x − mean)(x − mean)ᵀ``. An update is one matrix product: the centred batch with one more row,
    ``sqrt(n·b / (n + b))·(batch mean − mean)``, times its transpose.

    Args:
        num_features: D.
        column: of which features.

    Example:
        >>> import torch
        >>> from streaming_metrics.features import Features
        >>> moments = Moments(2)
        >>> state = moments.update(moments.empty(), Features(pool=torch.tensor([[0.0, 1.0], [2.0, 1.0]])))
        >>> moments.mean(state), moments.covariance(state)
        (tensor([1., 1.], dtype=torch.float64), tensor([[2., 0.],
                [0., 0.]], dtype=torch.float64))
    """

    num_features: int
    column: str = "pool"

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)
        check_column(self.column)

    @property
    def name(self) -> str:
        return f"moments_{self.num_features}" + unless("pool", self.column)

    def empty(self, device: torch.device | str = "cpu") -> State:
        width = self.num_features + 1
        return {"moments": torch.zeros(width, width, dtype=torch.float64, device=device)}

    def update(self, state: State, features: Features) -> State:
        return self.staged(state, features)()

    def staged(self, state: State, features: Features) -> Callable[[], State]:
        if not len(features):
            return lambda: state
        moments, batch = state["moments"], self.rows_of(features).to(torch.float64)
        n, mean = self.count(state), self.mean(state)
        total = n + len(batch)
        centre = batch.mean(0)
        step = centre - mean
        rows = torch.cat([batch - centre, (step * (n * len(batch) / total).sqrt()).unsqueeze(0)])
        moved = mean + step * (len(batch) / total)

        def write() -> State:
            self.scatter(state).addmm_(rows.T, rows)
            self._write(moments, total, moved)
            return {"moments": moments}

        return write

    def merge(self, states: Sequence[State]) -> State:
        n = torch.stack([self.count(state) for state in states])
        means = torch.stack([self.mean(state) for state in states])
        total, mean = n.sum(), _weighted_mean(n, means)
        apart = (means - mean) * n.sqrt().unsqueeze(1)
        merged = fresh(mean, *states[0]["moments"].shape)
        torch.mm(apart.T, apart, out=merged[1:, 1:])
        for state in states:
            merged[1:, 1:] += self.scatter(state)
        self._write(merged, total, mean)
        return {"moments": merged}

    def all_reduce(self, state: State, comm: Comm) -> State:
        """Return the merge of all ranks' states by two sums: ``[n, n·mean]``, then M2 about the common mean."""
        if comm.world_size == 1:
            return state
        n, mean, m2 = self.count(state), self.mean(state), self.scatter(state)
        total, weighted = comm.sum(torch.cat([n.view(1), n * mean])).tensor_split([1])
        common = weighted / total.clamp(min=1)
        apart = (mean - common) * n.sqrt()
        reduced = fresh(mean, *state["moments"].shape)

        def about_common(rows: slice) -> Tensor:
            return torch.addr(m2[rows, rows.start :], apart[rows], apart[rows.start :])

        sum_symmetric(comm, about_common, out=reduced[1:, 1:])
        self._write(reduced, total[0], common)
        return {"moments": reduced}

    def check(self, state: State) -> None:
        super().check(state)
        moments, m2 = state["moments"], self.scatter(state)
        n = float(self.count(state))
        self._expect(0 <= n <= MOST_SAMPLES and n.is_integer(), f"a whole number of samples, got {n}")
        self._expect(n or not moments.any(), "zeros where there is no sample")
        self._expect(torch.equal(moments[0, 1:], moments[1:, 0]), "the mean twice, as a row and as a column")
        self._expect(is_symmetric(m2), "a symmetric covariance")
        self._expect((m2.diagonal() >= 0).all(), "variances that are not negative")
        self._expect(is_semidefinite(m2), "a covariance, got a matrix with a negative eigenvalue")

    def bounds(self, state: State) -> tuple[float, float]:
        n = float(self.count(state))
        return n, n

    def count(self, state: State) -> Tensor:
        """Return n, float64 ``()``."""
        return state["moments"][0, 0]

    def mean(self, state: State) -> Tensor:
        """Return the mean, float64 ``(D,)``."""
        return state["moments"][0, 1:]

    def scatter(self, state: State) -> Tensor:
        """Return ``Σ (x − mean)(x − mean)ᵀ``, float64 ``(D, D)``."""
        return state["moments"][1:, 1:]

    def covariance(self, state: State) -> Tensor:
        """Return the unbiased covariance (ddof 1), float64 ``(D, D)``."""
        return self.scatter(state) / (self.count(state) - 1)

    @staticmethod
    def _write(moments: Tensor, n: Tensor, mean: Tensor) -> None:
        moments[0, 0] = n
        moments[0, 1:] = mean
        moments[1:, 0] = mean


def _weighted_mean(n: Tensor, means: Tensor) -> Tensor:
    return (n.unsqueeze(1) * means).sum(0) / n.sum().clamp(min=1)
