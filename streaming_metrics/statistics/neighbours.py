"""Neighbours: counts of the points in balls around a fixed side, of which nothing else is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.statistics.base import State
from streaming_metrics.statistics.sums import Shapes, Sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Features
    from streaming_metrics.pairwise import Balls


@dataclass(frozen=True)
class Neighbours(Sums):
    """Sums of ball counts over the points that have passed.

    The state is ``counts (2 + n,) int64``: points inside any ball, the balls that points lie in summed, and the points
    in each of the n balls. With ``visitors``, also ``squares () int64``, the squares of how many balls each point lies
    in summed, and ``visitors (n,) int64``, the id of the only point of each ball, 0 where it has none or several.

    Args:
        num_features: D.
        k: which neighbour spans a ball.
        strict: whether a point at exactly the radius is outside.
        balls: around the fixed side, replicated on every rank; None before there is one, when there are no counts.
        visitors: whether to keep what standard errors are made of.
        half: whether the balls reach as far as float16 tells, see :func:`~streaming_metrics.pairwise.half_reach`.

    Example:
        >>> from streaming_metrics.features import Features
        >>> from streaming_metrics.pairwise import Balls
        >>> balls = Balls.around(torch.tensor([[0.0], [1.0], [3.0]]), k=1)
        >>> neighbours = Neighbours(num_features=1, k=1, balls=balls)
        >>> points = Features(pool=torch.tensor([[0.5], [1.5], [9.0]]))
        >>> neighbours.update(neighbours.empty(), points)
        {'counts': tensor([2, 4, 1, 2, 1])}
    """

    num_features: int
    k: int
    strict: bool = True
    balls: Balls | None = field(default=None, compare=False, repr=False)
    visitors: bool = False
    half: bool = False

    column = "pool"
    rounds: ClassVar[bool] = True

    @property
    def name(self) -> str:
        kind = "half" if self.half else "open" if self.strict else "closed"
        return f"neighbours_{self.num_features}_{self.k}_{kind}" + ("_visitors" if self.visitors else "")

    @property
    def shapes(self) -> Shapes:
        n = 0 if self.balls is None else len(self.balls)
        counts: Shapes = {"counts": ((0 if self.balls is None else 2 + n,), torch.int64)}
        if not self.visitors:
            return counts
        return {**counts, "squares": ((), torch.int64), "visitors": ((n,), torch.int64)}

    def sums_of(self, features: Features) -> State:
        assert self.balls is not None
        held, holds, visitors = self.balls.visits(self.rows_of(features), features.index if self.visitors else None)
        totals = torch.stack([(held > 0).sum(), held.sum()])
        counts = {"counts": torch.cat([totals, holds])}
        return counts | {"squares": held.square().sum(), "visitors": visitors} if self.visitors else counts

    def update(self, state: State, features: Features) -> State:
        return self._settled(super().update(state, features))

    def merge(self, states: Sequence[State]) -> State:
        return self._settled(super().merge(states))

    def all_reduce(self, state: State, comm: Comm) -> State:
        return self._settled(super().all_reduce(state, comm))

    def _settled(self, state: State) -> State:
        """Return a sum of states without the visitors of balls that have several now."""
        if not self.visitors:
            return state
        return state | {"visitors": state["visitors"] * (state["counts"][2:] == 1)}

    def check(self, state: State) -> None:
        super().check(state)
        if self.balls is None:
            return
        inside, held, holds = self.read(state)
        self._expect((state["counts"] >= 0).all() and inside <= held == holds.sum(), "counts of points in balls")
        if self.visitors:
            self._expect(held <= state["squares"], "squares of counts")
            self._expect((state["visitors"][holds != 1] == 0).all(), "no visitor of a ball of none or several")

    def bounds(self, state: State) -> tuple[float, float]:
        if self.balls is None:
            return 0, 0
        inside, _, holds = self.read(state)
        return max(int(inside), *holds.tolist()), inf

    def read(self, state: State) -> tuple[Tensor, Tensor, Tensor]:
        """Return points inside any ball ``()``, balls that points lie in ``()``, and points in each ball ``(n,)``."""
        inside, held, holds = state["counts"].tensor_split([1, 2])
        return inside[0], held[0], holds
