"""Checks of arguments, where they are given and not where they are used; and lists of them in one text, taken apart."""

from __future__ import annotations

from math import isfinite
from numbers import Integral, Real
from typing import Any, TypeGuard

OPENING, CLOSING = "([{", ")]}"


def check_integer(name: str, value: Any, least: int, most: int | None = None, *, optional: bool = False) -> None:
    """Raise unless ``value`` is an integer, of Python's or NumPy's, of at least ``least``; a bool is none.

    Raises:
        TypeError: where it is no integer.
        ValueError: where it is out of bounds.

    Example:
        >>> check_integer("subsets", 100.0, least=1)
        Traceback (most recent call last):
        TypeError: subsets: expected an integer, got 100.0. Remedy: subsets=100.
    """
    if value is None and optional:
        return
    if not _is_number(value, Integral):
        is_whole = isinstance(value, float) and value.is_integer()
        remedy = f" Remedy: {name.split()[-1]}={value:.0f}." if is_whole else ""
        raise TypeError(f"{name}: expected an integer{' or None' if optional else ''}, got {value!r}.{remedy}")
    if value < least or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"{least} to {most}"
        raise ValueError(f"{name}: expected {bounds}, got {value}.")


def check_real(name: str, value: Any, *, above: float | None = None, least: float | None = None) -> None:
    """Raise unless ``value`` is a finite number, greater than ``above`` or of at least ``least``; a bool is none.

    Raises:
        TypeError: where it is no number.
        ValueError: where it is not finite, or out of bounds.
    """
    if not _is_number(value, Real):
        raise TypeError(f"{name}: expected a number, got {value!r}.")
    if above is not None and not value > above:
        raise ValueError(f"{name}: expected a number greater than {above:g}, got {value}.")
    if not isfinite(value) or (least is not None and value < least):
        bound = "" if least is None else f" of at least {least:g}"
        raise ValueError(f"{name}: expected a finite number{bound}, got {value}.")


def _is_number(value: Any, kind: type) -> TypeGuard[Any]:
    """Return whether a value is a number of a kind, of Python's, NumPy's or another library's; a bool is none."""
    return isinstance(value, kind) and not isinstance(value, bool)


def check_flag(name: str, value: Any) -> None:
    """Raise TypeError unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected True or False, got {value!r}.")


def split_outside(text: str, separator: str) -> list[str]:
    """Return the parts of a text between separators that stand outside of brackets and quotes.

    Example:
        >>> split_outside("fid,ndb(sizes=(1,2)),kid", ",")
        ['fid', 'ndb(sizes=(1,2))', 'kid']
    """
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth = max(0, depth + (character in OPENING) - (character in CLOSING))
        if character == separator and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return parts
