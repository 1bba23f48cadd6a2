"""Image sets for benchmarks: real images with labels that need no download, as uint8 RGB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from streaming_metrics.demo.sets import PHOTOGRAPHS, crops_at, digit_images, fashion_mnist, photos, shrunk

if TYPE_CHECKING:
    from pathlib import Path

CROP, LONGER_SIDE = 64, 512


@dataclass(frozen=True)
class ImageSet:
    """Images with labels.

    Args:
        name: what it is called.
        images: ``(N, 3, H, W)`` uint8.
        labels: ``(N,)`` int64.
        classes: their number.
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: int

    def __len__(self) -> int:
        return len(self.images)


def fashion(folder: Path | None = None) -> ImageSet:
    """Return Fashion-MNIST, 70,000 images of 28 pixels in 10 classes of clothing; raise FileNotFoundError without."""
    images, labels = map(torch.cat, zip(*fashion_mnist(folder)))
    return ImageSet("fashion", _rgb(images), labels, 10)


def digits(folder: Path | None = None) -> ImageSet:  # noqa: ARG001
    """Return scikit-learn's 1,797 digits of 8 pixels, enlarged to 32."""
    images, labels = digit_images()
    return ImageSet("digits", resized(_rgb(images), 32), labels, 10)


def photographs(folder: Path | None = None, *, each: int = 1700, seed: int = 0) -> ImageSet:  # noqa: ARG001
    """Return crops of 64 pixels of the photographs in scikit-image, labelled by photograph; crops may overlap."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.cat([_crops(shrunk(photo, LONGER_SIDE), each, generator) for photo in photos()])
    return ImageSet("photographs", images, torch.arange(len(PHOTOGRAPHS)).repeat_interleave(each), len(PHOTOGRAPHS))


SETS = {"fashion": fashion, "digits": digits, "photographs": photographs}


def resized(images: Tensor, side: int) -> Tensor:
    """Return images of ``side`` pixels, uint8."""
    if images.shape[-1] == side:
        return images
    return interpolate(images.float(), (side, side), mode="bilinear", antialias=True).round().to(torch.uint8)


def _crops(photo: Tensor, n: int, generator: torch.Generator) -> Tensor:
    tops, lefts = (torch.randint(length - CROP + 1, (n,), generator=generator) for length in photo.shape[-2:])
    return crops_at(photo, tops, lefts, CROP)


def _rgb(grey: Tensor) -> Tensor:
    return grey.expand(-1, 3, -1, -1)
