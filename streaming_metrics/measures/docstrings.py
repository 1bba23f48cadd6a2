"""Docstrings of classes, read: their paragraphs and arguments, as Markdown. No class is imported for it."""

from __future__ import annotations

import re
from inspect import cleandoc

SECTION = re.compile(r"^(?:Args|Attributes|Raises|Warns|Example|Returns):$", re.MULTILINE)
ARGUMENTS = re.compile(r"^Args:\n((?:    .*\n?|\n)*)", re.MULTILINE)
ARGUMENT = re.compile(r"^    (\w[\w, ]*): ", re.MULTILINE)


def paragraphs_of(docstring: str) -> list[str]:
    r"""Return the paragraphs before a docstring's sections, as Markdown, each as one line, or a line an item.

    Example:
        >>> paragraphs_of("Sum of\n``a`` and b.\n\nArgs:\n    a: one.")
        ['Sum of `a` and b.']
    """
    prose = SECTION.split(cleandoc(docstring))[0]
    return [as_markdown(_unwrapped(paragraph)) for paragraph in prose.strip().split("\n\n")]


def arguments_of(docstring: str) -> dict[str, str]:
    r"""Return what a docstring says of arguments, as Markdown, by their names.

    Example:
        >>> arguments_of("Sum.\n\nArgs:\n    a, b: numbers,\n        as ``float``.")
        {'a': 'numbers, as `float`.', 'b': 'numbers, as `float`.'}
    """
    found = ARGUMENTS.search(cleandoc(docstring))
    _, *told = ARGUMENT.split(found[1]) if found else [""]
    texts = zip(told[::2], (as_markdown(" ".join(text.split())) for text in told[1::2]))
    return {name: text for names, text in texts for name in names.split(", ")}


def as_markdown(text: str) -> str:
    """Return a line of a docstring as Markdown.

    Example:
        >>> as_markdown("``x`` as :class:`~house.room.Thing` has it")
        '`x` as `Thing` has it'
    """
    return re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text).replace("``", "`")


def _unwrapped(paragraph: str) -> str:
    """Return a paragraph as one line, or as a line for each item where it is a list."""
    return "\n".join(" ".join(item.split()) for item in re.split(r"\n(?=- )", paragraph))
