"""Class sums: count and sum of the features of each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.bank import check_labels
from streaming_metrics.statistics.base import MOST_SAMPLES, check_column, unless
from streaming_metrics.statistics.sums import Shapes, Sums, counts_of

if TYPE_CHECKING:
    from streaming_metrics.features import Features
    from streaming_metrics.statistics.base import State


@dataclass(frozen=True)
class ClassSums(Sums):
    """Number of samples of each class, and the sum of their rows of a column.

    The state is ``counts (L,) int64`` and ``sums (L, D) float64``. Beside :class:`Moments` of the same samples, which
    other measures share, it says all that a linear classifier of them needs.

    Args:
        num_features: D.
        labels: L, with ``Features.labels`` in [0, L).
        column: of which features.

    Raises:
        ValueError: at update, where labels are no such integers; nothing is added then.

    Example:
        >>> from streaming_metrics.features import Features
        >>> sums = ClassSums(1, labels=3)
        >>> features = Features(pool=torch.tensor([[1.0], [2.0], [4.0]]), labels=torch.tensor([2, 0, 2]))
        >>> sums.update(sums.empty(), features)["sums"].T
        tensor([[2., 0., 5.]], dtype=torch.float64)
    """

    num_features: int
    labels: int
    column: str = "pool"

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)
        check_integer("labels", self.labels, least=1)
        check_column(self.column)

    @property
    def name(self) -> str:
        return f"class_sums_{self.num_features}_{self.labels}" + unless("pool", self.column)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.column, "labels"

    @property
    def shapes(self) -> Shapes:
        return {
            "counts": ((self.labels,), torch.int64),
            "sums": ((self.labels, self.num_features), torch.float64),
        }

    def sums_of(self, features: Features) -> State:
        rows = self.rows_of(features).to(torch.float64)
        labels = check_labels(features.labels, len(features), self.labels)
        sums = rows.new_zeros(self.labels, self.num_features)
        return {"counts": counts_of(labels, self.labels), "sums": sums.index_add_(0, labels, rows)}

    def check(self, state: State) -> None:
        super().check(state)
        counts = state["counts"]
        self._expect(((counts >= 0) & (counts <= MOST_SAMPLES)).all(), "numbers of samples")
        self._expect(not state["sums"][counts == 0].any(), "zeros where a class has no sample")

    def bounds(self, state: State) -> tuple[float, float]:
        n = float(state["counts"].sum())
        return n, n

    def counts(self, state: State) -> Tensor:
        """Return the number of samples of each class, float64 ``(L,)``."""
        return state["counts"].double()

    def means(self, state: State) -> Tensor:
        """Return the mean of each class, float64 ``(L, D)``; zeros where it has no sample."""
        return state["sums"] / self.counts(state).clamp(min=1).unsqueeze(1)
