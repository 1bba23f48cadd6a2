"""Rows of a table of sides: each score of several sides, with its error, and which of them is best."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from streaming_metrics.measures.keys import parse_key
from streaming_metrics.verdicts.digits import with_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Row(NamedTuple):
    """A score of each side: its key, what the sides have, and which of them are best."""

    key: str
    told: list[str]
    best: list[bool]


def error_of(key: str, scores: Iterable[str]) -> str | None:
    """Return the key of a score's standard error among scores; None where it has none.

    A spread that is no standard error, such as ``kid_std``, stays a score of its own.
    """
    leader = parse_key(key)
    parsed = ((other, parse_key(other)) for other in scores)
    return next((other for other, one in parsed if one.scalar.about and one.is_spread_of(leader)), None)


def rows_of(sides: Mapping[str, Mapping[str, float]]) -> list[Row]:
    """Return the scores of several sides, each with its error, and which is best."""
    every = list(dict.fromkeys(key for scores in sides.values() for key in scores))
    errors = {key: found for key in every if (found := error_of(key, every))}
    return [_row(key, errors.get(key), list(sides.values())) for key in every if key not in errors.values()]


def _row(key: str, error: str | None, sides: Sequence[Mapping[str, float]]) -> Row:
    values = [scores.get(key, float("nan")) for scores in sides]
    told = [with_error(value, scores.get(error) if error else None) for value, scores in zip(values, sides)]
    better, finite = parse_key(key).scalar.better, [value for value in values if isfinite(value)]
    best = (min if better == "lower" else max)(finite) if better and len(finite) > 1 else None
    return Row(key, told, [best is not None and value == best for value in values])
