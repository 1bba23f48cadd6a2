"""Measures of a user's own on the command line: ``package.module:Class(k=3)``, imported and named by their labels."""

from __future__ import annotations

import re

from streaming_metrics.arguments import split_outside

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


def _by_label(one: str) -> str:
    match = OWN.fullmatch(one)
    if match is None:
        return one
    from streaming_metrics.images import imported
    from streaming_metrics.measures.registry import known_measures

    cls = imported(match[1])
    known = known_measures()
    label = getattr(cls, "label", None)
    if not isinstance(label, str) or known.get(label) is not cls:
        raise TypeError(
            f"measures: expected {match[1]} to be a subclass of Measure with a label of its own, got {cls!r}. "
            f"Remedy: label = '…' in the class, none of {', '.join(known)}."
        )
    return label + match[2]
