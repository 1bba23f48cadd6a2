"""Stills: what a page, a log or a file shows of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streaming_metrics.images.conversion import RANKS

if TYPE_CHECKING:
    from torch import Tensor


def stills_of(samples: Tensor) -> Tensor:
    """Return pictures ``(N, 3, H, W')`` of samples: images as they are, of clips the first, the middle and the last
    frame side by side.

    Example:
        >>> stills_of(torch.zeros(2, 16, 3, 8, 8, dtype=torch.uint8)).shape
        torch.Size([2, 3, 8, 24])
        >>> stills_of(torch.zeros(2, 3, 8, 8, dtype=torch.uint8)).shape
        torch.Size([2, 3, 8, 8])
    """
    if samples.ndim < RANKS["clips"]:
        return samples
    last = samples.shape[1] - 1
    shown = sorted({0, last // 2, last})
    return torch.cat([samples[:, number] for number in shown], dim=-1)
