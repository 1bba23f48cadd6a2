"""Preferences: the share of comparisons that a condition wins, and the matrix of who won against whom."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student

from streaming_metrics.ratings.clusters import clustered
from streaming_metrics.ratings.estimate import Estimate
from streaming_metrics.ratings.judgement import of_one_task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

    from streaming_metrics.ratings.judgement import Judgement
    from streaming_metrics.ratings.judgements import Judgements

    Counts = NDArray[np.int64]


def share(values: Sequence[float], raters: Sequence[Any], units: Sequence[Any], confidence: float = 0.95) -> Estimate:
    """Return a share with Wilson's interval, whose number of judgements is that which independent ones would need.

    ``n_eff = n / d``, ``d = (k · max(1, n V / (p(1 − p))) + √(n / g)) / (k + 1)``: the design effect of the two-way
    clustered variance V, as far as the k answers that are not the usual one tell it (a tie is half of one), and what
    is taken for it before any, of g raters or units, whichever are more. So an interval does not leap between none
    and one that differ. Student's quantile stands for the normal one. Range [0, 1].

    Args:
        values: ``(n,)`` in [0, 1].
        raters, units: who judged, and what, ``(n,)``.
        confidence: of the interval.

    Example:
        >>> found = share([1.0] * 10, range(10), range(10))
        >>> found.value, round(found.low, 2), found.high
        (1.0, 0.66, 1.0)
    """
    x = np.asarray(values, dtype=np.float64)
    counted = len(x), len(set(raters))
    if not len(x):
        return Estimate(nan, nan, nan, *counted, confidence)
    p = float(x.mean())
    effective, freedom = effective_judgements(x, raters, units)
    if not freedom >= 1:
        return Estimate(p, nan, nan, *counted, confidence)
    reach = float(student.ppf((1 + confidence) / 2, freedom)) ** 2 / effective
    middle = (p + reach / 2) / (1 + reach)
    half = (reach * (p * (1 - p) + reach / 4)) ** 0.5 / (1 + reach)
    return Estimate(p, min(p, max(0.0, middle - half)), max(p, min(1.0, middle + half)), *counted, confidence)


def effective_judgements(values: ArrayLike, raters: Sequence[Any], units: Sequence[Any]) -> tuple[float, float]:
    """Return how many independent judgements a share is worth, ``n_eff`` of :func:`share`, and degrees of freedom."""
    x = np.asarray(values, dtype=np.float64)
    count, p = len(x), float(x.mean())
    variance, freedom = (float(part.squeeze()) for part in clustered(((x - p) / count)[:, None], raters, units))
    clusters = max(len(set(raters)), len(set(units)))
    unusual = count * min(p, 1 - p)
    usual = max(1.0, count / clusters) ** 0.5
    seen = max(1.0, count * variance / (p * (1 - p))) if 0 < p < 1 else 1.0
    return count * (unusual + 1) / (unusual * seen + usual), freedom


def preference_share(judgements: Judgements, a: str, b: str | None = None, confidence: float = 0.95) -> Estimate:
    """Return the share of comparisons that ``a`` wins against ``b``, a tie counted one half. Range [0, 1].

    Args:
        judgements: those of preferences are read, without attention checks.
        a, b: conditions; ``b=None`` is all that ``a`` met.
        confidence: of the interval.
    """
    rows = [row for row in compared(judgements) if a in row.conditions and b in (None, *row.conditions)]
    values = [row.side_of(a) for row in rows]
    return share(values, [row.rater for row in rows], [row.units for row in rows], confidence)


@dataclass(frozen=True)
class WinMatrix:
    """Matrix of who won against whom; ``+`` adds what others counted.

    Args:
        names: of the conditions.
        wins: ``(n, n)``: how often row i was preferred to column j.
        ties: ``(n, n)``, symmetric: how often neither was.

    Example:
        >>> one = WinMatrix(("a", "b"), np.array([[0, 2], [1, 0]]), np.zeros((2, 2), int))
        >>> (one + WinMatrix(("b", "c"), np.array([[0, 1], [0, 0]]), np.zeros((2, 2), int))).wins.tolist()
        [[0, 2, 0], [1, 0, 1], [0, 0, 0]]
    """

    names: tuple[str, ...]
    wins: Counts
    ties: Counts

    def __add__(self, other: WinMatrix) -> WinMatrix:
        names = tuple(dict.fromkeys((*self.names, *other.names)))
        wins, ties = (np.zeros((len(names), len(names)), dtype=np.int64) for _ in range(2))
        for one in (self, other):
            at = np.ix_(*[[names.index(name) for name in one.names]] * 2)
            wins[at] += one.wins
            ties[at] += one.ties
        return WinMatrix(names, wins, ties)

    def of(self, names: Sequence[str]) -> WinMatrix:
        """Return the same in the order of names; those that it lacks have met no one."""
        empty = np.zeros((len(names), len(names)), dtype=np.int64)
        return WinMatrix(tuple(names), empty, empty.copy()) + self


def win_matrix(judgements: Judgements, names: Sequence[str] = ()) -> WinMatrix:
    """Return how often each condition was preferred to each other.

    Args:
        judgements: those of preferences are read, without attention checks.
        names: the order of conditions; others come after them, as they appear.
    """
    rows = [row for row in compared(judgements) if row.conditions[0] != row.conditions[1]]
    names = tuple(dict.fromkeys((*names, *(name for row in rows for name in row.conditions))))
    place = {name: number for number, name in enumerate(names)}
    wins, ties = (np.zeros((len(names), len(names)), dtype=np.int64) for _ in range(2))
    for row in rows:
        left, right = (place[name] for name in row.conditions)
        if row.answer == 0.5:
            ties[left, right] += 1
            ties[right, left] += 1
        else:
            wins[(left, right) if row.answer == 1 else (right, left)] += 1
    return WinMatrix(names, wins, ties)


def compared(judgements: Judgements) -> list[Judgement]:
    """Return the judgements that are preferences, without attention checks."""
    return of_one_task("preferences", (row for row in judgements if row.kind == "preference"))
