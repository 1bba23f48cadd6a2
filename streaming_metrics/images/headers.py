"""Headers of image files: size, mode, kind and orientation, read from their first bytes, without decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streaming_metrics.images.decode import Unreadable, orientation_of, reads_as_image, size_of

if TYPE_CHECKING:
    from streaming_metrics.images.base import Images

FIRST = 1 << 14
"""Bytes that hold the header of most files."""


class Header(NamedTuple):
    """Header of an image file.

    Args:
        width, height: as the file stores them; of a TIFF as PIL turns them.
        mode: PIL's, e.g. ``"RGB"``.
        is_turned: whether EXIF says that the image is to be shown otherwise than it is stored.
    """

    width: int
    height: int
    mode: str
    is_turned: bool


def header_of(images: Images, i: int) -> Header | None:
    """Return the header of image i; None where it is of no file that can be looked into.

    Raises:
        Unreadable: where it is none, or cut short.
    """
    content = images.head(i, FIRST)
    if content is None:
        return None
    try:
        return parsed(content)
    except Unreadable:
        whole = images.head(i) if len(content) == FIRST else None
        if whole is None:
            raise
        return parsed(whole)


def parsed(content: bytes) -> Header:
    """Return the header that some bytes begin with; raise Unreadable where they hold none.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> stream = io.BytesIO()
        >>> Image.new("L", (4, 2)).save(stream, "png")
        >>> parsed(stream.getvalue()[:50])
        Header(width=4, height=2, mode='L', is_turned=False)
    """
    with reads_as_image(content) as image:
        in_header = image.format != "PNG" or "exif" in image.info  # else PIL decodes it, to look behind the pixels
        return Header(*size_of(image), image.mode, in_header and orientation_of(image) != 1)
