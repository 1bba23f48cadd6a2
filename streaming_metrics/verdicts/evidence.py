"""Evidence: a score, and how each sample moves it, which is what a paired comparison needs."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, sqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARRIVAL = (1 << 40) - 1
"""Bits of an id that count: those above say that nobody gave it, and on which rank it came."""


@dataclass(frozen=True, eq=False)
class Influence:
    """Influence values of one side's samples: what each adds to a score, up to a constant.

    Args:
        index: ids ``(n,)`` int64, ascending; all of the side's, or those of a reservoir that ids alone decide.
        values: ``(n,)`` float64: the score is its value at the expected distribution plus their mean, to first order.
        num_samples: N, of how many samples the score is.
        cluster: how many consecutive ids depend on each other: images of one prompt.

    Example:
        >>> influence = Influence(np.arange(4), np.array([1.0, 2.0, 3.0, 4.0]), num_samples=100)
        >>> round(influence.error, 4)
        0.1291
    """

    index: NDArray[np.int64]
    values: NDArray[np.float64]
    num_samples: int
    cluster: int = 1

    @property
    def error(self) -> float:
        """Standard error of the score as far as this side is random: of the mean of N, by clusters."""
        n = len(self.values)
        if n < 2:
            return float("nan")
        _, place = np.unique(self._clusters, return_inverse=True)
        sums = np.bincount(place, weights=self.values - self.values.mean())
        groups = len(sums)
        if groups < 2:
            return float("nan")
        return sqrt(groups / (groups - 1) * float(sums @ sums) / n / self.num_samples)

    @property
    def _clusters(self) -> NDArray[np.int64]:
        """Consecutive ids a cluster; of ids that nobody gave, the arrivals on each rank, which are their lower bits."""
        return (self.index & ~ARRIVAL) | (self.index & ARRIVAL) // self.cluster

    def minus(self, other: Influence) -> Influence:
        """Return the influence on the difference of two scores of the same samples.

        Raises:
            ValueError: where the samples, their number or their clusters are not the same, or an id comes twice.
        """
        mine, theirs = (np.unique(side.index) for side in (self, other))
        if (self.num_samples, self.cluster) != (other.num_samples, other.cluster) or not np.array_equal(mine, theirs):
            alone = len(np.setxor1d(mine, theirs))
            raise ValueError(
                f"paired: expected scores of the same samples, got {self.num_samples} and {other.num_samples} samples, "
                f"{alone} ids of one side only, clusters of {self.cluster} and {other.cluster}. Remedy: the same ids, "
                "seeds and number of samples for both."
            )
        if not len(mine) == len(self.index) == len(other.index):
            raise ValueError(
                f"paired: expected an id for each sample, got {len(mine)} ids of {len(self.index)} and "
                f"{len(other.index)}: which are the same sample is not known. Remedy: index= of ids that are unique."
            )
        one, two = (side.values[side.index.argsort(kind="stable")] for side in (self, other))
        return Influence(mine, one - two, self.num_samples, self.cluster)


@dataclass(frozen=True, eq=False)
class Evidence:
    """Evidence of a score: what it is compared by.

    Args:
        key: of the scalar, as it is reported: ``"fid"``, ``"kd_dinov2"``.
        value: free of the bias that depends on the number of samples: ``fid_corrected``; NaN where that is refused.
        fake: influence of the generated samples.
        real: of the real ones; None where the reference holds moments alone, which are then taken as given.
        better: ``"lower"`` or ``"higher"``.
        both: whether an interval of the score holds the real side random too.
    """

    key: str
    value: float
    fake: Influence
    real: Influence | None = None
    better: str = "lower"
    both: bool = False

    @property
    def error(self) -> float:
        """Standard error of the score: given the reference, or with both sides random."""
        return hypot(self.fake.error, self.real.error) if self.both and self.real is not None else self.fake.error
