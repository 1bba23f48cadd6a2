"""Measures by the names that signatures give them: ``kid(subset_size=500)`` and back."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from streaming_metrics.extractors.names import lookup
from streaming_metrics.measures.base import Measure, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ONE = re.compile(r"\s*([a-z0-9_-]+)\s*(?:\(([^()]*)\))?\s*(?:,|$)")


def known_measures() -> dict[str, type[Measure]]:
    """Return the measures there are, by label; a subclass of one's own is one once it is imported."""
    return {cls.label: cls for cls in Measure.__subclasses__() if hasattr(cls, "label")}


def measures_of(text: str, parts: Mapping[str, str] | None = None) -> list[Measure]:
    """Return the measures that a comma-separated list names, each with the parameters that are not its defaults.

    Args:
        text: the list.
        parts: what digests in it stand for, see :func:`bytes_in`.

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
        found.append(_measure(match[1], match[2] or "", parts or {}))
        position = match.end()
    return found


def parameters_of(cls: type[Measure]) -> list[str]:
    """Return the names of a measure's parameters."""
    return [f.name for f in fields(cls) if f.repr]  # pyright: ignore[reportArgumentType]


def bytes_in(measures: Iterable[Measure]) -> dict[str, str]:
    """Return the parameters of bytes, in hex, by the digests that :meth:`Measure.describe` gives instead of them."""
    values = [getattr(measure, name) for measure in measures for name in parameters_of(type(measure))]
    return {digest_of(value): value.hex() for value in values if isinstance(value, bytes)}


def _measure(name: str, arguments: str, parts: Mapping[str, str]) -> Measure:
    cls = lookup(known_measures(), name, "measure")
    given = dict(_argument(part, name, parts) for part in arguments.split(",") if part.strip())
    for key in given:
        lookup(dict.fromkeys(parameters_of(cls)), key, f"parameter of {name}")
    return cls(**given)


def _argument(part: str, name: str, parts: Mapping[str, str]) -> tuple[str, Any]:
    key, equals, value = (piece.strip() for piece in part.partition("="))
    if not equals:
        raise ValueError(f"measures: expected {name}(parameter=value), got {name}({part}).")
    if value in parts:
        return key, bytes.fromhex(parts[value])
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return key, value
