"""Denoiser: the network of the demo's flows, which tells where a point between noise and images is heading."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

FREQUENCIES = 32


class Denoiser(nn.Module):
    """Network from points ``(N, C, H, W)`` at times ``(N, 1, 1, 1)`` in [0, 1] to the images that they head for.

    Args:
        shape: of images, ``(C, H, W)``.
        classes: of which images are drawn; 0 for images of no particular kind.
        width, depth: of its layers.

    Example:
        >>> network = Denoiser((1, 8, 8), classes=10, width=16, depth=1)
        >>> network(torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 1, 1), torch.tensor([3, 5])).shape
        torch.Size([2, 1, 8, 8])
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, width: int, depth: int) -> None:
        super().__init__()
        self.classes, pixels = classes, shape[0] * shape[1] * shape[2]
        self.frequencies: Tensor
        self.register_buffer("frequencies", torch.logspace(0, 2, FREQUENCIES))
        self.enter = nn.Linear(pixels + 2 * FREQUENCIES + classes, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
            for _ in range(depth)
        )
        self.leave = nn.Linear(width, pixels)

    def forward(self, points: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images of the points' shape; labels, int64 ``(N,)``, where there are classes."""
        angles = time.flatten(1) * self.frequencies
        given = [points.flatten(1), angles.sin(), angles.cos()]
        if labels is not None:
            given.append(one_hot(labels, self.classes).to(points))
        hidden = self.enter(torch.cat(given, 1))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.leave(hidden).view_as(points)
