"""The forms that clips come in: tensors, arrays, lists of them, lists of PIL frames, what pipelines return.

Any of them becomes one tensor ``(N, T, C, H, W)``, as :mod:`streaming_metrics.images.forms` does for images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from streaming_metrics.images.conversion import RANKS, to_uint8
from streaming_metrics.images.forms import CHANNELS, as_tensor, candidates, describe, fields_of, is_of

RANK = RANKS["clips"]


def as_clips(value: Any) -> Tensor | None:
    """Return clips as one tensor ``(N, T, C, H, W)``, uint8 or float; None where the value is no form of clips.

    Args:
        value: a tensor or array ``(N, T, C, H, W)`` or ``(N, T, H, W, C)``; a list or tuple of such without N, or of
            lists of PIL frames; an output object, dataclass, mapping or named tuple of which one field holds such.

    Raises:
        ValueError: where it may be read in two ways, or holds clips of several sizes.

    Example:
        >>> as_clips(np.zeros((2, 4, 8, 9, 3), np.uint8)).shape, as_clips([torch.zeros(4, 3, 8, 9)] * 2).shape
        (torch.Size([2, 4, 3, 8, 9]), torch.Size([2, 4, 3, 8, 9]))
    """
    if isinstance(value, Tensor):
        is_last = value.ndim == RANK and value.shape[2] not in CHANNELS and value.shape[4] in CHANNELS
        return value.movedim(-1, 2) if is_last else value
    if isinstance(value, np.ndarray):
        return _from_array(value)
    parts = _fields_of(value)
    if parts is not None:
        return _from_fields(value, parts)
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value):
        return _from_list(value)
    return None


def is_clips(value: Any) -> bool:
    """Return whether a value looks like a batch of clips: five dimensions, one or three channels, uint8 or float.

    Example:
        >>> is_clips(torch.zeros(2, 4, 3, 8, 8)), is_clips(torch.zeros(2, 3, 8, 8))
        (True, False)
    """
    if isinstance(value, Tensor | np.ndarray):
        shaped = value.ndim == RANK and (value.shape[2] in CHANNELS or value.shape[4] in CHANNELS)
        return shaped and str(value.dtype).rpartition(".")[2].startswith(("uint8", "float", "bfloat"))
    if isinstance(value, list | tuple) and value:
        return all(_is_clip(part) for part in value)
    return False


def _is_clip(value: Any) -> bool:
    if isinstance(value, Tensor | np.ndarray):
        return is_clips(value[None])
    return isinstance(value, list | tuple) and bool(value) and all(is_of(frame, "PIL") for frame in value)


def _fields_of(value: Any) -> dict[Any, Any] | None:
    parts = fields_of(value)
    return {"frames": value.frames} if parts is None and hasattr(value, "frames") else parts


def _from_fields(value: Any, parts: dict[Any, Any]) -> Tensor | None:
    found = {name: part for name, part in parts.items() if is_clips(part)}
    if len(found) > 1:
        raise ValueError(
            f"Expected one field of clips in a {type(value).__name__}, got {candidates(found)}. Remedy: return the "
            "clips alone."
        )
    clips = as_clips(next(iter(found.values()))) if found else None
    if clips is None or not clips.is_floating_point() or not is_of(value, "diffusers"):
        return clips
    return to_uint8(spread(clips), (0, 1), "clips")


def _from_list(values: Sequence[Any]) -> Tensor | None:
    if isinstance(values, tuple) and len(values) == 1 and is_clips(values[0]):
        return as_clips(values[0])  # what a pipeline returns with return_dict=False
    if all(isinstance(one, Sequence) and _is_clip(one) for one in values):
        clips: list[Any] = [as_tensor(list(one)) for one in values]
    elif all(isinstance(one, Tensor) and one.ndim == RANK - 1 for one in values):
        clips = list(values)
    elif all(isinstance(one, np.ndarray) and one.ndim == RANK - 1 for one in values):
        clips = [_from_array(one[None])[0] for one in values]
    else:
        return None
    sizes = sorted({tuple(clip.shape) for clip in clips})
    if len(sizes) > 1:
        raise ValueError(f"Expected clips of one size, got {sizes[0]} and {sizes[1]}. Remedy: cut them to one.")
    return as_clips(torch.stack(clips))


def _from_array(array: np.ndarray) -> Tensor:
    if array.ndim == RANK and array.shape[2] in CHANNELS and array.shape[4] in CHANNELS:
        raise ValueError(
            f"Expected clips whose channels are known, got {describe(array)}: either axis may be. "
            "Remedy: torch.from_numpy(array), channels before rows."
        )
    return as_clips(torch.from_numpy(np.array(array)))  # pyright: ignore[reportReturnType]


def spread(samples: Tensor) -> Tensor:
    """Return images or clips with one channel as RGB, and others as they are.

    Example:
        >>> spread(torch.zeros(2, 4, 1, 8, 8)).shape, spread(torch.zeros(2, 1, 8, 8)).shape
        (torch.Size([2, 4, 3, 8, 8]), torch.Size([2, 3, 8, 8]))
    """
    is_grey = samples.ndim >= RANK - 1 and samples.shape[-3] == 1
    return samples.expand(*samples.shape[:-3], 3, *samples.shape[-2:]) if is_grey else samples
