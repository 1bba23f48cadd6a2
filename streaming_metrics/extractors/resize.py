"""The named resizes, from uint8 images ``(N, 3, H, W)`` to float32 network input ``(N, 3, side, side)``.

How images are brought to the network's size moves every score: the choice has a name, and the name is in the signature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import interpolate

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def tf1_bilinear(images: Tensor, side: int) -> Tensor:
    """TensorFlow 1's bilinear: output pixel i at ``i * in / out``, no half-pixel shift; then ``(x - 128) / 128``.

    Parity: torch-fidelity, the original FID.
    """
    return centred(_separable(images, side, _hat_weights))


def torch_bilinear(images: Tensor, side: int) -> Tensor:
    """Bilinear at pixel centres without antialias, on [0, 1], then ``2x - 1``. Parity: pytorch-fid, dgm-eval."""
    return 2 * interpolate(images.float() / 255, size=(side, side), mode="bilinear", align_corners=False) - 1


def torch_antialias(images: Tensor, side: int) -> Tensor:
    """Bilinear with antialias, then ``(x - 128) / 128``. Parity: torchmetrics >= 1.8."""
    return centred(antialiased(images, side))


def clean(images: Tensor, side: int) -> Tensor:
    """PIL's bicubic on float channels, clipped, not rounded, then ``(x - 128) / 128``. Parity: clean-fid."""
    return centred(_separable(images, side, _pil_bicubic_weights).clamp(0, 255))


RESIZES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "tf1-bilinear": tf1_bilinear,
    "torch-bilinear": torch_bilinear,
    "torch-antialias": torch_antialias,
    "clean": clean,
}
"""Resizes by name: functions of images and side."""


def antialiased(images: Tensor, side: int) -> Tensor:
    """Return images resized to ``(N, 3, side, side)``, float32 in 0..255, bilinear with antialias."""
    return interpolate(images.float(), size=(side, side), mode="bilinear", align_corners=False, antialias=True)


def centred(pixels: Tensor, mean: float = 128) -> Tensor:
    """Return ``(pixels - mean) / 128``, what networks of TensorFlow's making take."""
    return (pixels - mean) / 128


def cpu_layout(pixels: Tensor) -> Tensor:
    """Return channels-last on the CPU, where it makes a convolutional network twice as fast; else the same tensor."""
    return pixels.contiguous(memory_format=torch.channels_last) if pixels.device.type == "cpu" else pixels


def _separable(images: Tensor, side: int, weights: Callable[[int, int], Tensor]) -> Tensor:
    """Resize as ``W_h @ x @ W_wᵀ``: products are faster than gathers, and the same on every device."""
    rows, columns = (weights(size, side).to(images.device) for size in images.shape[-2:])
    return rows @ images.float() @ columns.T


def _hat_weights(size: int, side: int) -> Tensor:
    """Return ``(side, size)`` float32: row i is the hat function around ``i * size / side``, at most the last pixel."""
    source = torch.arange(side, dtype=torch.float32, device="cpu") * (size / side)
    distance = source.clamp(max=size - 1)[:, None] - torch.arange(size, dtype=torch.float32, device="cpu")
    return (1 - distance.abs()).clamp(min=0)


def _pil_bicubic_weights(size: int, side: int) -> Tensor:
    """Return ``(side, size)`` float32, rounded once: torch's own float32 bicubic is 100 times further from PIL."""
    identity = torch.eye(size, dtype=torch.float64, device="cpu")[None, None]
    weights = interpolate(identity, size=(side, size), mode="bicubic", align_corners=False, antialias=True)
    return weights[0, 0].float()
