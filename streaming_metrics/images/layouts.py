"""Layout of images in an array: which axis holds the channels, told by the shape or else by the user, never guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from streaming_metrics.images.conversion import OutOfRange, to_uint8
from streaming_metrics.images.decode import Unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.images.options import Layout

CHANNELS = (1, 3)
SHAPES: dict[Layout, str] = {"chw": "(N, 3 or 1, H, W)", "hwc": "(N, H, W, 3 or 1)", "hw": "(N, H, W), grey"}
"""What an array of images of each layout looks like."""
AXIS: dict[Layout, int] = {"chw": 1, "hwc": 3}


def layout_of(shape: Sequence[int], told: Layout | None, where: str) -> Layout:
    """Return how each image of an array lies.

    Args:
        shape: of the array.
        told: by the user; None for nothing.
        where: names the array in errors.

    Raises:
        ValueError: where the shape is none of images, may be read in two ways, or not in the way that is told.

    Example:
        >>> layout_of((10, 32, 32, 3), None, "x.npy"), layout_of((10, 3, 3, 3), "chw", "x.npy")
        ('hwc', 'chw')
        >>> layout_of((10, 3, 3, 3), None, "x.npy")
        Traceback (most recent call last):
        ...
        ValueError: x.npy: shape (10, 3, 3, 3) may be (N, 3 or 1, H, W) or (N, H, W, 3 or 1). Remedy: say which behind \
the source, ?layout=chw or ?layout=hwc.
    """
    fits = _fitting(shape)
    if told in fits:
        return told
    if told or not fits:
        expected = SHAPES[told] if told else ", ".join(SHAPES.values())
        raise ValueError(f"{where}: expected images {expected}, got shape {tuple(shape)}. Remedy: save them so.")
    if fits == ["hw"] and _may_be_one_image(shape):
        raise ValueError(
            f"{where}: shape {tuple(shape)} may be {shape[0]} grey images or one in colour. Remedy: of grey images say "
            "?layout=hw behind the source; save one image as array[None]."
        )
    if len(fits) > 1:
        both, say = " or ".join(SHAPES[fit] for fit in fits), " or ".join(f"?layout={fit}" for fit in fits)
        raise ValueError(f"{where}: shape {tuple(shape)} may be {both}. Remedy: say which behind the source, {say}.")
    return fits[0]


def _fitting(shape: Sequence[int]) -> list[Layout]:
    if 0 in shape:
        return []
    if len(shape) == 4:
        return [layout for layout, axis in AXIS.items() if shape[axis] in CHANNELS]
    return ["hw"] if len(shape) == 3 else []


def _may_be_one_image(shape: Sequence[int]) -> bool:
    return shape[2] in CHANNELS or shape[0] == 3


def check_kind(pixels: Tensor, value_range: tuple[float, float] | None, where: str) -> None:
    """Raise ValueError unless an image's pixels are uint8, or floats whose range is told.

    Args:
        pixels: of the first image.
        value_range: told by the user; None for nothing.
        where: names the source in errors.
    """
    if pixels.is_floating_point():
        if value_range is None:
            raise ValueError(f"{where}: {untold(pixels, where)}")
        return
    if pixels.dtype != torch.uint8:
        raise ValueError(
            f"{where}: expected uint8, or floats of a range that is told, got {pixels.dtype}. "
            "Remedy: save them as uint8, where they are 0 to 255."
        )
    if value_range is not None:
        raise ValueError(f"{where}: expected floats, whose range is told, got uint8. Remedy: leave ?range= out.")


def untold(pixels: Tensor, where: str) -> str:
    """Return what to say where nobody told what an image's floats stand for."""
    low, high = pixels.aminmax()
    return (
        f"expected to know which floats are black and white, got none told; {tuple(pixels.shape)} {pixels.dtype} here "
        f"is {low.item():.4g} to {high.item():.4g}. Remedy: say so behind the source, {where}?range=0,1 or "
        f"{where}?range=-1,1; of 0 to 255, {where}?range=0,255."
    )


def image_of(pixels: Tensor, layout: Layout, value_range: tuple[float, float] | None) -> Tensor:
    """Return one image as uint8 ``(3, H, W)``, a copy.

    Raises:
        Unreadable: where floats leave their range by more than half of its width, or are not finite.

    Example:
        >>> image_of(torch.tensor([[-1.0, 1.0]]), "hw", (-1, 1))[0].tolist()
        [[0, 255]]
    """
    plain = pixels[None] if layout == "hw" else pixels.movedim(-1, 0) if layout == "hwc" else pixels
    try:
        return in_range(plain.expand(3, -1, -1), value_range).clone(memory_format=torch.contiguous_format)
    except (TypeError, ValueError) as error:
        raise Unreadable(str(error)) from error


def in_range(image: Tensor, value_range: tuple[float, float] | None) -> Tensor:
    """Return an image ``(3, H, W)`` as uint8, of floats whose range was told behind the source.

    Raises:
        ValueError: where floats leave that range by more than half of its width, or are not finite.
    """
    try:
        return to_uint8(image[None], value_range)[0]
    except OutOfRange as error:
        low, high = value_range or (0, 255)
        raise ValueError(
            f"expected pixels of the range that was told, range={low:g},{high:g}, got {error.darkest:g} to "
            f"{error.brightest:g}. Remedy: tell the range that they have, ?range=0,1, ?range=-1,1 or ?range=0,255"
        ) from error


def as_pixels(image: Any) -> Tensor:
    """Return an image of an array, which may be mapped read-only, as a tensor of its own."""
    if isinstance(image, Tensor):
        return image
    native = np.array(image)
    return torch.from_numpy(native.astype(native.dtype.newbyteorder("="), copy=False))
