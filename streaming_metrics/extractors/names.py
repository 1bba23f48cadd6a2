"""Look a name up in a table; where it is missing, offer the nearest ones."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

T = TypeVar("T")


def lookup(table: Mapping[str, T], name: str, kind: str) -> T:
    """Return ``table[name]``.

    Raises:
        ValueError: where the table has no such name; it offers the nearest ones and the whole list.

    Example:
        >>> lookup({"one": 1, "two": 2}, "tow", "number")
        Traceback (most recent call last):
        ...
        ValueError: Unknown number 'tow'. Did you mean 'two'? There are: one, two.
    """
    if name not in table:
        raise unknown(name, kind, nearby=table, listed=table)
    return table[name]


def unknown(name: str, kind: str, nearby: Iterable[str], listed: Iterable[str]) -> ValueError:
    """Return the error for a name that is not among ``nearby``; ``listed`` is what the message lists.

    Names are compared after the last slash, so ``resnet50`` is near ``torchvision/resnet50``.
    """
    last = {candidate.rpartition("/")[2]: candidate for candidate in nearby}
    near = " or ".join(repr(last[match]) for match in get_close_matches(name.rpartition("/")[2], list(last)))
    hint = f"Did you mean {near}? " if near else ""
    return ValueError(f"Unknown {kind} {name!r}. {hint}There are: {', '.join(listed)}.")
