"""Measures by the names that signatures give them: ``kid(subset_size=500)`` and back."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from typing import Any

from streaming_metrics.extractors.names import lookup
from streaming_metrics.measures.base import Measure

ONE = re.compile(r"\s*([a-z0-9_-]+)\s*(?:\(([^()]*)\))?\s*(?:,|$)")


def known_measures() -> dict[str, type[Measure]]:
    """Return the measures there are, by label; a subclass of one's own is one once it is imported."""
    return {cls.label: cls for cls in Measure.__subclasses__() if hasattr(cls, "label")}


def measures_of(text: str) -> list[Measure]:
    """Return the measures that a comma-separated list names, each with the parameters that are not its defaults.

    Raises:
        ValueError: where a name or a parameter is not known, or the text is no such list.

    Example:
        >>> from streaming_metrics.measures import FID
        >>> [measure.describe() for measure in measures_of("fid, kid(subset_size=50,subsets=None),prdc(k=3)")]
        ['fid', 'kid(subsets=None,subset_size=50)', 'prdc(k=3)']
    """
    found, position = [], 0
    while position < len(text):
        match = ONE.match(text, position)
        if match is None:
            raise ValueError(f"measures: expected a list like 'fid,kid(subset_size=500),prdc(k=3)', got {text!r}.")
        found.append(_measure(match[1], match[2] or ""))
        position = match.end()
    return found


def parameters_of(cls: type[Measure]) -> list[str]:
    """Return the names of a measure's parameters."""
    return [f.name for f in fields(cls) if f.repr]  # pyright: ignore[reportArgumentType]


def _measure(name: str, arguments: str) -> Measure:
    cls = lookup(known_measures(), name, "measure")
    given = dict(_argument(part, name) for part in arguments.split(",") if part.strip())
    for key in given:
        lookup(dict.fromkeys(parameters_of(cls)), key, f"parameter of {name}")
    return cls(**given)


def _argument(part: str, name: str) -> tuple[str, Any]:
    key, equals, value = (piece.strip() for piece in part.partition("="))
    if not equals:
        raise ValueError(f"measures: expected {name}(parameter=value), got {name}({part}).")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value
