"""Bin counts: how many samples each of a fixed side's bins has received."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, ClassVar

import torch

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.base import State, Statistic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Features
    from streaming_metrics.statistics.fixed_rows import FixedRows


@dataclass(frozen=True)
class BinCounts(Statistic):
    """Counts of points by the centre that is nearest to them; of equally near ones the first.

    The state is ``counts (bins,) int64``.

    Args:
        num_features: D.
        bins: how many centres.
        most, seed: of the rows that the centres were made of, and how; they tell bins of one side apart.
        centres: the same on every rank; None before there are any, when there are no counts.

    Example:
        >>> from streaming_metrics.features import Features
        >>> from streaming_metrics.statistics.fixed_rows import FixedRows
        >>> counts = BinCounts(1, bins=2, centres=FixedRows(torch.tensor([[0.0], [4.0]])))
        >>> counts.update(counts.empty(), Features(pool=torch.tensor([[-1.0], [1.0], [2.0], [3.0]])))
        {'counts': tensor([3, 1])}
    """

    num_features: int
    bins: int
    most: int = 10_000
    seed: int = 0
    centres: FixedRows | None = field(default=None, compare=False, repr=False)

    column: ClassVar[str | None] = "pool"
    rounds: ClassVar[bool] = True
    writes_in_place: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)
        check_integer("bins", self.bins, least=1)

    @property
    def name(self) -> str:
        return f"bins_{self.num_features}_{self.bins}_{self.most}_{self.seed}"

    def empty(self, device: torch.device | str = "cpu") -> State:
        return {"counts": torch.zeros(self.bins, dtype=torch.int64, device=device)}

    def update(self, state: State, features: Features) -> State:
        assert features.pool is not None
        assert self.centres is not None
        place = self.centres.nearest(features.pool)[1]
        return {"counts": state["counts"] + torch.bincount(place, minlength=self.bins)}

    def merge(self, states: Sequence[State]) -> State:
        return {"counts": torch.stack([state["counts"] for state in states]).sum(0)}

    def all_reduce(self, state: State, comm: Comm) -> State:
        return {"counts": comm.sum(state["counts"].clone())}

    def check(self, state: State) -> None:
        super().check(state)
        self._expect((state["counts"] >= 0).all(), "counts that are not negative")

    def bounds(self, state: State) -> tuple[float, float]:
        points = float(state["counts"].sum())
        return (points, points) if self.centres is not None else (0, inf)
