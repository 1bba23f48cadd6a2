"""Corruptions of rising strength: of the pixels of real images, and of which images are drawn."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

if TYPE_CHECKING:
    from collections.abc import Callable

    Corrupt = Callable[[Tensor, float, torch.Generator], Tensor]


def blurred(images: Tensor, sigma: float, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Return images under a Gaussian of so many pixels."""
    return gaussian_blur(images, kernel_size=2 * int(3 * sigma + 1) + 1, sigma=sigma)


def noisy(images: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Return images with Gaussian noise of so many grey levels."""
    return _pixels(images + deviation * torch.randn(images.shape, generator=generator))


def compressed(images: Tensor, quality: float, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Return images after JPEG of a quality."""
    return torch.stack([_jpeg(image, int(quality)) for image in images])


def tinted(images: Tensor, share: float, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Return images with more red and less blue, by a share."""
    return _pixels(images * torch.tensor([1 + share, 1, 1 - share]).view(3, 1, 1))


PIXELS: dict[str, tuple[Corrupt, tuple[float, float, float], str]] = {
    "blur": (blurred, (0.5, 1.0, 2.0), "px"),
    "noise": (noisy, (8, 24, 64), "levels"),
    "JPEG": (compressed, (50, 15, 5), "quality"),
    "colour": (tinted, (0.1, 0.3, 0.6), "tint"),
}
"""What changes pixels: the function, three strengths, and their unit."""


def without_modes(labels: Tensor, dropped: float, n: int, generator: torch.Generator) -> Tensor:
    """Return which n samples to draw where so many classes are left out."""
    left = torch.nonzero(labels >= int(dropped)).squeeze(1)
    return left[torch.randperm(len(left), generator=generator)[:n]]


def shifted(labels: Tensor, ratio: float, n: int, generator: torch.Generator) -> Tensor:
    """Return which n samples to draw where each class has ``ratio`` times the share of the one before."""
    weights = ratio ** labels.double()
    return torch.multinomial(weights / labels.bincount()[labels], n, generator=generator)


def repeated(n: int, share: float, generator: torch.Generator) -> Tensor:
    """Return which of n samples to draw where only so many are distinct, as a share of n."""
    distinct = max(1, round(n * (1 - share)))
    return torch.randperm(n, generator=generator)[:distinct].repeat(-(-n // distinct))[:n]


def replaced(n: int, share: float, generator: torch.Generator) -> Tensor:
    """Return a mask of n samples that is true for a share of them."""
    mask = torch.zeros(n, dtype=torch.bool)
    mask[torch.randperm(n, generator=generator)[: round(n * share)]] = True
    return mask


def _pixels(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)


def _jpeg(image: Tensor, quality: int) -> Tensor:
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(file, "JPEG", quality=quality)
    with Image.open(file) as picture:
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
