"""The forms that images come in: tensors, arrays, PIL, lists of them, what pipelines and models return.

Any of them becomes one tensor. PIL and uint8 say what is black and white; ``images`` of diffusers' outputs are floats
in [0, 1]; other floats are of the range that the user declares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from streaming_metrics.images.conversion import to_uint8
from streaming_metrics.images.decode import to_tensor

CHANNELS = (1, 3)


def as_tensor(value: Any) -> Tensor | None:
    """Return images as one tensor ``(N, C, H, W)``, uint8 or float; None where the value is no form of images.

    Args:
        value: a tensor or array ``(N, C, H, W)`` or ``(N, H, W, C)``; PIL images; a list or tuple of either, ``(C, H,
            W)``, ``(H, W, C)`` or ``(H, W)`` each; an output object, dataclass, mapping or named tuple of which one
            field holds such; a tuple of one such.

    Raises:
        ValueError: where it may be read in two ways, naming both, or holds images of several sizes.

    Example:
        >>> as_tensor(np.zeros((2, 8, 9, 3), np.uint8)).shape, as_tensor([torch.zeros(3, 8, 9)] * 2).shape
        (torch.Size([2, 3, 8, 9]), torch.Size([2, 3, 8, 9]))
    """
    if isinstance(value, Tensor):
        return value.movedim(-1, 1) if value.ndim == 4 and _is_last(value.shape) else value
    if isinstance(value, np.ndarray):
        return _from_array(value)
    if is_of(value, "PIL"):
        return _from_pil([value])
    parts = fields_of(value)
    if parts is not None:
        return _from_fields(value, parts)
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value):
        return _from_list(value)
    return None


def is_images(value: Any) -> bool:
    """Return whether a value looks like a batch of images: four dimensions, one or three channels, uint8 or float.

    Example:
        >>> is_images(torch.zeros(2, 3, 8, 8)), is_images(torch.zeros(2, 4, 8, 8)), is_images(torch.zeros(2))
        (True, False, False)
    """
    if isinstance(value, Tensor | np.ndarray):
        shaped = value.ndim == 4 and (value.shape[1] in CHANNELS or value.shape[3] in CHANNELS)
        return shaped and str(value.dtype).rpartition(".")[2].startswith(("uint8", "float", "bfloat"))
    if isinstance(value, list | tuple) and value:
        return all(is_of(part, "PIL") or _is_image(part) for part in value)
    return False


def fields_of(value: Any) -> dict[Any, Any] | None:
    """Return the named parts of a mapping, a dataclass, a named tuple or an object with ``images``; None of others.

    Example:
        >>> fields_of({"x": 1}), fields_of((1, 2)) is None
        ({'x': 1}, True)
    """
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if hasattr(value, "_asdict"):
        return value._asdict()
    return {"images": value.images} if hasattr(value, "images") else None


SHOWN = 8
"""Parts of a sequence that errors name."""


def describe(value: Any) -> str:
    """Return what a value is, in a few words for an error.

    Example:
        >>> describe({"x": 1, "y": 2}), describe((1, None)), describe(None)
        ("a dict with keys 'x', 'y'", 'a tuple of int, NoneType', 'None')
    """
    if isinstance(value, Tensor | np.ndarray):
        return f"{'a tensor' if isinstance(value, Tensor) else 'an array'} {tuple(value.shape)} of {value.dtype}"
    parts = fields_of(value)
    if parts is not None:
        return f"a {type(value).__name__} with keys " + ", ".join(map(repr, parts))
    if isinstance(value, Sequence) and not isinstance(value, str):
        kinds = [type(part).__name__ for part in value[:SHOWN]]
        return f"a {type(value).__name__} of " + ", ".join([*kinds, "…"] if len(value) > SHOWN else kinds)
    return "None" if value is None else f"a {type(value).__name__}"


def candidates(parts: Mapping[Any, Any]) -> str:
    """Return parts that may be meant, with their shapes, for an error.

    Example:
        >>> candidates({"input": torch.zeros(2, 3, 8, 8), "target": [1]})
        "'input': a tensor (2, 3, 8, 8) of torch.float32, 'target': a list of int"
    """
    return ", ".join(f"{key!r}: {describe(part)}" for key, part in parts.items())


def _from_fields(value: Any, parts: Mapping[Any, Any]) -> Tensor | None:
    found = {name: part for name, part in parts.items() if is_images(part)}
    if len(found) > 1:
        raise ValueError(
            f"Expected one field of images in a {type(value).__name__}, got {candidates(found)}. "
            "Remedy: return the images alone."
        )
    images = as_tensor(next(iter(found.values()))) if found else None
    if images is None or not images.is_floating_point() or "images" not in found or not _is_of_diffusers(value, found):
        return images
    return to_uint8(images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images, (0, 1))


def _is_of_diffusers(value: Any, found: Mapping[str, Any]) -> bool:
    """Return whether ``images`` are a diffusers pipeline's: by its class, or arrays with channels last."""
    is_array = isinstance(found["images"], np.ndarray) and type(value) is not dict
    return is_array or is_of(value, "diffusers")


def is_of(value: Any, package: str) -> bool:
    """Return whether a value's class, or a base of it, is a package's, which is not imported here."""
    return any(base.__module__.partition(".")[0] == package for base in type(value).__mro__)


def _from_list(values: Sequence[Any]) -> Tensor | None:
    if isinstance(values, tuple) and len(values) == 1 and is_images(values[0]):
        return as_tensor(values[0])  # what a pipeline returns with return_dict=False
    if all(is_of(value, "PIL") for value in values):
        return _from_pil(values)
    if all(isinstance(value, Tensor) and value.ndim == 3 for value in values):
        return as_tensor(_stacked(values))
    if all(isinstance(value, np.ndarray) and value.ndim in (2, 3) for value in values):
        arrays = [np.asarray(value) for value in values]
        _check_sizes(arrays)
        return _from_array(np.stack([array[..., None] if array.ndim == 2 else array for array in arrays]))
    return None


def _from_pil(images: Sequence[Any]) -> Tensor:
    return _stacked([to_tensor(image) for image in images])


def _from_array(array: np.ndarray) -> Tensor:
    if array.ndim == 4 and array.shape[1] in CHANNELS and array.shape[3] in CHANNELS:
        raise ValueError(
            f"Expected images whose channels are known, got {describe(array)}: either axis may be. "
            "Remedy: torch.from_numpy(array), channels first."
        )
    tensor = torch.from_numpy(np.array(array))  # a copy: arrays may be read-only
    return tensor.movedim(-1, 1) if array.ndim == 4 and array.shape[1] not in CHANNELS else tensor


def _stacked(images: Sequence[Tensor]) -> Tensor:
    _check_sizes(images)
    return torch.stack(list(images))


def _check_sizes(images: Sequence[Any]) -> None:
    sizes = sorted({tuple(image.shape) for image in images})
    if len(sizes) > 1:
        raise ValueError(f"Expected images of one size, got {sizes[0]} and {sizes[1]}. Remedy: resize them to one.")


def _is_last(shape: Sequence[int]) -> bool:
    """Return whether a tensor's channels stand last; where either axis may be them, they stand first, as in torch."""
    return shape[1] not in CHANNELS and shape[3] in CHANNELS


def _is_image(value: Any) -> bool:
    is_shaped = isinstance(value, Tensor | np.ndarray) and value.ndim == 3
    return is_shaped and (value.shape[0] in CHANNELS or value.shape[2] in CHANNELS)
