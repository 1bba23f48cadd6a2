"""Strengths of conditions in log-odds, what follows of them, and their intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm
from scipy.stats import t as student

from streaming_metrics.ratings.davidson import chances
from streaming_metrics.ratings.estimate import Estimate

if TYPE_CHECKING:
    from streaming_metrics.ratings.davidson import Array


@dataclass(frozen=True, eq=False)
class Strengths:
    """Strengths of conditions, in log-odds: 0 is the mean of all, and a difference of 1.1 wins three of four.

    Args:
        names: of the conditions.
        parameters: ``(p,)``, strengths, the left place's advantage where it was estimated, log ν where there were ties.
        covariance: ``(p, p)`` of them.
        judgements: of each condition, ``(n,)``.
        raters: of each condition, ``(n,)``; 0 where none are known.
        freedom: degrees of freedom of intervals, inf for those of counts.
        has_sides: whether the left place's advantage was estimated.
        has_ties: whether ν was.
        prior: standard deviation of the Gaussian around 0 that strengths were given; None for none.
        confidence: of the intervals.
    """

    names: tuple[str, ...]
    parameters: Array
    covariance: Array
    judgements: tuple[int, ...]
    raters: tuple[int, ...]
    freedom: float
    has_sides: bool
    has_ties: bool
    prior: float | None = None
    confidence: float = 0.95

    @property
    def values(self) -> tuple[float, ...]:
        """The strengths, in the order of names; their sum is 0."""
        return tuple(self.parameters[: len(self.names)].tolist())

    @property
    def tie(self) -> float:
        """Davidson's ν: two of equal strength tie in ν / (2 + ν) of games; 0 where none were tied."""
        return float(np.exp(self.parameters[-1])) if self.has_ties else 0.0

    @property
    def order(self) -> tuple[str, ...]:
        """The names, the strongest first."""
        return tuple(self.names[place] for place in np.argsort(-np.array(self.values), kind="stable"))

    @property
    def side(self) -> Estimate | None:
        """The advantage of the left place, in log-odds; None where it was not estimated."""
        if not self.has_sides:
            return None
        return self._estimate(self._unit(len(self.names)), sum(self.judgements) // 2, max(self.raters))

    @property
    def left_share(self) -> Estimate | None:
        """The share of games that the left of two equals wins, ties one half: ½ is no bias; None as of :attr:`side`."""
        if not self.has_sides:
            return None
        return self._share(self._unit(len(self.names)), sum(self.judgements) // 2, max(self.raters))

    def estimates(self) -> dict[str, Estimate]:
        """Return the strengths with their intervals."""
        counted = zip(self.names, self.judgements, self.raters)
        return {name: self._estimate(self._unit(place), n, m) for place, (name, n, m) in enumerate(counted)}

    def difference(self, a: str, b: str) -> Estimate:
        """Return how much stronger a is than b, in log-odds; what is shared of their uncertainty cancels."""
        return self._estimate(self._contrast(a, b), *self._counts(a, b))

    def probability(self, a: str, b: str) -> Estimate:
        """Return the share of games that a wins against b, ties one half, with no advantage of a place; in (0, 1)."""
        return self._share(self._contrast(a, b), *self._counts(a, b))

    def _contrast(self, a: str, b: str) -> Array:
        for name in (a, b):
            if name not in self.names:
                raise ValueError(f"Expected one of {', '.join(self.names)}, got {name!r}.")
        return self._unit(self.names.index(a)) - self._unit(self.names.index(b))

    def _counts(self, a: str, b: str) -> tuple[int, int]:
        one, other = self.names.index(a), self.names.index(b)
        return min(self.judgements[one], self.judgements[other]), min(self.raters[one], self.raters[other])

    def _unit(self, place: int) -> Array:
        return np.eye(len(self.parameters))[place]

    def _estimate(self, direction: Array, judgements: int, raters: int) -> Estimate:
        value, half = float(direction @ self.parameters), self._half(direction)
        return Estimate(value, value - half, value + half, judgements, raters, self.confidence)

    def _share(self, direction: Array, judgements: int, raters: int) -> Estimate:
        """Return the share that log-odds win, with the interval of its own log-odds: ν is uncertain too."""
        odds, log_tie = np.array(direction @ self.parameters), self.parameters[-1] if self.has_ties else None
        won, tied, lost = (float(chance) for chance in chances(odds, log_tie))
        lean = (won - lost) / 2
        slope = direction * ((won + lost) / 4 - lean**2)
        if self.has_ties:
            slope[-1] -= tied * lean
        share = won + tied / 2
        half = self._half(slope / (share * (1 - share)))
        low, high = (float(expit(logit(share) + reach)) for reach in (-half, half))
        return Estimate(share, low, high, judgements, raters, self.confidence)

    def _half(self, direction: Array) -> float:
        """Return half the width of the interval along a direction; nan where it cannot be told."""
        if self.freedom < 1:
            return float("nan")
        law = norm.ppf if np.isinf(self.freedom) else lambda p: student.ppf(p, self.freedom)
        return float(law((1 + self.confidence) / 2) * np.sqrt(direction @ self.covariance @ direction))
