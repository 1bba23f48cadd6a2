"""Recorded warnings: what was warned of while a number was made is kept beside it."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN: set[tuple[Any, ...]] = set()
"""Warnings that were given on and that Python's filters show but once."""
_FILTERS: list[Any] = []
"""The filters that said so: others begin anew, as Python's own memory does."""


@contextmanager
def recorded_warnings(give_on: bool = False) -> Iterator[list[str]]:
    """Yield a list that holds, on the way out, what users were warned of, each once.

    Args:
        give_on: whether the warnings are also given as they would be without this, else they are only kept.

    Example:
        >>> with recorded_warnings() as said:
        ...     warnings.warn("Few samples.")
        >>> said
        ['Few samples.']
    """
    said: list[str] = []
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield said
    finally:
        said += dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, UserWarning))
        for one in caught if give_on else ():
            _give_on(one)


def _give_on(one: warnings.WarningMessage) -> None:
    """Warn as often as Python would: its own memory is emptied by ``catch_warnings``, whatever the filters."""
    if list(warnings.filters) != _FILTERS:
        _FILTERS[:] = warnings.filters
        _SHOWN.clear()
    warning = str(one.message), one.category, one.filename, one.lineno
    if warning not in _SHOWN:
        remembered: dict[Any, Any] = {}
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno, registry=remembered)
        if remembered.keys() - {"version"}:
            _SHOWN.add(warning)
