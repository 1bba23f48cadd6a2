"""Options of a measure: read from text, and made what the annotations of its fields say, so that ``2`` is ``2.0``."""

from __future__ import annotations

import ast
import sys
from dataclasses import MISSING, fields
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = {"none": None, "true": True, "false": False}
NUMBERS: dict[type, type] = {int: Integral, float: Real}
"""What Python's and NumPy's numbers are, by the type that they are made."""


def options_of(cls: type) -> dict[str, Any]:
    """Return the type of every option of a measure, by name; ``Any`` where the annotation cannot be looked up.

    Example:
        >>> from streaming_metrics.measures import PRDC
        >>> options_of(PRDC)["capacity"]
        int | None
    """
    return {f.name: _annotation(cls, f.name) for f in fields(cls) if f.repr or f.name == "on"}


def needed_of(cls: type) -> list[str]:
    """Return the names of a measure's options that have no default."""
    return [f.name for f in fields(cls) if f.init and f.default is MISSING and f.default_factory is MISSING]


def typed(value: Any, kind: Any) -> Any:
    """Return a value as its annotation has it: a float for ``2``, a tuple for a list; Python's numbers for NumPy's.

    Raises:
        TypeError: where it is no such value.

    Example:
        >>> typed(2, float | None), typed([1, 2], tuple[float, ...]), typed(None, int | None)
        (2.0, (1.0, 2.0), None)
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _of_union(value, arguments)
    if origin is Literal and any(value == one and type(value) is type(one) for one in arguments):
        return value
    if tuple in (origin, kind) and isinstance(value, list | tuple):
        return _of_tuple(value, arguments)
    if kind in NUMBERS and isinstance(value, NUMBERS[kind]) and not isinstance(value, bool):
        return kind(value)
    if kind in (None, NoneType) and value is None:
        return None
    cls = kind if isinstance(kind, type) and origin is None else None  # Python 3.10 takes list[int] for a class too
    if kind is Any or (cls and cls not in NUMBERS and isinstance(value, cls)):
        return value
    if kind is Ellipsis or not (cls or origin in (Literal, tuple) or kind is None):
        return value  # an annotation that says nothing here; the measure itself checks its values
    raise TypeError(f"expected {name_of(kind)}, got {value!r}")


def parsed(text: str, kind: Any) -> Any:
    """Return the value that a text stands for, as its annotation has it.

    Raises:
        TypeError: where it stands for no such value.

    Example:
        >>> parsed("2", float), parsed("(1, 2)", tuple[int, ...]), parsed("improved", str), parsed("none", str | None)
        (2.0, (1, 2), 'improved', None)
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = WORDS.get(text.lower(), text)
    try:
        return typed(value, kind)
    except TypeError:
        if isinstance(value, str):
            raise
    try:
        return typed(text, kind)  # "3" where a text is expected
    except TypeError:
        raise TypeError(f"expected {name_of(kind)}, got {text}") from None


def unified(measure: Any) -> dict[str, Any]:
    """Return the options of a measure that are not yet what :func:`typed` makes of them.

    What is no value of its annotation is left as it is: the measure took it.

    Example:
        >>> from streaming_metrics.measures import KID
        >>> unified(KID(gamma=2, coef=1.0))
        {'gamma': 2.0}
    """
    changed = {}
    for name, kind in options_of(type(measure)).items():
        value = getattr(measure, name)
        try:
            better = typed(value, kind)
        except TypeError:
            continue
        if repr(better) != repr(value):
            changed[name] = better
    return changed


def name_of(kind: Any) -> str:
    """Return an annotation in words.

    Example:
        >>> name_of(int | None), name_of(Literal["a", "b"]), name_of(tuple[float, ...])
        ('int or None', "'a' or 'b'", 'tuple[float, ...]')
    """
    arguments = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(name_of, arguments))
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, arguments))
    if kind is NoneType:
        return "None"
    return kind.__name__ if isinstance(kind, type) and not arguments else str(kind)


def _of_union(value: Any, kinds: tuple[Any, ...]) -> Any:
    """Return a value as that kind has it which it already is of; else as the first that takes it."""
    tries: list[Callable[[Any], bool]] = [lambda kind: type(value) is kind, lambda kind: True]  # noqa: ARG005
    for is_tried in tries:
        for kind in filter(is_tried, kinds):
            try:
                return typed(value, kind)
            except TypeError:
                continue
    raise TypeError(f"expected {' or '.join(map(name_of, kinds))}, got {value!r}")


def _of_tuple(values: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    if not kinds or kinds[-1] is Ellipsis:
        return tuple(typed(value, kinds[0] if kinds else Any) for value in values)
    if len(values) != len(kinds):
        raise TypeError(f"expected {len(kinds)} values, got {values!r}")
    return tuple(map(typed, values, kinds))


def _annotation(cls: type, name: str) -> Any:
    home = next(base for base in cls.__mro__ if name in vars(base).get("__annotations__", {}))
    written = home.__annotations__[name]
    if not isinstance(written, str):
        return written
    try:
        return eval(written, dict(vars(sys.modules[home.__module__])), {})
    except Exception:  # a name that is imported for type checkers alone, or local to a function
        return Any
