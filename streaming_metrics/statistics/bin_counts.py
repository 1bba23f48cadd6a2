"""Bin counts: how many samples each of a fixed side's bins has received."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, ClassVar

import torch

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.sums import Shapes, Sums, counts_of

if TYPE_CHECKING:
    from streaming_metrics.features import Features
    from streaming_metrics.statistics.base import State
    from streaming_metrics.statistics.fixed_rows import FixedRows


@dataclass(frozen=True)
class BinCounts(Sums):
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

    column = "pool"
    rounds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)
        check_integer("bins", self.bins, least=1)

    @property
    def name(self) -> str:
        return f"bins_{self.num_features}_{self.bins}_{self.most}_{self.seed}"

    @property
    def shapes(self) -> Shapes:
        return {"counts": ((self.bins,), torch.int64)}

    def sums_of(self, features: Features) -> State:
        assert self.centres is not None
        _, place = self.centres.nearest(self.rows_of(features))
        return {"counts": counts_of(place, self.bins)}

    def check(self, state: State) -> None:
        super().check(state)
        self._expect((state["counts"] >= 0).all(), "counts that are not negative")

    def bounds(self, state: State) -> tuple[float, float]:
        points = float(state["counts"].sum())
        return (points, points) if self.centres is not None else (0, inf)
