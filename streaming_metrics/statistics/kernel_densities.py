"""Kernel densities: those that points have at fixed rows, added up as the points come."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.base import State, Statistic, in_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Features
    from streaming_metrics.pairwise import Bandwidths
    from streaming_metrics.statistics.fixed_rows import FixedRows

NONE = torch.finfo(torch.float64).max
"""The squared distance to the nearest of no points."""
ROUNDING = 1e-6


@dataclass(frozen=True)
class KernelDensities(Statistic):
    """Sums of Gaussian kernels at each of n fixed rows, for k bandwidths, as running log-sum-exps.

    The state is ``nearest (n,) float64``, each row's squared distance to the nearest point, ``sums (k, n) float64`` of
    ``exp(−(d² − nearest) / 2w²)``, which neither overflow nor vanish, and ``points () int64``.

    Args:
        num_features: D.
        most: of how many rows at most the fixed ones are.
        widths: the bandwidths, where they were given and not made of the rows.
        rows: the same on every rank; None before there are any, when there is nothing to sum.
        bandwidths: that are tried.

    Example:
        >>> from streaming_metrics.features import Features
        >>> from streaming_metrics.pairwise import Bandwidths
        >>> from streaming_metrics.statistics.fixed_rows import FixedRows
        >>> one = Bandwidths(torch.ones(1).double())
        >>> densities = KernelDensities(1, rows=FixedRows(torch.tensor([[0.0], [3.0]])), bandwidths=one)
        >>> state = densities.update(densities.empty(), Features(pool=torch.tensor([[0.0], [2.0]])))
        >>> state["nearest"], state["sums"]  # 1 + exp(-2), 1 + exp(-4)
        (tensor([0., 1.], dtype=torch.float64), tensor([[1.1353, 1.0183]], dtype=torch.float64))
    """

    num_features: int
    most: int = 500
    widths: tuple[float, ...] | None = None
    rows: FixedRows | None = field(default=None, compare=False, repr=False)
    bandwidths: Bandwidths | None = field(default=None, compare=False, repr=False)

    column = "pool"
    rounds: ClassVar[bool] = True
    writes_in_place: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)
        check_integer("most", self.most, least=1)

    @property
    def name(self) -> str:
        return "_".join(["densities", *map(in_name, (self.num_features, self.most, *(self.widths or ())))])

    def empty(self, device: torch.device | str = "cpu") -> State:
        k, n = (0, 0) if self.rows is None or self.bandwidths is None else (len(self.bandwidths), len(self.rows))
        return {
            "nearest": torch.full((n,), NONE, dtype=torch.float64, device=device),
            "sums": torch.zeros(k, n, dtype=torch.float64, device=device),
            "points": torch.zeros((), dtype=torch.int64, device=device),
        }

    def update(self, state: State, features: Features) -> State:
        assert self.rows is not None
        assert self.bandwidths is not None
        states = [state]
        for tile in self.rows.tiles(self.rows_of(features)):
            nearest, sums = self.bandwidths.summed(tile.squared)
            points = torch.full_like(state["points"], tile.squared.shape[1])
            states.append({"nearest": nearest, "sums": sums, "points": points})
        return self.merge(states)

    def merge(self, states: Sequence[State]) -> State:
        nearest = torch.stack([state["nearest"] for state in states]).amin(0)
        sums = torch.stack([self._sums_over(state, nearest) for state in states]).sum(0)
        return {"nearest": nearest, "sums": sums, "points": torch.stack([state["points"] for state in states]).sum()}

    def all_reduce(self, state: State, comm: Comm) -> State:
        nearest = comm.min(state["nearest"].clone())
        sums, points = comm.sum(self._sums_over(state, nearest)), comm.sum(state["points"].clone())
        return {"nearest": nearest, "sums": sums, "points": points}

    def check(self, state: State) -> None:
        super().check(state)
        nearest, sums, points = state["nearest"], state["sums"], int(state["points"])
        least, most = min(points, 1) * (1 - ROUNDING), points * (1 + ROUNDING)
        self._expect((nearest >= 0).all() and points >= 0, "distances and a count that are not negative")
        self._expect(((sums >= least) & (sums <= most)).all(), "sums of kernels, at least 1 and at most one a point")

    def bounds(self, state: State) -> tuple[float, float]:
        points = float(state["points"])
        return (points, points) if self.rows is not None else (0, inf)

    def log_densities(self, state: State) -> Tensor:
        """Return the logarithm of the points' density at each row, for each bandwidth, nats, float64 ``(k, n)``."""
        assert self.bandwidths is not None
        return self.bandwidths.log_densities(state["nearest"], state["sums"], int(state["points"]), self.num_features)

    def _sums_over(self, state: State, nearest: Tensor) -> Tensor:
        """Return the sums as they are once other points are nearer."""
        if self.bandwidths is None:
            return state["sums"].clone()
        return state["sums"] * self.bandwidths.kernels(state["nearest"] - nearest)
