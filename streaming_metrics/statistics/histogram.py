"""Histogram: how many samples have a value in each of equal bins of a fixed range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from streaming_metrics.arguments import check_flag, check_integer, check_real
from streaming_metrics.statistics.base import check_column, in_name, unless
from streaming_metrics.statistics.sums import Shapes, Sums, counts_of

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.features import Features
    from streaming_metrics.statistics.base import State


@dataclass(frozen=True)
class Histogram(Sums):
    """Histogram of a column of width 1; a value beyond the range is counted in the bin at that end, or refused.

    The state is ``counts (bins,) int64``.

    Args:
        low, high: the range, finite, low < high; each bin holds its lower edge.
        bins: how many.
        column: which.
        is_strict: whether values beyond the range are refused, as of another unit than the range's.

    Raises:
        ValueError: where the range is empty; at update, where ``is_strict``, of values beyond it.

    Example:
        >>> from streaming_metrics.features import Features
        >>> histogram = Histogram(0, 4, bins=4)
        >>> histogram.update(histogram.empty(), Features(pool=torch.tensor([[-1.0], [0.5], [2.0], [9.0]])))
        {'counts': tensor([2, 0, 1, 1])}
    """

    low: float
    high: float
    bins: int
    column: str = "pool"
    is_strict: bool = False

    def __post_init__(self) -> None:
        check_real("Histogram low", self.low)
        check_real("Histogram high", self.high)
        check_integer("Histogram bins", self.bins, least=1)
        check_column(self.column)
        check_flag("Histogram is_strict", self.is_strict)
        if not self.low < self.high:
            raise ValueError(f"Histogram: expected low < high, got {self.low} and {self.high}.")
        for name in ("low", "high"):  # 0 and 0.0 are one range, with one name
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def name(self) -> str:
        return f"histogram_{self.bins}_{in_name(self.low)}_{in_name(self.high)}{unless('pool', self.column)}"

    @property
    def shapes(self) -> Shapes:
        return {"counts": ((self.bins,), torch.int64)}

    @property
    def bin_width(self) -> float:
        """Width of a bin."""
        return (self.high - self.low) / self.bins

    def sums_of(self, features: Features) -> State:
        values = self.rows_of(features).double().squeeze(1)
        if self.is_strict and not ((values >= self.low) & (values <= self.high)).all():
            raise ValueError(
                f"{self.column}: expected values in [{self.low:g}, {self.high:g}], got {values.min():g} to "
                f"{values.max():g}; nothing was added. Remedy: the units of the extractor that this column is of."
            )
        place = ((values - self.low) / self.bin_width).floor().clamp(0, self.bins - 1).long()
        return {"counts": counts_of(place, self.bins)}

    def check(self, state: State) -> None:
        super().check(state)
        self._expect((state["counts"] >= 0).all(), "counts that are not negative")

    def bounds(self, state: State) -> tuple[float, float]:
        n = float(state["counts"].sum())
        return n, n

    def wasserstein(self, first: State, second: State) -> Tensor:
        """Return the Wasserstein-1 distance of two histograms, neither of them empty, float64 ``()``.

        It is that of the samples, as far as they are in the range, to within :attr:`bin_width`.
        """
        shares = [state["counts"].cumsum(0).double() / state["counts"].sum() for state in (first, second)]
        return (shares[0] - shares[1]).abs().sum() * self.bin_width
