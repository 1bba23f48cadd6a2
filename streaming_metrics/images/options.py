"""Options of a source: what stands behind its name and a question mark, ``samples.npy?range=-1,1&layout=chw``."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from streaming_metrics.images.conversion import checked_range
from streaming_metrics.images.remote import WEB

if TYPE_CHECKING:
    from collections.abc import Mapping

Layout: TypeAlias = Literal["chw", "hwc", "hw"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
"""How the pixels of one image lie: channels first, channels last, grey without an axis of channels."""
WORDS = {"true": True, "false": False, "none": None}


def split_options(text: str) -> tuple[str, dict[str, str]]:
    """Return a source's name, and its options by name.

    There are none where the text as a whole is a path that exists, or an address of the web, whose query is its own.

    Raises:
        ValueError: where an option stands twice.

    Example:
        >>> split_options("torchvision:CIFAR10?train=true&root=data/a+b")
        ('torchvision:CIFAR10', {'train': 'true', 'root': 'data/a+b'})
        >>> split_options("runs/img?.png")
        ('runs/img?.png', {})
    """
    found = re.fullmatch(r"(.+?)\?([A-Za-z_]\w*=.*)", text, re.S)
    if not found or text.startswith(WEB) or Path(text).exists():
        return text, {}
    pairs = [part.partition("=") for part in found[2].split("&")]
    options = {name: value for name, _, value in pairs}
    if len(options) < len(pairs):
        raise ValueError(f"{text}: expected each option once, got {found[2]!r}. Remedy: leave one of them.")
    return found[1], options


def typed(value: str) -> Any:
    """Return what an option's text stands for: a literal of Python, true, false or none in small letters, else a text.

    Example:
        >>> typed("true"), typed("10"), typed("(3, 8, 8)"), typed("data")
        (True, 10, (3, 8, 8), 'data')
    """
    try:
        return WORDS[value] if value in WORDS else ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value


@dataclass(frozen=True)
class Options:
    """What a user tells of a source of pixels.

    Args:
        value_range: the floats that stand for black and white; None where none are told.
        layout: how the pixels of one image lie, where a shape may be read in several ways.
        label: the column of a table that holds its classes.

    Example:
        >>> Options.of({"range": "-1,1"}, ("range", "layout"), "x.npy")
        Options(value_range=(-1.0, 1.0), layout=None, label=None)
    """

    value_range: tuple[float, float] | None = None
    layout: Layout | None = None
    label: str | None = None

    @classmethod
    def of(cls, told: Mapping[str, str], known: tuple[str, ...], where: str) -> Options:
        """Return options from their texts.

        Args:
            told: the texts, by name.
            known: the options that this kind of source has.
            where: names the source in errors.

        Raises:
            ValueError: for an option that the source does not have, or a value that it cannot have.
        """
        if others := sorted(told.keys() - set(known)):
            raise ValueError(f"{where}: expected the options {', '.join(known) or 'none'}, got {', '.join(others)}.")
        layouts: dict[str, Layout] = {layout: layout for layout in LAYOUTS}
        layout = layouts.get(told.get("layout", ""))
        if "layout" in told and layout is None:
            raise ValueError(f"{where}: expected layout= one of {', '.join(LAYOUTS)}, got {told['layout']!r}.")
        return cls(_range(told["range"], where) if "range" in told else None, layout, told.get("label"))

    def __str__(self) -> str:
        told = {"range": self.value_range and "{:.17g},{:.17g}".format(*self.value_range), "layout": self.layout}
        return "&".join(f"{name}={value}" for name, value in {**told, "label": self.label}.items() if value)


def _range(text: str, where: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(","))
        return checked_range((low, high))
    except ValueError as error:
        raise ValueError(
            f"{where}: expected range= what stands for black and for white, low < high, got {text!r}. "
            "Remedy: range=0,1 or range=-1,1."
        ) from error
