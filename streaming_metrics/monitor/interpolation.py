"""Interpolation: ways between samples, of models that have a method for them."""

from __future__ import annotations

import warnings
from inspect import signature
from typing import TYPE_CHECKING, Any

from torch import Tensor

from streaming_metrics.images.image_sampler import ImageSampler

if TYPE_CHECKING:
    from torch import nn

WAYS, STEPS = 4, 8


def draw_ways(model: nn.Module, value_range: tuple[float, float], seed: int) -> Tensor | None:
    """Return ways between samples, ``(4, 8, 3, H, W)`` uint8; None where the model has no ``interpolate(ways, steps)``,
    or it fails, of which is warned.

    Args:
        model: ``model.interpolate(ways, steps)`` returns images ``(ways, steps, 3 or 1, H, W)``, or ``(ways·steps, …)``
            in that order.
        value_range: what floats stand for black and white.
        seed: of all randomness inside; outside, none is used up, and the model is left as it was.
    """
    if not interpolates(model):
        return None
    try:
        pixels = ImageSampler(interpolate, value_range).draw(model, WAYS * STEPS, seed).pixels
    except Exception as error:  # a strip of pictures is no reason to end a training
        warnings.warn(f"The report shows no ways between samples: {error!r}", stacklevel=2)
        return None
    return pixels.cpu().unflatten(0, (WAYS, STEPS))


def interpolates(model: Any) -> bool:
    """Return whether a model has a method that takes a number of ways and one of steps."""
    method = getattr(model, "interpolate", None)
    if not callable(method):
        return False
    try:
        signature(method).bind(WAYS, STEPS)
    except (TypeError, ValueError):
        return False
    return True


def interpolate(model: Any, n: int) -> Any:  # noqa: ARG001
    """Return the images of all ways, one after another, as a sampler does."""
    images = model.interpolate(WAYS, STEPS)
    return images.flatten(0, 1) if isinstance(images, Tensor) and images.ndim == 5 else images
