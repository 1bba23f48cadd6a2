"""Authentic: count of generated samples that lie further from a training sample than its own neighbour does."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.sums import Shapes, Sums

if TYPE_CHECKING:
    from streaming_metrics.features import Features
    from streaming_metrics.statistics.base import State
    from streaming_metrics.statistics.fixed_rows import FixedRows


@dataclass(frozen=True)
class Authentic(Sums):
    """Numbers of points that have passed, and of those that are authentic.

    A point is authentic where its nearest training row has another training row nearer to it than the point is. The
    state is ``counts (2,) int64``: points, and authentic ones.

    Args:
        num_features: D.
        train: the training rows, whole on every rank; None before there are any, when there are no counts.
        squared: ``(n,)`` float64, each training row's squared distance to its nearest other one.

    Example:
        >>> from streaming_metrics.features import Features
        >>> from streaming_metrics.statistics.fixed_rows import FixedRows
        >>> train = FixedRows(torch.tensor([[0.0], [1.0], [5.0]]))
        >>> authentic = Authentic(1, train, squared=torch.tensor([1.0, 1.0, 16.0], dtype=torch.float64))
        >>> authentic.update(authentic.empty(), Features(pool=torch.tensor([[0.0], [-1.5], [6.0]])))
        {'counts': tensor([3, 1])}
    """

    num_features: int
    train: FixedRows | None = field(default=None, compare=False, repr=False)
    squared: Tensor | None = field(default=None, compare=False, repr=False)

    column = "pool"
    rounds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)

    @property
    def name(self) -> str:
        return f"authentic_{self.num_features}"

    @property
    def shapes(self) -> Shapes:
        return {"counts": ((2,), torch.int64)}

    def sums_of(self, features: Features) -> State:
        assert self.train is not None
        assert self.squared is not None
        squared, place = self.train.nearest(self.rows_of(features))
        is_authentic = self.squared.to(place.device)[place] < squared
        return {"counts": torch.stack([torch.ones_like(place).sum(), is_authentic.sum()])}

    def check(self, state: State) -> None:
        super().check(state)
        points, authentic = state["counts"].tolist()
        self._expect(0 <= authentic <= points, "no more authentic points than points")

    def bounds(self, state: State) -> tuple[float, float]:
        points = float(state["counts"][0])
        return (points, points) if self.train is not None else (0, inf)

    def share_of(self, state: State) -> Tensor:
        """Return the share of points that are authentic, float64 ``()``."""
        points, authentic = state["counts"].double()
        return authentic / points
