"""Shrunken means: what each of many groups is worth, where each has few samples of its own.

C. N. Morris, "Parametric empirical Bayes inference: theory and applications", JASA 1983. Means of few samples are drawn
towards the mean of all groups, the more so the less their own samples say. Intervals hold what is not known of how far
groups lie apart: of all groups' intervals together, 95 % cover.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streaming_metrics.verdicts.group_means import GroupMeans

    Floats = NDArray[np.float64]

LEAST_GROUPS = 4
"""With fewer, how far groups lie apart is not known, and each is taken by itself."""
ROUNDS = 50
EXACT = 1e-9
"""Share of how far the means lie apart, below which an error is none: weights of none at all would be infinite."""
SMALLEST = 1e-200


@dataclass(frozen=True, eq=False)
class ShrunkenMeans:
    """Means of groups, drawn towards each other.

    Args:
        raw: the means before, with their errors.
        values: ``(G,)`` float64, the means, shrunken.
        low, high: ``(G,)``, ends of the intervals of the groups' expected values.
        centre: what they are drawn towards.

    Example:
        >>> from streaming_metrics.verdicts.group_means import GroupMeans
        >>> raw = GroupMeans(np.arange(5), np.full(5, 9), np.array([0.0, 1, 2, 3, 14]), np.full(5, 2.0))
        >>> found = ShrunkenMeans.of(raw)
        >>> found.values.round(1).tolist(), found.stand_out.tolist()
        ([0.2, 1.2, 2.1, 3.1, 13.4], [False, False, False, False, True])
    """

    raw: GroupMeans
    values: Floats
    low: Floats
    high: Floats
    centre: float

    @classmethod
    def of(cls, raw: GroupMeans, level: float = 0.95) -> ShrunkenMeans:
        """Return the shrunken means.

        Args:
            raw: means and standard errors, at least one.
            level: coverage of the intervals, on average over groups.
        """
        z, total = float(norm.isf((1 - level) / 2)), len(raw.means)
        variances = np.maximum(raw.errors**2, max((EXACT * float(np.ptp(raw.means))) ** 2, SMALLEST))
        if total < LEAST_GROUPS:
            centre = float(np.average(raw.means, weights=1 / variances))
            return cls(raw, raw.means, raw.means - z * raw.errors, raw.means + z * raw.errors, centre)
        whole = variances + _between(raw.means, variances)
        weights = 1 / whole / (1 / whole).sum()
        centre = float(weights @ raw.means)
        apart, factor = raw.means - centre, (total - 3) / (total - 1) * variances / whole
        unknown = 2 / (total - 3) * factor**2 * whole.mean() / whole * apart**2
        reach = z * np.sqrt(variances * (1 - (1 - weights) * factor) + unknown)
        values = centre + (1 - factor) * apart
        return cls(raw, values, values - reach, values + reach, centre)

    @property
    def stand_out(self) -> NDArray[np.bool_]:
        """Which groups' intervals do not hold the mean of all, bool ``(G,)``."""
        return (self.low > self.centre) | (self.high < self.centre)

    @property
    def by_value(self) -> NDArray[np.int64]:
        """Places of the groups, the highest value first."""
        return np.argsort(-self.values, kind="stable")


def _between(means: Floats, variances: Floats) -> float:
    """Return the variance between the groups' expected values: Morris' estimate, at least 0."""
    between, total = 0.0, len(means)
    for _ in range(ROUNDS):
        weights = 1 / (variances + between)
        centre = weights @ means / weights.sum()
        excess = total / (total - 1) * (means - centre) ** 2 - variances
        updated = max(0.0, float(weights @ excess / weights.sum()))
        if abs(updated - between) <= 1e-9 * (updated + variances.mean()):
            break
        between = updated
    return between
