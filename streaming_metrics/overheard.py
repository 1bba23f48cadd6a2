"""Warnings that travel with a number: what was warned of while it was made is kept beside it."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_GIVEN_ON: dict[Any, Any] = {}
"""What Python's filters remember of warnings that were given on, so that each is shown as often as it would be."""


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
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno, registry=_GIVEN_ON)
