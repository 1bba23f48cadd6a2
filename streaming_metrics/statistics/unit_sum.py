"""Unit sum: the sum of features divided by their norms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.base import State, check_column, unless
from streaming_metrics.statistics.second_moment import normalized
from streaming_metrics.statistics.sums import Shapes, Sums

if TYPE_CHECKING:
    from streaming_metrics.features import Features


@dataclass(frozen=True)
class UnitSum(Sums):
    """Sum ``Σ x/‖x‖`` of the rows of a column, in float64: ``(D,)``, beside a
    :class:`~streaming_metrics.statistics.SecondMoment` of the same rows. A row of zeros has no direction and adds none.

    Args:
        num_features: D.
        column: of which features.

    Example:
        >>> from streaming_metrics.features import Features
        >>> UnitSum(2).update(UnitSum(2).empty(), Features(pool=torch.tensor([[3.0, 0.0], [0.0, 2.0], [0.0, 5.0]])))
        {'sums': tensor([1., 2.], dtype=torch.float64)}
    """

    num_features: int
    column: str = "pool"

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)
        check_column(self.column)

    @property
    def name(self) -> str:
        return f"unit_sum_{self.num_features}" + unless("pool", self.column)

    @property
    def shapes(self) -> Shapes:
        return {"sums": ((self.num_features,), torch.float64)}

    def sums_of(self, features: Features) -> State:
        return {"sums": normalized(self.rows_of(features).double()).sum(0)}
