"""PIL's resampling of uint8 images, bit for bit, on any device.

Pillow rounds its weights to 22 bits, sums integers, and rounds each of its two passes to a byte; all of that is exact
in float64, so a matrix product does it. Parity: ``PIL.Image.resize``, rows before columns, as the numbers of the field
were made; recent releases take the columns first for some shapes that are not square.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

BITS = 22
"""Bits of Pillow's weights."""
CUBIC = -0.5
"""Slope of Pillow's cubic at 1."""


def resample(images: Tensor, height: int, width: int, kernel: str) -> Tensor:
    """Return uint8 images ``(N, C, height, width)``: rows first, then columns, each rounded.

    Args:
        images: uint8 ``(N, C, H, W)``.
        height: pixels.
        width: pixels.
        kernel: of :data:`KERNELS`: ``"bicubic"``, ``"bilinear"`` or ``"box"``.

    Example:
        >>> resample(torch.tensor([[[[0, 100, 200, 255]]]], dtype=torch.uint8), 1, 2, "box")
        tensor([[[[ 50, 228]]]], dtype=torch.uint8)
    """
    if images.shape[-1] != width:
        images = _rounded(images.double() @ _weights(images.shape[-1], width, kernel, images.device).T)
    if images.shape[-2] != height:
        images = _rounded(_weights(images.shape[-2], height, kernel, images.device) @ images.double())
    return images


def _rounded(sums: Tensor) -> Tensor:
    return ((sums + 2 ** (BITS - 1)) / 2**BITS).floor_().clamp_(0, 255).to(torch.uint8)


@lru_cache(maxsize=64)
def _weights(size: int, out: int, kernel: str, device: torch.device) -> Tensor:
    """Return ``(out, size)`` float64 integers: the weight of each pixel in each new one, times ``2**BITS``."""
    support, function = KERNELS[kernel]
    scale = size / out
    stretch = max(scale, 1.0)
    centres = (np.arange(out) + 0.5) * scale
    pixels = np.arange(size)
    first = np.trunc(centres - support * stretch + 0.5).clip(0)
    last = np.trunc(centres + support * stretch + 0.5).clip(max=size)
    weights = function(np.abs((pixels[None] - centres[:, None] + 0.5) * (1 / stretch)))
    weights = np.where((pixels >= first[:, None]) & (pixels < last[:, None]), weights, 0.0)
    weights /= weights.sum(1, keepdims=True)
    return torch.from_numpy(np.trunc(weights * 2**BITS + np.copysign(0.5, weights))).to(device)


def _bicubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    near = ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * CUBIC
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _bilinear(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(x < 1, 1 - x, 0.0)


def _box(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(x <= 0.5, 1.0, 0.0)


KERNELS: dict[str, tuple[float, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "bicubic": (2.0, _bicubic),
    "bilinear": (1.0, _bilinear),
    "box": (0.5, _box),
}
"""Half widths and functions of the distance in pixels, by name."""
