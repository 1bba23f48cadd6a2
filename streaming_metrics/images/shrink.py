"""Shrinking of images to what a screen or a page shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import interpolate

if TYPE_CHECKING:
    from torch import Tensor


def shrunk(images: Tensor, side: int) -> Tensor:
    """Return images no larger than ``side``, in their proportions; smaller ones as they are.

    Args:
        images: ``(N, 3, H, W)`` uint8.
        side: the most pixels of either side.

    Example:
        >>> shrunk(torch.zeros(2, 3, 100, 50, dtype=torch.uint8), 64).shape
        torch.Size([2, 3, 64, 32])
    """
    height, width = images.shape[-2:]
    if max(height, width) <= side:
        return images
    scale = side / max(height, width)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = interpolate(images.float(), size, mode="bilinear", antialias=True)
    return small.round().clamp(0, 255).to(torch.uint8)
