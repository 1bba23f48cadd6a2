"""Estimate: a value, its interval, and of how many judgements and raters it is."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Estimate:
    """Estimate with its interval; NaN where it cannot be told.

    Args:
        value: the estimate.
        low, high: ends of its interval.
        judgements, raters: of how many.
        confidence: of the interval.

    Example:
        >>> Estimate(3.5, 3.0, 4.0, judgements=40, raters=8).half_width
        0.5
    """

    value: float
    low: float
    high: float
    judgements: int
    raters: int
    confidence: float = 0.95

    @property
    def half_width(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2

    def within(self, least: float, most: float) -> Estimate:
        """Return the same, its interval cut to the range in which the value can be; it covers as often as before.

        Example:
            >>> Estimate(1.2, 0.7, 1.7, judgements=9, raters=3).within(1, 5).low
            1
        """
        return replace(self, low=max(self.low, least), high=min(self.high, most))
