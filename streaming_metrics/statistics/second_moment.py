"""Second moment: the uncentred sum of outer products of features."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.arguments import check_flag, check_integer
from streaming_metrics.huge_pages import fresh
from streaming_metrics.statistics.base import State, Statistic, check_column, unless
from streaming_metrics.statistics.symmetric import is_semidefinite, is_symmetric, sum_symmetric

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Features


@dataclass(frozen=True)
class SecondMoment(Statistic):
    """Uncentred second moment ``Σ x xᵀ`` of a column, in float64, of rows divided by their Euclidean norm.

    The state is ``sums (D, D)``, symmetric. A row of zeros has no direction and stays zero: the trace of
    normalised rows counts the others.

    Args:
        num_features: D.
        column: of which features.
        normalized: False takes the rows as they are.

    Example:
        >>> import torch
        >>> from streaming_metrics.features import Features
        >>> moment = SecondMoment(2)
        >>> rows = torch.tensor([[3.0, 0.0], [0.0, 0.5], [0.0, 0.0]])
        >>> moment.sums(moment.update(moment.empty(), Features(pool=rows)))
        tensor([[1., 0.],
                [0., 1.]], dtype=torch.float64)
    """

    num_features: int
    column: str = "pool"
    normalized: bool = True

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)
        check_column(self.column)
        check_flag("normalized", self.normalized)

    @property
    def name(self) -> str:
        raw = "" if self.normalized else "_raw"
        return f"second_moment_{self.num_features}{raw}" + unless("pool", self.column)

    def empty(self, device: torch.device | str = "cpu") -> State:
        return {"sums": torch.zeros(self.num_features, self.num_features, dtype=torch.float64, device=device)}

    def update(self, state: State, features: Features) -> State:
        return self.staged(state, features)()

    def staged(self, state: State, features: Features) -> Callable[[], State]:
        rows = self.rows_of(features).to(torch.float64)
        rows = normalized(rows) if self.normalized else rows
        # In place: a sum beside the state would cost an update four times what the product does.
        return lambda: {"sums": state["sums"].addmm_(rows.T, rows)}

    def merge(self, states: Sequence[State]) -> State:
        merged = states[0]["sums"].clone()
        for state in states[1:]:
            merged += state["sums"]
        return {"sums": merged}

    def all_reduce(self, state: State, comm: Comm) -> State:
        sums = state["sums"]
        if comm.world_size == 1:
            return state
        return {"sums": sum_symmetric(comm, lambda rows: sums[rows, rows.start :], out=fresh(sums, *sums.shape))}

    def check(self, state: State) -> None:
        super().check(state)
        sums = state["sums"]
        self._expect(is_symmetric(sums), "a symmetric second moment")
        self._expect((sums.diagonal() >= 0).all(), "squares that are not negative")
        self._expect(is_semidefinite(sums), "a second moment, got a matrix with a negative eigenvalue")

    def bounds(self, state: State) -> tuple[float, float]:
        return self.directions(state) if self.normalized else 0, inf

    def sums(self, state: State) -> Tensor:
        """Return ``Σ x xᵀ``, float64 ``(D, D)``."""
        return state["sums"]

    def directions(self, state: State) -> int:
        """Return the number of normalised rows that are not zero."""
        return round(float(state["sums"].trace()))


def normalized(rows: Tensor) -> Tensor:
    """Return rows divided by their Euclidean norm; those of zeros as they are.

    Example:
        >>> normalized(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / norms.where(norms > 0, 1.0)
