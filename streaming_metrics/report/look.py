"""Look: a section of the report with pictures of either side, on cards, on a map, or in a strip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from streaming_metrics.images.shrink import shrunk
from streaming_metrics.report.pictures import data_uri, is_small

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from streaming_metrics.report.dots import Dots
    from streaming_metrics.report.gallery import Section

SIDE = 64


class Picture(NamedTuple):
    """A picture: a data URI, what it is in words, whether its pixels show."""

    uri: str
    words: str
    is_small: bool

    @classmethod
    def of(cls, image: Tensor, words: str, side: int = SIDE) -> Picture:
        """Return an image ``(3, H, W)`` uint8, no larger than ``side``."""
        return cls(data_uri(shrunk(image[None], side)[0]), words, is_small(image))


class Card(NamedTuple):
    """Card of a mode or a unit: its name, what stands out of it, lines of text, pictures of either side."""

    title: str
    flag: str
    lines: tuple[str, ...]
    real: tuple[Picture, ...]
    fake: tuple[Picture, ...]


class Mark(NamedTuple):
    """Mark on a map: its place in per cent, whether it is of a generated image, a picture where there is room."""

    left: float
    bottom: float
    is_fake: bool
    picture: Picture | None


@dataclass(frozen=True)
class Look:
    """Section of a report: a heading, what it shows, and a chart, cards, a map, a strip, dots or pictures with values,
    as the case may be.
    """

    title: str
    text: str
    chart: str = ""
    words: str = ""
    cards: tuple[Card, ...] = ()
    marks: tuple[Mark, ...] = ()
    strip: Picture | None = None
    dots: Dots | None = None
    sections: tuple[Section, ...] = ()


def pictures_of(ids: Iterable[Tensor], images: Mapping[int, Tensor], words: str) -> tuple[Picture, ...]:
    """Return the images of these ids that there are."""
    return tuple(Picture.of(images[number], words) for number in map(int, ids) if number in images)


def signed(value: float) -> str:
    """Return a number with its sign and two digits.

    Example:
        >>> signed(-0.01234), signed(3.0)
        ('−0.012', '+3.0')
    """
    return f"{value:+#.2g}".replace("-", "−")
