"""Standard errors of precision, recall, density and coverage, from counts of points in balls.

In closed form: a bootstrap of rows is none, since rows that come twice shrink the balls.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, sqrt
from typing import TYPE_CHECKING

from streaming_metrics.measures.error_scalars import AT_THIS_N, BOTH_RANDOM
from streaming_metrics.verdicts.intervals import share_error

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.measures.base import Scalar

NEARLY_ALL = 0.99
"""Coverage above which its jackknife says nothing: hardly a ball hangs on one point."""


def about_of(scalar: Scalar, both: bool) -> str:
    """Return what the interval of a scalar is about: recall's and f1's are with both sides random, however asked."""
    return BOTH_RANDOM if both or scalar.key in ("recall", "f1") else AT_THIS_N


@dataclass(frozen=True, eq=False)
class BallVisits:
    """What points leave in the balls of another side, of which precision, density and coverage are made.

    Args:
        inside: points inside any ball ``()``.
        held: balls that points lie in, summed ``()``.
        holds: points in each ball ``(n,)``.
        num_points: m.
        squares: squares of how many balls each point lies in, summed ``()``; None where errors are not asked for.
        visitors: an id of the only point of each ball ``(n,)``; None likewise.
    """

    inside: Tensor
    held: Tensor
    holds: Tensor
    num_points: int
    squares: Tensor | None = None
    visitors: Tensor | None = None

    def errors(self, k: int, recall: float | None, both: bool) -> dict[str, float]:
        """Return the standard errors of all that they are known of.

        Precision and recall: Wilson's of a share of m samples, or with both sides random of ``nm / (n + m)``. Density:
        that of the mean count, with both sides random and that of the balls' counts. Coverage: the jackknife over
        points. f1: the delta method on precision and recall, as if these were independent.

        Args:
            k: of the balls.
            recall: the value, where there is one.
            both: whether the side that the balls are of is random too.
        """
        n, m = len(self.holds), self.num_points
        precision, effective = int(self.inside) / m, n * m / (n + m)
        found = {
            "precision": share_error(precision, effective if both else m),
            "density": self._of_density(k, both),
            "coverage": self._of_coverage(both),
        }
        if recall is not None:
            found["recall"] = share_error(recall, effective)
            parts = recall**2 * found["precision"], precision**2 * found["recall"]
            total = precision + recall
            found["f1"] = 2 * hypot(*parts) / total**2 if total else share_error(0.0, effective)
        return found

    def _of_density(self, k: int, both: bool) -> float:
        assert self.squares is not None
        n, m, held = len(self.holds), self.num_points, int(self.held)
        of_points = sqrt(max(int(self.squares) - held**2 / m, 0) / (m - 1) / m) or share_error(0.0, m)  # none differs
        of_points /= k
        of_balls = float(self.holds.double().std()) * sqrt(n) / (k * m)
        return hypot(of_points, of_balls) if both else of_points

    def _of_coverage(self, both: bool) -> float:
        """Return ``√((m − 1)/m·Σ_j (u_j − ū)²)``, u_j the share of balls whose only point is j, as that of a share; of
        nearly all balls Wilson's of so many.
        """
        assert self.visitors is not None
        n, m = len(self.holds), self.num_points
        of_each = self.visitors[self.holds == 1].unique(return_counts=True)[1]
        share = int((self.holds > 0).sum()) / n
        if share > NEARLY_ALL:
            return share_error(share, n * m / (n + m) if both else n)
        squares, total = int(of_each.square().sum()), int(of_each.sum())
        variance = (m - 1) / m * max(squares - total**2 / m, 0) / n**2
        binomial = share * (1 - share)
        variance += binomial / n if both else 0.0
        return share_error(share, binomial / variance if variance and binomial else n)
