"""Preprocessing of named networks: which part of an image they see, how it is resized, and how it is scaled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch.nn.functional import interpolate

from streaming_metrics.extractors.names import lookup
from streaming_metrics.extractors.pil import resample

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

Rgb: TypeAlias = tuple[float, float, float]
IMAGENET: tuple[Rgb, Rgb] = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP: tuple[Rgb, Rgb] = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF: tuple[Rgb, Rgb] = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
"""Means and standard deviations of channels, of [0, 1]."""
Crop: TypeAlias = Literal["none", "square", "squash", "shorter", "shorter-floor", "adm"]
NAMES: dict[str, str] = {
    "none": "{side}",
    "square": "square-{side}",
    "squash": "squash-{before}-crop-{side}",
    "shorter": "{before}-crop-{side}",
    "shorter-floor": "{before}-floor-{side}",
    "adm": "adm-{before}-{side}",
}
"""Crops by what signatures call them."""
RESIZED_FIRST = ("squash", "shorter", "shorter-floor")
"""Crops that cut the middle out of the resized image."""


def of_channels(values: Rgb, pixels: Tensor) -> Tensor:
    """Return a number a channel ``(3, 1, 1)``, as pixels are; made once a device, which would be waited for."""
    return _of_channels(tuple(values), pixels.dtype, pixels.device)


@lru_cache(maxsize=64)
def _of_channels(values: Rgb, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device).view(3, 1, 1)


@dataclass(frozen=True)
class Preprocess:
    """Preprocessing of uint8 images ``(N, 3, H, W)`` to a network's float32 input ``(N, 3, side, side)``.

    Args:
        side: pixels of the input.
        resize: of :data:`SAMPLERS`: ``"pil-bicubic"`` and ``"pil-bilinear"``, rounded to bytes as Pillow does;
            ``"torch-bicubic"`` and ``"torch-antialias"``, which is bilinear: antialiased, neither rounded nor cut off.
        crop: ``"none"``: the whole image is squeezed into the square. ``"square"``: its largest square in the middle
            is cut out first. ``"squash"``: it is squeezed into a square of ``before`` pixels, then the middle is cut
            out. ``"shorter"``: its shorter side is resized to ``before`` pixels, then the middle is cut out, as
            torchvision does; ``"shorter-floor"``: as transformers does, odd margins with their smaller half first.
            ``"adm"``: the middle of ``before`` pixels is cut out as guided-diffusion does, halving by means first.
        before: pixels, for all but ``"none"`` and ``"square"``.
        mean, std: of channels of [0, 1].

    Raises:
        ValueError: an unknown resize or crop; ``before`` that the crop has no use for, or that is less than the side.

    Example:
        >>> import torch
        >>> preprocess = Preprocess(224, "pil-bicubic", "square")
        >>> preprocess.name, preprocess(torch.zeros(2, 3, 300, 400, dtype=torch.uint8)).shape
        ('pil-bicubic-square-224', torch.Size([2, 3, 224, 224]))
    """

    side: int
    resize: str
    crop: Crop = "none"
    before: int | None = None
    mean: Rgb = IMAGENET[0]
    std: Rgb = IMAGENET[1]

    def __post_init__(self) -> None:
        lookup(SAMPLERS, self.resize, "resize")
        lookup(NAMES, self.crop, "crop")
        if (self.before is None) != (self.crop in ("none", "square")):
            raise ValueError(f"before: expected pixels where crop is neither 'none' nor 'square', got {self.before!r}.")
        if self.crop in RESIZED_FIRST and (self.before or 0) < self.side:
            raise ValueError(f"before: expected at least the side, {self.side} pixels, got {self.before}.")

    @property
    def name(self) -> str:
        """What a signature calls it."""
        return f"{self.resize}-{NAMES[self.crop].format(side=self.side, before=self.before)}"

    def __call__(self, images: Tensor) -> Tensor:
        sample = SAMPLERS[self.resize]
        if self.crop in RESIZED_FIRST:
            before = self.before or self.side
            size = (before, before) if self.crop == "squash" else shorter_to(images.shape[-2:], before)
            pixels = middle(sample(images, *size), self.side, floor=self.crop == "shorter-floor")
        else:
            pixels = sample(self._cut(images), self.side, self.side)
        mean, std = of_channels(self.mean, pixels), of_channels(self.std, pixels)
        return (pixels / 255 - mean) / std

    def _cut(self, images: Tensor) -> Tensor:
        if self.crop == "square":
            height, width = images.shape[-2:]
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            return images[..., top : top + side, left : left + side]
        return images if self.before is None else adm_crop(images, self.before)


def shorter_to(size: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return the height and width of an image whose shorter side becomes ``side``, as torchvision rounds them.

    Example:
        >>> shorter_to((300, 401), 224)
        (224, 299)
    """
    height, width = size
    if height <= width:
        return side, int(side * width / height)
    return int(side * height / width), side


def middle(images: Tensor, side: int, floor: bool = False) -> Tensor:
    """Return the middle ``side`` pixels square, as torchvision's ``CenterCrop`` does; or margins rounded down."""
    top, left = ((size - side) // 2 if floor else round((size - side) / 2) for size in images.shape[-2:])
    return images[..., top : top + side, left : left + side]


def adm_crop(images: Tensor, side: int) -> Tensor:
    """Return the middle ``side`` pixels square of uint8 images, as guided-diffusion cuts it: halved by means while it
    is twice as large, then bicubic.
    """
    while min(images.shape[-2:]) >= 2 * side:
        images = resample(images, images.shape[-2] // 2, images.shape[-1] // 2, "box")
    height, width = images.shape[-2:]
    scale = side / min(height, width)
    images = resample(images, round(height * scale), round(width * scale), "bicubic")
    top, left = ((size - side) // 2 for size in images.shape[-2:])
    return images[..., top : top + side, left : left + side]


def _pil_bicubic(images: Tensor, height: int, width: int) -> Tensor:
    return resample(images, height, width, "bicubic").float()


def _pil_bilinear(images: Tensor, height: int, width: int) -> Tensor:
    return resample(images, height, width, "bilinear").float()


def _torch_bicubic(images: Tensor, height: int, width: int) -> Tensor:
    return interpolate(images.float(), size=(height, width), mode="bicubic", align_corners=False, antialias=True)


def _torch_antialias(images: Tensor, height: int, width: int) -> Tensor:
    return interpolate(images.float(), size=(height, width), mode="bilinear", align_corners=False, antialias=True)


SAMPLERS: dict[str, Callable[[Tensor, int, int], Tensor]] = {
    "pil-bicubic": _pil_bicubic,
    "pil-bilinear": _pil_bilinear,
    "torch-bicubic": _torch_bicubic,
    "torch-antialias": _torch_antialias,
}
"""Resizes by name: functions of uint8 images, height and width, to float32 in 0..255."""
