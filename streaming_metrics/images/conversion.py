"""Conversion of samples to uint8, or an error that says what to change; the one place that knows their shapes.

Images are ``(N, 3, H, W)``, clips ``(N, T, 3, H, W)``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from streaming_metrics.deferred import Check, is_deferred, require

CHANNELS = 3
Takes: TypeAlias = Literal["images", "clips"]
"""What a network takes, and so what samples are."""
SHAPES: dict[Takes, str] = {"images": "(N, 3, H, W)", "clips": "(N, T, 3, H, W)"}
"""Shape of a batch of each."""
RANKS: dict[Takes, int] = {takes: shape.count(",") + 1 for takes, shape in SHAPES.items()}
"""Dimensions of a batch of each."""


@dataclass(frozen=True)
class CheckedImages:
    """Images that were checked where they came in, and that nobody checks or converts again.

    Args:
        pixels: uint8 ``(N, 3, H, W)``, or clips, as :func:`to_uint8` returns them, or rows of those.
        columns: what else is known of each, int64 ``(N,)`` by name, e.g. ``labels``.
        captions: the text of each; None where there are none.
        checks: what a device has yet to say of them, which the metric then asks.

    Example:
        >>> two = CheckedImages(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), {"labels": torch.tensor([3, 1])})
        >>> two[torch.tensor([False, True])].columns
        {'labels': tensor([1])}
    """

    pixels: Tensor
    columns: Mapping[str, Tensor] = field(default_factory=dict)
    captions: tuple[str, ...] | None = None
    checks: tuple[Check, ...] = ()

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: Tensor) -> CheckedImages:
        if rows.dtype == torch.bool and rows.all():
            return self  # no copy: pixels in pinned memory stay there
        columns = {name: column[rows] for name, column in self.columns.items()}
        if self.captions is None:
            return CheckedImages(self.pixels[rows], columns, checks=self.checks)
        kept = torch.arange(len(self))[rows.cpu()].tolist()
        return CheckedImages(self.pixels[rows], columns, tuple(self.captions[row] for row in kept), self.checks)


def check_images(images: Tensor, takes: Takes = "images") -> None:
    """Check that images are uint8 ``(N, 3, H, W)``, clips uint8 ``(N, T, 3, H, W)``, and not empty.

    Raises:
        TypeError: not a tensor, or not uint8.
        ValueError: another shape.

    Example:
        >>> check_images(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
        Traceback (most recent call last):
        ...
        ValueError: Expected images (N, 3, H, W), got (2, 1, 8, 8). Remedy: images.expand(-1, 3, -1, -1), grey as RGB.
    """
    if not isinstance(images, Tensor):
        raise TypeError(f"Expected a tensor of {takes}, got {type(images).__name__}. Remedy: torch.as_tensor({takes}).")
    if images.dtype != torch.uint8:
        raise TypeError(f"Expected uint8 {takes}, got {images.dtype}. Remedy: {_dtype_remedy(images, takes)}.")
    check_shape(images, takes)


def check_shape(images: Tensor, takes: Takes = "images") -> None:
    """Raise ValueError unless images are ``(N, 3, H, W)``, clips ``(N, T, 3, H, W)``, each length at least 1."""
    if images.ndim != RANKS[takes] or images.shape[-3] != CHANNELS or images.numel() == 0:
        remedy = _shape_remedy(images) if takes == "images" else _clip_remedy(images)
        raise ValueError(f"Expected {takes} {SHAPES[takes]}, got {tuple(images.shape)}. Remedy: {remedy}.")


def to_uint8(images: Tensor, value_range: tuple[float, float] | None = None, takes: Takes = "images") -> Tensor:
    """Return uint8 images or clips: uint8 as it comes, floats of ``value_range`` scaled, clamped and rounded.

    Args:
        images: uint8, or floating point of any precision.
        value_range: the floats that stand for black and white: ``(0, 1)`` and ``(-1, 1)`` are usual.
        takes: what they are, ``"images"`` or ``"clips"``.

    Raises:
        TypeError: neither uint8 nor floating point; or floats without a ``value_range``.
        ValueError: another shape, a pixel that is not finite, or one further outside of the range than half its width:
            such images were made for another range, and clamping would hide it.

    Example:
        >>> to_uint8(torch.tensor([-1.0, 0.0, 1.0]).reshape(1, 3, 1, 1), (-1, 1)).flatten().tolist()
        [0, 128, 255]
    """
    if not isinstance(images, Tensor) or not images.is_floating_point() or value_range is None:
        check_images(images, takes)
        return images
    check_shape(images, takes)
    low, high = checked_range(value_range)
    pixels = images.detach().to(torch.promote_types(images.dtype, torch.float32))
    _check_values(pixels, low, high)
    return ((pixels - low) * (255 / (high - low))).clamp(0, 255).round().to(torch.uint8)


def to_unit(pixels: Tensor) -> Tensor:
    """Return uint8 images as float32 in [0, 1].

    Example:
        >>> to_unit(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist()
        [0.0, 0.20000000298023224, 1.0]
    """
    return pixels.float() / 255


def checked_range(value_range: tuple[float, float]) -> tuple[float, float]:
    """Return ``(low, high)``, or raise ValueError unless both are finite and ``low < high``."""
    low, high = map(float, value_range)
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"value_range: expected low < high, got {value_range}. Remedy: give (0, 1) or (-1, 1).")
    return low, high


class OutOfRange(ValueError):
    """Pixels, the ``darkest`` to the ``brightest``, are of another range than was said."""

    def __init__(self, message: str, darkest: float = math.nan, brightest: float = math.nan) -> None:
        super().__init__(message)
        self.darkest, self.brightest = darkest, brightest


def _check_values(pixels: Tensor, low: float, high: float) -> None:
    ends, slack, total = torch.stack(pixels.aminmax()), (high - low) / 2, pixels.numel()
    counted = _non_finite(pixels) if is_deferred(pixels) else None  # later they may be others

    def why() -> Exception:
        darkest, brightest = ends.tolist()
        if math.isfinite(darkest) and math.isfinite(brightest):
            return OutOfRange(_OUT_OF_RANGE.format(low, high, darkest, brightest), darkest, brightest)
        bad = int(_non_finite(pixels) if counted is None else counted)
        return ValueError(f"Expected finite pixels, got {bad} of {total} NaN or infinite. Remedy: see what made them.")

    require(((ends >= low - slack) & (ends <= high + slack)).all(), why)


def _non_finite(pixels: Tensor) -> Tensor:
    return (~pixels.isfinite()).sum()


_OUT_OF_RANGE = (
    "Expected pixels in value_range=({:g}, {:g}), got {:g} to {:g}. Remedy: give the value_range= that the images have,"
    " (0, 1) or (-1, 1); of 0 to 255, give images.round().to(torch.uint8)."
)


def _dtype_remedy(images: Tensor, takes: Takes) -> str:
    if images.is_floating_point():
        return "give the metric value_range=(0, 1) or (-1, 1), the range of these floats"
    return f"{takes}.to(torch.uint8), if they are in 0 to 255"


def _shape_remedy(images: Tensor) -> str:
    if images.ndim == 3:
        return "images.unsqueeze(0), a batch of one"
    if images.ndim == 4 and images.shape[1] == 1:
        return "images.expand(-1, 3, -1, -1), grey as RGB"
    if images.ndim == 4 and images.shape[3] == CHANNELS:
        return "images.permute(0, 3, 1, 2), channels first"
    if images.ndim == RANKS["clips"]:
        return "images.flatten(0, 1), frames as images; or a network of clips, extractor='i3d'"
    return "give at least one RGB image, channels first"


def _clip_remedy(clips: Tensor) -> str:
    if clips.ndim == RANKS["clips"] - 1:
        return "clips.unsqueeze(0), a batch of one clip (T, 3, H, W); images are no clips"
    if clips.ndim == RANKS["clips"] and clips.shape[2] == 1:
        return "clips.expand(-1, -1, 3, -1, -1), grey as RGB"
    if clips.ndim == RANKS["clips"] and clips.shape[4] == CHANNELS:
        return "clips.permute(0, 1, 4, 2, 3), channels before rows"
    if clips.ndim == RANKS["clips"] and clips.shape[1] == CHANNELS:
        return "clips.transpose(1, 2), frames before channels"
    return "give at least one RGB clip, frames before channels"
