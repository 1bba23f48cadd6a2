"""Digits: values with their errors and intervals, in as many digits as the error bears."""

from __future__ import annotations

from math import floor, isfinite, isnan, log10

NONE = "–"
MOST_PLACES = 9


def with_error(value: float, error: float | None) -> str:
    """Return a value and its standard error; the value in six digits where it has none.

    Example:
        >>> with_error(12.3456, 0.4123), with_error(12.3456, 0.1412), with_error(0.5, None), with_error(float("nan"), 1)
        ('12.3 ± 0.4', '12.35 ± 0.14', '0.5', '–')
    """
    if isnan(value):
        return NONE
    if error is None or not _bears(error):
        return f"{value:.6g}"
    places = _places(error, 2 if f"{error:.0e}"[0] == "1" else 1)
    return f"{value:.{places}f} ± {error:.{places}f}"


def rounded(value: float, error: float, sign: str = "") -> str:
    """Return a value to two digits of its error.

    Example:
        >>> rounded(-1.23456, 0.0412), rounded(0.5, 0.2, "+"), rounded(0.0, 0.0)
        ('−1.235', '+0.50', '0')
    """
    if not value:
        return "0"
    told = f"{value:{sign}.{_places(error, 2)}f}" if _bears(error) else f"{value:{sign}.4g}"
    return told.replace("-", "−")


def _bears(error: float) -> bool:
    return isfinite(error) and error > 0


def _places(error: float, digits: int) -> int:
    """Return after which place a number ends of which so many digits of the error are told."""
    return min(max(digits - 1 - floor(log10(error)), 0), MOST_PLACES)
