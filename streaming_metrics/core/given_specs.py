"""Widths of given features, where there is no extractor that says them: of one network, or of several by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from streaming_metrics.arguments import check_integer
from streaming_metrics.features import Spec
from streaming_metrics.statistics.base import check_column

NAME = re.compile(r"[A-Za-z0-9_-]+")
USUAL = {"pool": "num_features", "logits": "num_classes"}
"""The columns whose widths have arguments of their own."""


def given_specs(num_features: Any, num_classes: Any, widths: Mapping[str, Any]) -> dict[str, Spec]:
    """Return the widths of each given network's features, by its name; of one without a name, by the empty one.

    Args:
        num_features, num_classes: of the pool and of logits; mappings by name where there are several networks.
        widths: of further columns, by column; where there are several networks, of each by its name.

    Raises:
        TypeError, ValueError: where some are by name and others are not, or one is no width of a column.

    Example:
        >>> given_specs({"clip": 512}, None, {"clip": {"text": 512}})
        {'clip': Spec(num_features=512, num_classes=None, widths={'text': 512})}
    """
    if not isinstance(widths, Mapping):
        raise TypeError(f"widths: expected widths by column, e.g. {{'text': 512}}, got {widths!r}.")
    given: list[Any] = [num_features or {}, num_classes or {}]
    if not any(isinstance(one, Mapping) and one for one in (*given, *widths.values())):
        return {"": Spec(num_features, num_classes, _checked_widths(widths))}
    if not all(isinstance(one, Mapping) for one in (*given, *widths.values())):
        raise TypeError(
            f"num_features, num_classes, widths: expected all by the networks' names, got {num_features}, "
            f"{num_classes} and {widths}. Remedy: num_features={{'clip': 512}}, widths={{'clip': {{'text': 512}}}}."
        )
    features, classes = given
    names = dict.fromkeys(check_name(name) for one in (features, classes, widths) for name in one)
    return {n: Spec(features.get(n), classes.get(n), _checked_widths(widths.get(n, {}))) for n in names}


def _checked_widths(widths: Mapping[str, Any]) -> dict[str, int]:
    """Return widths of columns; raise where they are no such."""
    for column, width in widths.items():
        check_column(column)
        if column in USUAL:
            raise ValueError(
                f"widths: expected further columns, got {column!r}. Remedy: {USUAL[column]}={width}, which says it."
            )
        check_integer(f"widths of {column}", width, least=1)
    return dict(widths)


def check_name(name: Any) -> str:
    """Return the name of a network; raise ValueError unless it can be one."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"extractor: expected names of letters, digits, - and _, got {name!r}.")
    return name
