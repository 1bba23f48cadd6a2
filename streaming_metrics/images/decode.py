"""Decoding of image files: their bytes become uint8 RGB as they are stored, not colour-managed, turned where asked for.

Grey and palette images are spread to RGB, alpha is dropped, 16 bits are rounded to 8, the first frame stands for all:
what ``PIL.Image.convert("RGB")`` gives, but for 16 bits, which that clips (grey), truncates (colour) or takes for 8
(colours apart in an uncompressed TIFF). 16 bits of CMYK, of premultiplied alpha, of JPEG 2000, of AVIF and of colours
apart in a compressed TIFF are brought to 8 by their decoders.
"""

from __future__ import annotations

import io
import sys
import warnings
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, IMAGELENGTH, IMAGEWIDTH, TiffImageFile
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

ORIENTATION = 0x0112
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM", "AVIF", "JPEG2000")
"""What their bytes may be: PIL knows others, one of which (EPS) it hands to another program."""
GREY_ALPHA = "LA;16B"
SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
OTHER_HALF = {
    f"{colours};16{order}": f"{colours};16{other}"
    for colours in ("RGB", "RGBX", "RGBA", *"RGBA")
    for order, other in SWAPPED.items()
} | {GREY_ALPHA: "RGBA"}
"""Raw modes of 16 bits a channel, and those that give the lower bytes; of grey with alpha, a pixel's four bytes."""


class Unreadable(ValueError):
    """One image of a source does not read; the others may."""


def decode(content: bytes, *, upright: bool = False) -> Tensor:
    """Return the image in a file's bytes, uint8 ``(3, H, W)``.

    Args:
        content: the bytes.
        upright: turn it as EXIF says. PIL turns a TIFF either way.

    Raises:
        Unreadable: where it is none, truncated or damaged, or of a kind without a usual range (float, 32 bits).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with reads_as_image(content) as image:
            pixels = _rounded(image, content) if _is_deep(image) else to_tensor(image)
            return turned(pixels, orientation_of(image)) if upright else pixels


@contextmanager
def reads_as_image(content: bytes) -> Iterator[Image.Image]:
    """Yield the image in some bytes, opened and not yet decoded; raise Unreadable for what goes wrong meanwhile."""
    try:
        with _opened(content) as image:
            yield image
    except UnidentifiedImageError as error:
        raise Unreadable(f"no image of a known kind{'' if content else ', an empty file'}") from error
    except Exception as error:  # each of PIL's readers has its own for what it cannot read
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def size_of(image: Image.Image) -> tuple[int, int]:
    """Return the width and height that an image has when it is decoded: PIL before 11 turns a TIFF's only then."""
    if not isinstance(image, TiffImageFile) or image.tag_v2.get(ORIENTATION) not in range(5, 9):
        return image.size
    return image.tag_v2[IMAGELENGTH], image.tag_v2[IMAGEWIDTH]


def orientation_of(image: Image.Image) -> int:
    """Return how EXIF says that an image is to be turned, 1 to 8; 1 for not at all, and of a TIFF, which PIL turns."""
    if isinstance(image, TiffImageFile):
        return 1
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # PIL has several for damaged EXIF, which hides no pixel
        return 1
    return orientation if orientation in range(1, 9) else 1


def turned(pixels: Tensor, orientation: int) -> Tensor:
    """Return an image ``(3, H, W)`` as EXIF's orientation, 1 to 8, says that it is to be shown."""
    pixels = pixels.transpose(1, 2) if orientation >= 5 else pixels
    flips = {2: (2,), 3: (1, 2), 4: (1,), 6: (2,), 7: (1, 2), 8: (1,)}
    return pixels.flip(flips.get(orientation, ())).contiguous()


def _opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content), formats=_formats())
    if isinstance(image, TiffImageFile) and set(image.tag_v2.get(BITSPERSAMPLE, ())) == {16}:
        order = "L" if content.startswith(b"II") else "B"
        image.tile = [  # pyright: ignore
            _with_raw_mode(part, f"{_raw_mode(part)};16{order}") if _raw_mode(part) in tuple("RGBA") else part
            for part in image.tile
        ]
    return image


def _is_deep(image: Image.Image) -> bool:
    """Return whether an image that is opened and not yet read has 16 bits a channel, of which PIL keeps the upper 8."""
    return bool(image.tile) and all(_raw_mode(part) in OTHER_HALF for part in image.tile)  # pyright: ignore


def _rounded(image: Image.Image, content: bytes) -> Tensor:
    """Return an image of 16 bits a channel, rounded: read a second time for the lower bytes.

    What PIL unpacks is the upper byte of each number; in the other byte order that is the lower one.
    """
    with _opened(content) as again:
        again.tile = [_with_raw_mode(part, OTHER_HALF[_raw_mode(part)]) for part in again.tile]  # pyright: ignore
        if _raw_mode(image.tile[0]) == GREY_ALPHA:  # pyright: ignore
            upper, lower = (np.asarray(again)[..., [i] * 3] for i in (0, 1))
        else:
            upper, lower = (np.asarray(half)[..., :3] for half in (image, again))
    eight = np.rint((upper.astype(np.uint16) * 256 + lower) / 257).astype(np.uint8)
    return torch.from_numpy(eight.transpose(2, 0, 1).copy())


def _raw_mode(part: Any) -> str:
    """Return how a decoder's output is unpacked; it is the first of its arguments, or the only one."""
    return part[3] if isinstance(part[3], str) else str(part[3][0]) if part[3] else ""


def _with_raw_mode(part: Any, raw_mode: str) -> Any:
    args = raw_mode if isinstance(part[3], str) else (raw_mode, *part[3][1:])
    return part._replace(args=args) if hasattr(part, "_replace") else (*part[:3], args)


@cache
def _formats() -> tuple[str, ...]:
    """Return those of :data:`FORMATS` that this PIL was built with."""
    Image.init()
    return tuple(kind for kind in FORMATS if kind in Image.OPEN)


def to_tensor(image: Image.Image) -> Tensor:
    """Return a PIL image as uint8 ``(3, H, W)``."""
    rgb = np.asarray(_eight_bits(image).convert("RGB"))
    return torch.from_numpy(rgb.transpose(2, 0, 1).copy())


def _eight_bits(image: Image.Image) -> Image.Image:
    if not image.mode.startswith(("I", "F")):
        return image
    pixels = np.asarray(image)
    if pixels.dtype.kind == "f" or pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError(f"expected 8 or 16 bits a channel, got {pixels.dtype}")
    return Image.fromarray(np.rint(pixels / 257).astype(np.uint8))
