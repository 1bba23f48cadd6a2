"""Measures by the names that signatures give them: ``kid(subset_size=500)`` and back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import fields
from typing import Any, TypeAlias

from streaming_metrics.extractors.names import lookup
from streaming_metrics.measures.base import Measure, digest_of

OneGiven: TypeAlias = Measure | type[Measure] | str
MeasuresGiven: TypeAlias = OneGiven | Iterable[OneGiven]
"""What users may give as ``measures=``."""
ONE = re.compile(r"\s*([A-Za-z0-9_-]+)\s*(?:\(([^()]*)\))?\s*(?:,|$)")


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
        found.append(_measure(match[1].lower(), match[2] or "", parts or {}))
        position = match.end()
    return found


def as_measures(given: object) -> list[Measure]:
    """Return the measures that ``measures=`` stands for: one or several; each a measure, its class or its name.

    A list of measures that Hydra has made into nodes of OmegaConf is taken for what they were.

    Raises:
        TypeError: where something else is among them; for a set, whose order differs between ranks.
        ValueError: where there is none, or a name is not known.

    Example:
        >>> from streaming_metrics.measures import FID, PRDC
        >>> [measure.describe() for measure in as_measures([FID, PRDC(k=3), "kid(subset_size=50)"])]
        ['fid', 'prdc(k=3)', 'kid(subset_size=50)']
    """
    given = _without_omegaconf(given)
    several = given.values() if isinstance(given, Mapping) else given
    if isinstance(given, (str, type, Set)) or not isinstance(several, Iterable):
        several = [given]
    found = [measure for one in several for measure in _measures(one)]
    if not found:
        raise ValueError("measures: expected at least one, e.g. [FID()], got none.")
    return found


def reported_keys(measures: Any, tags: Any) -> tuple[dict[str, str], ...]:
    taken: set[str] = set()
    found = []
    for measure, tag in zip(measures, tags):
        keys = {scalar.key: scalar.reported(tag) for scalar in measure.scalars}
        twice = sorted(taken & set(keys.values()))
        if twice:
            raise ValueError(f"Two measures report {twice[0]!r}. Remedy: one metric for each, in a MetricCollection with prefixes.")
        taken |= set(keys.values())
        found.append(keys)
    return tuple(found)


def parameters_of(cls: type[Measure]) -> list[str]:
    """Return the names of a measure's parameters."""
    return [f.name for f in fields(cls) if f.repr]  # pyright: ignore[reportArgumentType]


def bytes_in(measures: Iterable[Measure]) -> dict[str, str]:
    """Return the parameters of bytes, in hex, by the digests that :meth:`Measure.describe` gives instead of them."""
    values = [getattr(measure, name) for measure in measures for name in parameters_of(type(measure))]
    return {digest_of(value): value.hex() for value in values if isinstance(value, bytes)}


def _measures(one: object) -> list[Measure]:
    one = _without_omegaconf(one)
    if isinstance(one, Measure):
        return [one]
    if isinstance(one, str):
        return measures_of(one)
    if isinstance(one, type) and issubclass(one, Measure):
        return [one()]
    raise TypeError(
        f"measures: expected measures, e.g. [FID(), PRDC(k=3)] or 'fid,prdc(k=3)', got {one!r} among them. "
        "Remedy: a list of them; in a configuration, _target_: streaming_metrics.FID, or its name."
    )


def _without_omegaconf(given: object) -> object:
    """Return what a node of OmegaConf was made of, and all else as it is."""
    if type(given).__module__.partition(".")[0] != "omegaconf":
        return given
    from omegaconf import OmegaConf

    return OmegaConf.to_object(given)


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
