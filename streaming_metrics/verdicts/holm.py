"""Holm's steps: p-values of several comparisons, adjusted so that a false verdict among all of them is rare."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values adjusted for their number, by Holm's steps; NaN stays NaN and does not count.

    Example:
        >>> holm([0.01, 0.04, nan, 0.03])
        [0.03, 0.06, nan, 0.06]
    """
    known = sorted((place for place, p in enumerate(ps) if p == p), key=lambda place: ps[place])
    made, least = [nan] * len(ps), 0.0
    for rank, place in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * ps[place]))
        made[place] = least
    return made
