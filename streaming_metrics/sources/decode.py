"""The bytes of an image file become uint8 RGB as they are stored: not rotated by EXIF, not colour-managed.

Grey and palette images are spread to RGB, alpha is dropped, 16 bits are rounded to 8, the first frame stands for all:
what ``PIL.Image.convert("RGB")`` gives, but for 16-bit grey, which that clips.
"""

from __future__ import annotations

import io
import warnings
from functools import cache

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from streaming_metrics.sources.base import Unreadable

EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pnm", ".avif", ".jp2"}
)
"""Names of image files end in one of these, in small or capital letters."""
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM", "AVIF", "JPEG2000")
"""What their bytes may be: PIL knows others, one of which (EPS) it hands to another program."""


def is_image(name: str) -> bool:
    """Return whether a path inside a folder or an archive is that of an image; hidden ones are not.

    Example:
        >>> is_image("a/b.JPG"), is_image("a/b.txt"), is_image("__MACOSX/._b.jpg")
        (True, False, False)
    """
    last = name.rpartition("/")[2]
    return not last.startswith(".") and f".{last.rpartition('.')[2].lower()}" in EXTENSIONS


def decode(content: bytes) -> Tensor:
    """Return the image in a file's bytes, uint8 ``(3, H, W)``.

    Raises:
        Unreadable: where it is none, truncated or damaged, or of a kind without a usual range (float, 32 bits).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=_formats()) as image:
                return to_tensor(image)
    except UnidentifiedImageError as error:
        raise Unreadable("no image of a known kind") from error
    except Exception as error:  # each of PIL's readers has its own for what it cannot read
        raise Unreadable(f"{type(error).__name__}: {error}") from error


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
