"""Where the images are: in a dataloader's batch, in the outputs of a step, in what a sampler returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from torch import Tensor

from streaming_metrics.extractors.preprocess import to_uint8

Key: TypeAlias = "str | int | Callable[[Any], Tensor]"

AUTO_KEYS = ("image", "images", "pixel_values", "x", "img")


def find_images(batch: Any, image_key: Key = "auto") -> Tensor:
    """Return the images of a batch.

    Args:
        batch: a tensor, a tuple or list, a mapping, or whatever a callable ``image_key`` takes.
        image_key: a key or position; a callable from the batch; or ``"auto"``: the batch itself, the first tensor of a
            sequence, or the first of ``image``, ``images``, ``pixel_values``, ``x``, ``img`` that a mapping has.

    Raises:
        ValueError: where there is none, naming the keys that exist.

    Example:
        >>> import torch
        >>> find_images({"label": torch.tensor([1]), "img": torch.zeros(1, 3, 8, 8)}).shape
        torch.Size([1, 3, 8, 8])
    """
    found = _first_images(batch) if image_key == "auto" else _pick(batch, image_key)
    if not isinstance(found, Tensor):
        raise ValueError(
            f"image_key={name_of(image_key)}: Expected a tensor of images in the batch, got {describe(batch)}. "
            "Remedy: give image_key= a key or position that exists, or a function from the batch to its images."
        )
    return found


def find_fakes(outputs: Any, fake_key: Key) -> Tensor:
    """Return the generated images in what ``validation_step`` returned, by key, position or callable.

    Raises:
        ValueError: where there is none, naming the keys that exist.
    """
    found = _pick(outputs, fake_key)
    if not isinstance(found, Tensor):
        raise ValueError(
            f"fake_key={name_of(fake_key)}: Expected a tensor of images in what the step returned, got "
            f"{describe(outputs)}. Remedy: return {{'fake': images, …}} from validation_step and test_step, and give "
            "fake_key= that key."
        )
    return found


def as_uint8(images: Any, value_range: tuple[float, float], source: str, n: int | None = None) -> Tensor:
    """Return images as ``(N, 3, H, W)`` uint8, grey ones with their channel repeated; never an inference tensor.

    Args:
        images: ``(N, 3 or 1, H, W)``, uint8 or any float dtype in ``value_range``.
        value_range: what floats stand for black and white.
        source: names the giver in errors, e.g. ``"sample"``.
        n: how many are expected; None takes any number.

    Raises:
        TypeError, ValueError: where number, shape, dtype or range is not as expected.
    """
    if not isinstance(images, Tensor) or images.ndim != 4 or (n is not None and len(images) != n):
        wrong, count = (ValueError if isinstance(images, Tensor) else TypeError), "N" if n is None else n
        raise wrong(
            f"{source}: Expected {count} images, a tensor ({count}, 3, H, W), got {describe(images)}. "
            "Remedy: one image for each that is asked for, channels first, in one tensor."
        )
    plain = images.clone() if images.is_inference() else images
    try:
        return to_uint8(plain.expand(-1, 3, -1, -1) if plain.shape[1] == 1 else plain, value_range)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{source}: {error}") from error


def name_of(key: Key) -> str:
    """Return how an error names a key, a position or a callable.

    Example:
        >>> name_of("img"), name_of(1), name_of(find_images)
        ("'img'", '1', 'find_images')
    """
    return getattr(key, "__qualname__", repr(key))


def describe(value: Any) -> str:
    """Return what a value is, in a few words for an error.

    Example:
        >>> describe({"x": 1, "y": 2}), describe((1, None)), describe(None)
        ("a dict with keys 'x', 'y'", 'a tuple of int, NoneType', 'None')
    """
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} of {value.dtype}"
    if isinstance(value, Mapping):
        return f"a {type(value).__name__} with keys " + ", ".join(map(repr, value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"a {type(value).__name__} of " + ", ".join(type(part).__name__ for part in value)
    return "None" if value is None else f"a {type(value).__name__}"


def _first_images(batch: Any) -> Any:
    if isinstance(batch, Mapping):
        return next((batch[key] for key in AUTO_KEYS if key in batch), None)
    if isinstance(batch, Sequence):
        return next((part for part in batch if isinstance(part, Tensor)), None)
    return batch


def _pick(container: Any, key: Key) -> Any:
    if callable(key):
        return key(container)
    has_key = key in container if isinstance(container, Mapping) else _has_position(container, key)
    return container[key] if has_key else None


def _has_position(container: Any, key: Key) -> bool:
    return isinstance(container, Sequence) and isinstance(key, int) and -len(container) <= key < len(container)
