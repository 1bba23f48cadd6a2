"""A dataset of one's own as a source of images, and what else an import path names."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from streaming_metrics.images.base import Images
from streaming_metrics.images.decode import Unreadable, orientation_of, to_tensor, turned
from streaming_metrics.images.forms import describe
from streaming_metrics.images.layouts import in_range, untold

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class OwnDataset(Images):
    """A dataset by its import path.

    Args:
        dataset: map-style; its items are images, or tuples or dicts with one: tensors ``(3 or 1, H, W)``, arrays
            ``(H, W, 3)``, both uint8 or floats, or PIL images, which have 8 bits a channel of colour whatever their
            file has.
        source: names it in errors.
        value_range: the floats that stand for black and white; None where none are told, and none are taken.
    """

    def __init__(self, dataset: Sequence[Any], source: str, value_range: tuple[float, float] | None = None) -> None:
        self.dataset, self.source, self.value_range = dataset, source, value_range

    def __len__(self) -> int:
        return len(self.dataset)

    def name(self, i: int) -> str:
        return f"{self.source}[{i}]"

    def recipe(self) -> str:
        return f"{super().recipe()} {self.source} {self.value_range or ''}".rstrip()

    def __getitem__(self, i: int) -> Tensor:
        try:
            item = self.dataset[i]
        except Exception as error:  # whatever a user's own data set raises
            raise Unreadable(f"{type(error).__name__}: {error}") from error
        image = _image_in(item)
        try:
            if isinstance(image, Image.Image):
                return turned(to_tensor(image), orientation_of(image)) if self.upright else to_tensor(image)
            return self._pixels(_as_tensor(image), item)
        except (TypeError, ValueError) as error:
            raise Unreadable(str(error)) from error

    def _pixels(self, image: Any, item: Any) -> Tensor:
        if _is_image(image) and image.dtype == torch.uint8:
            return image.expand(3, -1, -1)
        if _is_image(image) and image.is_floating_point():
            if self.value_range is None:
                raise ValueError(untold(image, self.source))
            return in_range(image.expand(3, -1, -1), self.value_range)
        raise ValueError(
            f"expected a tensor (3, H, W) or an array (H, W, 3), uint8 or floats, or a PIL image, got {describe(item)}"
        )


def imported(text: str) -> Any:
    """Return what ``package.module:name`` names, looked for in the working directory too.

    Raises:
        FileNotFoundError: where there is no such module or name.
    """
    module, _, name = text.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise FileNotFoundError(f"Expected package.module:name or a path, got {text!r}: {error}.") from error


def dataset_at(text: str) -> Any:
    """Return the map-style dataset that an import path names, or that the function that it names returns.

    Raises:
        FileNotFoundError: where there is no such module or name.
        ValueError: where it is none.
    """
    found = imported(text)
    dataset = found() if not hasattr(found, "__getitem__") and callable(found) else found
    if isinstance(dataset, type) or not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        raise ValueError(
            f"{text}: expected a map-style dataset (len() and []), or a function that returns one, got {dataset!r}."
        )
    return dataset


def refuse_untold(source: T) -> T:
    """Return a source, once the first image of a dataset of one's own is no float whose range nobody told.

    Raises:
        ValueError: where it is: none of the others would read either.
    """
    if isinstance(source, OwnDataset) and source.value_range is None and len(source):
        try:
            image = _as_tensor(_image_in(source.dataset[0]))
        except Exception:  # what a user's own data set raises is for the reader to tell
            return source
        if _is_image(image) and image.is_floating_point():
            raise ValueError(f"{source.source}: {untold(image, source.source)}")
    return source


def _image_in(item: Any) -> Any:
    """Return the first image of a tuple or dict; anything else as it is."""
    inside = list(item.values()) if isinstance(item, dict) else item if isinstance(item, (tuple, list)) else [item]
    return next((value for value in inside if isinstance(value, (Tensor, np.ndarray, Image.Image))), item)


def _as_tensor(image: Any) -> Any:
    is_array = isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3
    return torch.from_numpy(image.transpose(2, 0, 1).copy()) if is_array else image


def _is_image(image: Any) -> bool:
    return isinstance(image, Tensor) and image.ndim == 3 and image.shape[0] in (1, 3)
