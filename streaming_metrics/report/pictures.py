"""Small pictures: set out in a grid, and written into a page as data."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

SMALL_SIDE = 32
"""Images up to this side are written exactly, since their pixels are seen one by one."""


def is_small(images: Tensor) -> bool:
    """Return whether the pixels of images ``(…, H, W)`` are seen one by one."""
    return max(images.shape[-2:]) <= SMALL_SIDE


def grid_of(images: Tensor, columns: int = 4) -> Tensor:
    """Return images side by side with transparent gaps, ``(4, H', W')`` uint8.

    Args:
        images: ``(N, 3, H, W)`` uint8, N ≥ 1.
        columns: images in a row.

    Example:
        >>> grid_of(torch.zeros(6, 3, 8, 8, dtype=torch.uint8)).shape
        torch.Size([4, 17, 35])
    """
    n, _, height, width = images.shape
    gap, columns = max(1, height // 16), min(columns, n)
    lines = -(-n // columns)
    grid = torch.zeros(4, lines * (height + gap) - gap, columns * (width + gap) - gap, dtype=torch.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        grid[:3, top : top + height, left : left + width] = image
        grid[3, top : top + height, left : left + width] = 255
    return grid


def data_uri(image: Tensor, exact: bool = False) -> str:
    """Return an image ``(3 or 4, H, W)`` uint8 as WebP in a ``data:`` URI, without loss where ``exact`` or small.

    Example:
        >>> data_uri(torch.zeros(3, 8, 8, dtype=torch.uint8))[:23]
        'data:image/webp;base64,'
    """
    from PIL import Image

    lossless, file = exact or is_small(image), io.BytesIO()
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().cpu().numpy())
    picture.save(file, "WEBP", lossless=lossless, quality=80)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
