"""Supported: how likely the points that have passed are to lie in the support of a fixed side, summed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.pairwise.misses import missed
from streaming_metrics.statistics.base import in_name
from streaming_metrics.statistics.sums import Shapes, Sums

if TYPE_CHECKING:
    from streaming_metrics.features import Features
    from streaming_metrics.statistics.base import State
    from streaming_metrics.statistics.fixed_rows import FixedRows


@dataclass(frozen=True)
class Supported(Sums):
    """Sums of ``1 − Π_i min(1, d(x_i, y) / reach)`` over the points y that have passed, x_i the fixed rows.

    The state is ``sums (2,) float64``, of these and of their squares, and ``n () int64``, the points.

    Args:
        num_features: D.
        k, scale: of the reach; they tell one side's apart.
        rows: of the fixed side, the same on every rank; None before there are any.
        reach: float64 ``()``; None likewise.

    Example:
        >>> from streaming_metrics.features import Features
        >>> from streaming_metrics.statistics.fixed_rows import FixedRows
        >>> rows = FixedRows(torch.tensor([[0.0], [4.0]]))
        >>> supported = Supported(1, rows=rows, reach=torch.tensor(2.0).double())
        >>> supported.update(supported.empty(), Features(pool=torch.tensor([[1.0], [9.0]])))["sums"]
        tensor([0.5000, 0.2500], dtype=torch.float64)
    """

    num_features: int
    k: int = 4
    scale: float = 1.2
    rows: FixedRows | None = field(default=None, compare=False, repr=False)
    reach: Tensor | None = field(default=None, compare=False, repr=False)

    column = "pool"
    rounds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)
        check_integer("k", self.k, least=1)

    @property
    def name(self) -> str:
        return f"supported_{self.num_features}_{self.k}_{in_name(self.scale)}"

    @property
    def shapes(self) -> Shapes:
        return {"sums": ((2,), torch.float64), "n": ((), torch.int64)}

    def sums_of(self, features: Features) -> State:
        assert self.rows is not None
        assert self.reach is not None
        points = self.rows_of(features)
        sums, reach = torch.zeros(2, dtype=torch.float64, device=points.device), self.reach.to(points.device)
        for tile in self.rows.tiles(points):
            supported = -torch.expm1(missed(tile, reach, across=0))
            sums += torch.stack([supported.sum(), supported.square().sum()])
        return {"sums": sums, "n": torch.tensor(len(points), device=points.device)}

    def check(self, state: State) -> None:
        super().check(state)
        (total, squares), n = state["sums"], state["n"]
        slack = 1e-9 * (n + 1)
        self._expect(-slack <= squares <= total + slack and total <= n + slack, "sums of shares of 1")

    def bounds(self, state: State) -> tuple[float, float]:
        n = float(state["n"])
        return n, n
