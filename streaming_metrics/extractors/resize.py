"""The named resizes, from uint8 images ``(N, 3, H, W)`` to float32 network input ``(N, 3, side, side)``.

How images are brought to the network's size moves every score: the choice has a name, and the name is in the signature.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import interpolate, pad

from streaming_metrics.extractors.names import RESIZE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def tf1_bilinear(images: Tensor, side: int) -> Tensor:
    """TensorFlow 1's bilinear: output pixel i at ``i * in / out``, no half-pixel shift; then ``(x - 128) / 128``.

    With the last pixel repeated, that is how torch aligns the corners of ``in + 1`` and of ``out + 1`` pixels.

    Parity: torch-fidelity, the original FID.
    """
    return centred(tf1_aligned(images, side))


def torch_bilinear(images: Tensor, side: int) -> Tensor:
    """Bilinear at pixel centres without antialias, on [0, 1], then ``2x - 1``. Parity: pytorch-fid, dgm-eval."""
    return 2 * interpolate(images.float() / 255, size=(side, side), mode="bilinear", align_corners=False) - 1


def torch_antialias(images: Tensor, side: int) -> Tensor:
    """Bilinear with antialias, then ``(x - 128) / 128``. Parity: torchmetrics >= 1.8."""
    return centred(antialiased(images, side))


def clean(images: Tensor, side: int) -> Tensor:
    """PIL's bicubic on float channels, clipped, not rounded, then ``(x - 128) / 128``. Parity: clean-fid."""
    return centred(pil_bicubic(images, side))


RESIZES: dict[str, Callable[[Tensor, int], Tensor]] = dict(
    zip(RESIZE_NAMES, (tf1_bilinear, torch_bilinear, torch_antialias, clean), strict=True)
)
"""Resizes by name: functions of images and side."""


def tf1_aligned(images: Tensor, side: int) -> Tensor:
    """Return images resized to ``(N, 3, side, side)``, float32 in 0..255, as TensorFlow 1 does."""
    wider = pad(images.float(), (0, 1, 0, 1), mode="replicate")
    return interpolate(wider, size=side + 1, mode="bilinear", align_corners=True)[..., :side, :side]


def antialiased(images: Tensor, side: int) -> Tensor:
    """Return images resized to ``(N, 3, side, side)``, float32 in 0..255, bilinear with antialias."""
    return interpolate(images.float(), size=(side, side), mode="bilinear", align_corners=False, antialias=True)


def pointwise(images: Tensor, side: int) -> Tensor:
    """Return images resized to ``(N, 3, side, side)``, float32 in 0..255, bilinear at pixel centres, no antialias."""
    return interpolate(images.float(), size=(side, side), mode="bilinear", align_corners=False)


def pil_bicubic(images: Tensor, side: int) -> Tensor:
    """Return images resized to ``(N, 3, side, side)``, float32 in 0..255, by PIL's bicubic, clipped, not rounded."""
    rows, columns = (_pil_bicubic_weights(size, side, images.device) for size in images.shape[-2:])
    return (rows @ images.float() @ columns.T).clamp(0, 255)


PIXELS: dict[str, Callable[[Tensor, int], Tensor]] = dict(
    zip(RESIZE_NAMES, (tf1_aligned, pointwise, antialiased, pil_bicubic), strict=True)
)
"""The same resizes by name, without the scale of the Inception's input: float32 in 0..255."""


def centred(pixels: Tensor, mean: float = 128) -> Tensor:
    """Return ``(pixels - mean) / 128``, what networks of TensorFlow's making take, in one pass over the pixels.

    A division by a power of two rounds nothing, so it may come first.

    Example:
        >>> pixels = torch.rand(2, 3, 4, 4) * 255
        >>> torch.equal(centred(pixels), (pixels - 128) / 128)
        True
    """
    return torch.add(pixels.new_full((), -mean / 128), pixels, alpha=1 / 128)


def fast_layout(pixels: Tensor, precision: str) -> Tensor:
    """Return channels-last where it makes a convolutional network up to twice as fast: on the CPU, and on a GPU in any
    precision but float32; else the same tensor.
    """
    is_last = pixels.device.type == "cpu" or precision != "fp32"
    return pixels.contiguous(memory_format=torch.channels_last) if is_last else pixels


@lru_cache(maxsize=64)
def _pil_bicubic_weights(size: int, side: int, device: torch.device) -> Tensor:
    """Return ``(side, size)`` float32, rounded once: torch's own float32 bicubic is 100 times further from PIL."""
    with torch.inference_mode(False):
        identity = torch.eye(size, dtype=torch.float64, device="cpu")[None, None]
        weights = interpolate(identity, size=(side, size), mode="bicubic", align_corners=False, antialias=True)
        return weights[0, 0].float().to(device)
