"""Intervals of scores: from a value and its standard error, by what kind of number it is."""

from __future__ import annotations

from math import inf, isnan, nan, sqrt
from typing import Literal, TypeAlias

from scipy.stats import norm, t

Kind: TypeAlias = Literal["real", "positive", "share", "percent"]
"""Any number; one that is not negative, where the interval is cut; a share in [0, 1], whose interval is Wilson's; one
in per cent.
"""


def interval(value: float, error: float, kind: Kind = "real", level: float = 0.95) -> tuple[float, float]:
    """Return the ends of a score's interval.

    ``value ± z·error``; of a share, Wilson's, where ``error`` must be that of :func:`share_error`.

    Example:
        >>> interval(3.0, 2.0, "positive")[0], interval(3.0, 1.0)[0] < 1.05
        (0.0, True)
        >>> low, high = interval(1.0, share_error(1.0, 100), "share")
        >>> round(low, 3), round(high, 6)
        (0.963, 1.0)
    """
    if isnan(value) or isnan(error):
        return nan, nan
    if kind == "percent":
        low, high = interval(value / 100, error / 100, "share", level)
        return 100 * low, 100 * high
    z = float(norm.isf((1 - level) / 2))
    if kind == "share":
        return _wilson(value, _samples_of(value, error), z)
    low, high = value - z * error, value + z * error
    return (max(low, 0.0), max(high, 0.0)) if kind == "positive" else (low, high)


def share_error(share: float, n: float) -> float:
    """Return the standard error of a share of n samples: half of Wilson's 95 % interval in units of 1.96.

    It is not 0 where the share is 0 or 1.

    Args:
        share: in [0, 1].
        n: samples; with both sides random ``nm / (n + m)``.

    Example:
        >>> round(share_error(0.5, 400), 4), round(share_error(1.0, 400), 4)
        (0.0249, 0.0024)
    """
    low, high = _wilson(share, n, Z)
    return (high - low) / 2 / Z


Z = float(norm.isf(0.025))


def student_error(error: float, freedom: int) -> float:
    """Return a standard error that few values have shown as it is in intervals: ``±1.96`` of it are those of Student's
    t.

    Args:
        error: as it was found.
        freedom: degrees of freedom, at least 1: one less than the values that it was found of.

    Example:
        >>> round(student_error(1.0, 19), 3), round(student_error(1.0, 1), 1)
        (1.068, 6.5)
    """
    return error * float(t.isf(0.025, freedom)) / Z


def _wilson(share: float, n: float, z: float) -> tuple[float, float]:
    u = z * z / n if n else inf
    if u == inf:
        return 0.0, 1.0
    centre, half = (share + u / 2) / (1 + u), sqrt(u * share * (1 - share) + u * u / 4) / (1 + u)
    return max(0.0, centre - half), min(1.0, centre + half)


def _samples_of(share: float, error: float) -> float:
    """Return the n of which :func:`share_error` made an error: a root of a quadratic; 0 where it is that of none."""
    squared = (error * Z) ** 2
    if squared == 0:
        return inf
    if squared >= 0.25:
        return 0.0
    a, b, c = squared - 0.25, 2 * squared - share * (1 - share), squared
    return Z * Z * (sqrt(b * b / 4 - a * c) - b / 2) / c
