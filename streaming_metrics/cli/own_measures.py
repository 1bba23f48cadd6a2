"""Measures of a user's own on the command line: ``package.module:Class(k=3)``, imported and named by their labels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from streaming_metrics.arguments import split_outside

if TYPE_CHECKING:
    from streaming_metrics.measures import Measure

OWN = re.compile(r"\s*([A-Za-z_][\w.]*:[A-Za-z_]\w*)(.*)", re.DOTALL)


def by_label(text: str) -> str:
    """Return a list of measures in which each ``package.module:Class`` is imported and stands by its label.

    Raises:
        FileNotFoundError: where there is no such module or class.
        TypeError: where it is no measure with a label of its own.

    Example:
        >>> by_label("kid(subset_size=500),streaming_metrics.measures.prdc:PRDC(k=3)")
        'kid(subset_size=500),prdc(k=3)'
    """
    return ",".join(_by_label(one) for one in split_outside(text, ","))


def own_measure(text: str) -> type[Measure]:
    """Return the class that ``package.module:Class`` stands for, imported; see :func:`by_label` for what it raises."""
    from streaming_metrics.images import imported
    from streaming_metrics.measures.registry import find_class, labels

    cls = imported(text.strip())
    label = getattr(cls, "label", None)
    if not isinstance(label, str) or find_class(label) is not cls:
        raise TypeError(
            f"measures: expected {text.strip()} to be a subclass of Measure with a label of its own, got {cls!r}. "
            f"Remedy: label = '…' in the class, none of {', '.join(labels())}."
        )
    return cls


def _by_label(one: str) -> str:
    match = OWN.fullmatch(one)
    return one if match is None else own_measure(match[1]).label + match[2]
