"""Interpolation strips: images on the way from one sample to another, a row for each way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streaming_metrics.plots.figures import new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor


def interpolations(images: Tensor, ax: Axes | None = None) -> Axes:
    """Draw ways between samples, each from left to right.

    Args:
        images: ``(ways, steps, 3, H, W)`` uint8.
        ax: to draw on; None makes one.

    Returns:
        The axes, whose image has a row of H + gap pixels for each way, the gap a sixteenth of H.

    Raises:
        ValueError: where the images are of another shape.

    Example:
        >>> ax = interpolations(torch.zeros(2, 5, 3, 16, 16, dtype=torch.uint8))
        >>> ax.images[0].get_array().shape
        (33, 80, 3)
    """
    if images.ndim != 5 or images.shape[2] != 3 or not images.numel():
        raise ValueError(f"interpolations: expected images (ways, steps, 3, H, W), got {tuple(images.shape)}.")
    ways, steps, _, height, width = images.shape
    gap = max(1, height // 16)
    ax = ax or new_axes(0.8 * steps, 0.85 * ways)
    picture = torch.full((3, ways * (height + gap) - gap, steps * width), 255, dtype=torch.uint8)
    for way, row in enumerate(images.cpu()):
        top = way * (height + gap)
        picture[:, top : top + height] = row.permute(1, 2, 0, 3).reshape(3, height, steps * width)
    ax.imshow(picture.permute(1, 2, 0).numpy(), interpolation="nearest")
    ax.set_axis_off()
    return ax
