"""Dots: estimates with their intervals along one scale, a row each, drawn by the page so that they fit a phone."""

from __future__ import annotations

from math import ceil, floor, isfinite, log10
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Estimated = Mapping[str, Any] | None

NONE = "–"


class Dot(NamedTuple):
    """Place of an estimate and of its interval's ends, in per cent of the scale; hollow for a second kind of value."""

    at: float
    low: float
    high: float
    is_hollow: bool


class Row(NamedTuple):
    """Row of dots: what is estimated, its dots, and the first of them in digits."""

    name: str
    dots: tuple[Dot, ...]
    value: str
    interval: str


class Tick(NamedTuple):
    """Tick of a scale: its place in per cent, and what stands there."""

    at: float
    text: str


class Dots(NamedTuple):
    """Estimates along one scale.

    Args:
        rows: an estimate each.
        ticks: of the scale below them.
        middle: place of a line that means something, e.g. chance; None for none.
        unit: what the scale counts.
    """

    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    middle: float | None
    unit: str

    @classmethod
    def of(
        cls,
        rows: Sequence[tuple[str, Sequence[Estimated]]],
        unit: str,
        *,
        span: tuple[float, float] | None = None,
        middle: float | None = None,
        places: int = 2,
    ) -> Dots:
        """Return rows of estimates, ``{"value": …, "low": …, "high": …}`` each, None or null where it cannot be told.

        Args:
            rows: a name with its estimates, the second one hollow.
            unit: what the scale counts.
            span: ends of the scale; None takes what the intervals reach.
            middle: a value with a line of its own.
            places: digits behind the point.
        """
        reached = [*_ends(one for _, several in rows for one in several), *([] if middle is None else [middle])]
        steps = ticks_of(*(span or _span(reached)))
        start, end = steps[0], steps[-1]

        def place(value: float) -> float:
            return round(100 * min(1.0, max(0.0, (value - start) / (end - start))), 2)

        made = tuple(Row(name, _dots(several, place), *digits(several[0], places)) for name, several in rows)
        ticks = tuple(Tick(place(value), f"{value:g}".replace("-", "−")) for value in steps)
        return cls(made, ticks, None if middle is None else place(middle), unit)

    @property
    def words(self) -> str:
        """All of it in words."""
        return f"{self.unit}: " + "; ".join(f"{row.name} {row.value} {row.interval}".strip() for row in self.rows)


def digits(one: Estimated, places: int = 2) -> tuple[str, str]:
    """Return an estimate and its interval in digits; a dash where it cannot be told.

    Example:
        >>> digits({"value": 3.414, "low": 3.2, "high": 3.621}), digits({"value": -1.0, "low": None, "high": None})
        (('3.41', '3.20 to 3.62'), ('−1.00', ''))
        >>> digits(None)
        ('–', '')
    """
    value, low, high = ((one or {}).get(part) for part in ("value", "low", "high"))
    texts = [NONE if part is None else f"{part:.{places}f}".replace("-", "−") for part in (value, low, high)]
    return texts[0], "" if low is None or high is None else f"{texts[1]} to {texts[2]}"


def ticks_of(low: float, high: float, about: int = 4) -> list[float]:
    """Return round values at equal steps that hold a span between them.

    Example:
        >>> ticks_of(1, 5), ticks_of(-0.93, 1.2)
        ([1.0, 2.0, 3.0, 4.0, 5.0], [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5])
    """
    if not high > low:
        low, high = floor(low), floor(low) + 1
    rough = (high - low) / about
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= 0.75 * rough)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def _dots(several: Sequence[Estimated], place: Any) -> tuple[Dot, ...]:
    found = []
    for order, one in enumerate(several):
        if one is not None and one.get("value") is not None:
            at, low, high = (one["value"], *(one.get(end) for end in ("low", "high")))
            ends = (at, at) if low is None or high is None else (low, high)
            found.append(Dot(place(at), place(ends[0]), place(ends[1]), bool(order)))
    return tuple(found)


def _ends(estimates: Iterable[Estimated]) -> list[float]:
    values = [one.get(part) for one in estimates if one for part in ("value", "low", "high")]
    return [value for value in values if value is not None and isfinite(value)]


def _span(values: Sequence[float]) -> tuple[float, float]:
    return (min(values), max(values)) if values else (0.0, 1.0)
