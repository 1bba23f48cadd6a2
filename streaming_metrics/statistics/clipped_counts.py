"""Clipped counts: of points in balls around a fixed side, each point counted k times at most."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, ClassVar

import torch

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.sums import Shapes, Sums

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.features import Features
    from streaming_metrics.pairwise import ClippedBalls
    from streaming_metrics.statistics.base import State


@dataclass(frozen=True)
class ClippedCounts(Sums):
    """Sums of clipped ball counts over the points that have passed.

    The state is ``points () int64``, ``held () int64``, ``min(c, k)`` summed over points that lie in c clipped balls,
    and ``holds (n,) int64``, the points in each open ball.

    Args:
        num_features: D.
        k: which neighbour spans a ball.
        balls: around the fixed side, the same on every rank; None before there is one, when nothing is counted.

    Example:
        >>> from streaming_metrics.features import Features
        >>> from streaming_metrics.pairwise import ClippedBalls
        >>> balls = ClippedBalls(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([1.0, 1.0, 4.0]).double())
        >>> counts = ClippedCounts(num_features=1, k=1, balls=balls)
        >>> counts.update(counts.empty(), Features(pool=torch.tensor([[0.5], [1.5], [9.0]])))
        {'points': tensor(3), 'held': tensor(2), 'holds': tensor([1, 2, 1])}
    """

    num_features: int
    k: int
    balls: ClippedBalls | None = field(default=None, compare=False, repr=False)

    column = "pool"
    rounds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)
        check_integer("k", self.k, least=1)

    @property
    def name(self) -> str:
        return f"clipped_{self.num_features}_{self.k}"

    @property
    def shapes(self) -> Shapes:
        n = 0 if self.balls is None else len(self.balls)
        return {"points": ((), torch.int64), "held": ((), torch.int64), "holds": ((n,), torch.int64)}

    def sums_of(self, features: Features) -> State:
        assert self.balls is not None
        held, holds = self.balls.count(self.rows_of(features))
        return {"points": torch.ones_like(held).sum(), "held": held.clamp(max=self.k).sum(), "holds": holds}

    def check(self, state: State) -> None:
        super().check(state)
        points, held, holds = (state[key] for key in ("points", "held", "holds"))
        self._expect(0 <= held <= self.k * points, f"counts of at most {self.k} balls a point")
        self._expect(((holds >= 0) & (holds <= points)).all(), "no more points in a ball than there are")

    def bounds(self, state: State) -> tuple[float, float]:
        points = float(state["points"])
        return (points, points) if self.balls is not None else (0, inf)

    def density(self, state: State) -> Tensor:
        """Return the mean of ``min(c / k, 1)`` over points, float64 ``()``."""
        return state["held"].double() / (self.k * state["points"])

    def coverage(self, state: State) -> Tensor:
        """Return the mean of ``min(c / k, 1)`` over balls that hold c points, float64 ``()``."""
        return state["holds"].clamp(max=self.k).double().mean() / self.k
