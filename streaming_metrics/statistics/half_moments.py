"""Half moments: those of a random half of the samples, by which bias that depends on N is extrapolated."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, ClassVar

import torch

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.base import State
from streaming_metrics.statistics.index import in_first_half
from streaming_metrics.statistics.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming_metrics.features import Features


@dataclass(frozen=True)
class HalfMoments(Moments):
    """Moments of the samples that a bit of their hashed id puts into the first half; the others' are the rest.

    Args:
        num_features: D.
        column: of which features.
        cluster: how many consecutive ids fall into one half together.

    Example:
        >>> from streaming_metrics.features import Features
        >>> half, whole = HalfMoments(1), Moments(1)
        >>> features = Features(pool=torch.arange(6.0).view(6, 1), index=torch.arange(6))
        >>> first = half.update(half.empty(), features)
        >>> rest = half.rest(whole.update(whole.empty(), features), first)
        >>> int(half.count(first)) + int(half.count(rest))
        6
    """

    cluster: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("cluster", self.cluster, least=1)

    is_optional: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return f"half_{super().name}" + ("" if self.cluster == 1 else f"_clusters_{self.cluster}")

    def staged(self, state: State, features: Features) -> Callable[[], State]:
        assert features.index is not None
        if not len(features):
            return lambda: state
        rows = self.rows_of(features).to(torch.float64)
        weights = in_first_half(features.index, self.cluster).to(torch.float64)  # of fixed shape: nothing is waited for
        n, mean, b = self.count(state), self.mean(state), weights.sum()
        total = (n + b).clamp(min=1)
        centre = (weights @ rows) / b.clamp(min=1)
        step = centre - mean
        apart = torch.cat([(rows - centre) * weights.unsqueeze(1), (step * (n * b / total).sqrt()).unsqueeze(0)])
        moved = mean + step * (b / total)

        def write() -> State:
            self.scatter(state).addmm_(apart.T, apart)
            self._write(state["moments"], n + b, moved)
            return {"moments": state["moments"]}

        return write

    def bounds(self, state: State) -> tuple[float, float]:
        return float(self.count(state)), inf

    def rest(self, whole: State, first: State) -> State:
        """Return the moments of the other half: of the whole, without the first."""
        n, m = self.count(whole), self.count(first)
        left = (n - m).clamp(min=1)
        step = self.mean(whole) - self.mean(first)
        mean = self.mean(whole) + step * (m / left)
        moments = torch.empty_like(whole["moments"])
        moments[1:, 1:] = self.scatter(whole) - self.scatter(first) - torch.outer(step, step) * (m * n / left)
        self._write(moments, n - m, mean)
        return {"moments": moments}
