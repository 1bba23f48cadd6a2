"""Encoding of images without loss, as PNG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def png_of(image: Tensor) -> bytes:
    r"""Return an image as a PNG file.

    Args:
        image: ``(3, H, W)`` uint8.

    Example:
        >>> import torch
        >>> png_of(torch.zeros(3, 8, 8, dtype=torch.uint8))[:4]
        b'\x89PNG'
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).contiguous().cpu().numpy()).save(file, "PNG")
    return file.getvalue()
