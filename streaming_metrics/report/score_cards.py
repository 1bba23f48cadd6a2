"""Score cards: the latest values of a history, each with its error and what that is of, and which were the best."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from streaming_metrics.measures.keys import group_of, scalar_of
from streaming_metrics.plots.result_keys import arrow, column, leading, number, spread_of
from streaming_metrics.report import charts

if TYPE_CHECKING:
    from streaming_metrics.report.history import History


class Score(NamedTuple):
    """A value as a page shows it: digits, its spread, what is better, the best of all epochs, its measure's group, and
    of what its interval is one.
    """

    key: str
    name: str
    value: str
    spread: str
    better: str
    best: str
    group: str
    about: str = ""


def scores(history: History) -> list[Score]:
    """Return the latest values, and which were the best."""
    keys = leading(history.rows)
    names = charts.short_names(keys)
    return [_score(history, key, names[key]) for key in keys]


def _score(history: History, key: str, name: str) -> Score:
    better = arrow(key)
    of = spread_of(key, history.rows)
    value, spread = (column(history.rows, one)[-1] for one in (key, of))
    told = [(v, place) for place, v in enumerate(column(history.rows, key)) if isfinite(v)]
    best = ""
    if better and len(told) > 1:
        sign = 1 if better == "↓" else -1
        value_then, place = min(told, key=lambda one: (sign * one[0], one[1]))  # the first of equal ones
        is_latest = place == len(history.rows) - 1
        best = "best so far" if is_latest else f"best {number(value_then)}, epoch {history.moments[place]}"
    told = f"± {number(spread)}" if isfinite(spread) else ""
    return Score(key, name, number(value), told, better, best, group_of(key), _about(key, value, of, spread))


def _about(key: str, value: float, of: str, error: float) -> str:
    """Return the interval of a value in words, by its standard error; empty where it has none."""
    scalar = scalar_of(of)
    if not scalar.about or not isfinite(error):
        return ""
    low, high = scalar_of(key).interval(value, error)
    return f"95 %: {number(low)} to {number(high)}, {scalar.about}"
