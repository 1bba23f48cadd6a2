"""Pictures of one sampler's epoch: the first generated images, and small copies for a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streaming_metrics.images.stills import stills_of

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.report.thumbnails import Thumbnails


class Pictures:
    """Pictures of an epoch on this rank.

    Args:
        num_shown: generated images to keep.
        thumbnails: small copies of generated images, for a report.

    Attributes:
        shown: ``(≤ num_shown, 3, H, W)`` uint8 on the CPU, the first generated images, or stills of clips.

    Example:
        >>> pictures = Pictures(num_shown=3)
        >>> for start in (0, 2, 4):
        ...     pictures.take(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.arange(start, start + 2))
        >>> pictures.shown.shape
        torch.Size([3, 3, 8, 8])
    """

    def __init__(self, num_shown: int, thumbnails: Thumbnails | None = None) -> None:
        self.num_shown, self.thumbnails = num_shown, thumbnails
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self.shown = torch.empty(0, 3, 1, 1, dtype=torch.uint8)
        if self.thumbnails is not None:
            self.thumbnails.clear()

    def take(self, images: Tensor, index: Tensor) -> None:
        """Take uint8 images ``(N, 3, H, W)``, or clips, with their ids ``(N,)``."""
        pixels = stills_of(images)
        if self.thumbnails is not None:
            self.thumbnails.update(pixels, index)
        shown = pixels[: self.num_shown - len(self.shown)].cpu()
        if not len(self.shown) or shown.shape[1:] == self.shown.shape[1:]:
            self.shown = torch.cat([self.shown.reshape(-1, *shown.shape[1:]), shown])
