"""Columns beside images: labels found in batches, and what comes with generated images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from streaming_metrics.images.batches import is_dropped, name_of, pick
from streaming_metrics.images.forms import describe
from streaming_metrics.statistics.captions import hashed_texts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from streaming_metrics.images.batches import Key

COLUMNS = ("labels", "captions")
"""Columns of samples that measures may read, int64 ``(N,)``."""


def find_labels(batch: Any, label_key: Key, n: int) -> Tensor:
    """Return the labels of a batch's n images, int64 ``(n,)``; none where the batch was dropped.

    Args:
        batch: as :func:`~streaming_metrics.images.batches.find_images` takes it.
        label_key: a key, a position, or a callable from the batch to its labels.
        n: images in the batch.

    Raises:
        TypeError, ValueError: where there are none, or they are not one integer an image.

    Example:
        >>> find_labels({"img": torch.zeros(2, 3, 8, 8), "label": [3, 1]}, "label", n=2)
        tensor([3, 1])
    """
    if is_dropped(batch):
        return torch.empty(0, dtype=torch.int64)
    found, source = pick(batch, label_key), f"label_key={name_of(label_key)}"
    if found is None:
        raise ValueError(
            f"{source}: Expected labels of the images in the batch, got {describe(batch)}. Remedy: give label_key= a "
            "key or position that exists, or a function from the batch to its labels."
        )
    return as_column(found, n, f"{source}: Expected labels")


def checked_columns(given: Mapping[str, Any], n: int, source: str) -> dict[str, Tensor]:
    """Return the columns that came beside n images, int64 ``(n,)`` each.

    Args:
        given: by name; captions may be texts, of which the hashes are taken.
        n: images.
        source: names the giver in errors.

    Raises:
        TypeError, ValueError: for a column of another name, or one that is not one integer an image.

    Example:
        >>> checked_columns({"labels": [3, 1]}, 2, "sample")
        {'labels': tensor([3, 1])}
        >>> checked_columns({"captions": ["a cat"]}, 1, "sample")
        {'captions': tensor([5900954942076057986])}
    """
    unknown = [name for name in given if name not in COLUMNS]
    if unknown:
        raise ValueError(
            f"{source}: Expected columns among {list(COLUMNS)} beside the images, got {unknown[0]!r}. Remedy: return "
            '(images, {"labels": labels}), or the images alone.'
        )
    given = {name: hashed_texts(column) if name == "captions" else column for name, column in given.items()}
    return {name: as_column(column, n, f"{source}: Expected {name}") for name, column in given.items()}


def as_column(given: Any, n: int, expected: str) -> Tensor:
    """Return one integer an image as int64 ``(n,)``: of a tensor, an array or a list of integers.

    Args:
        given: the integers.
        n: how many.
        expected: the beginning of errors.

    Raises:
        TypeError: no integers.
        ValueError: another shape.

    Example:
        >>> as_column(torch.tensor([3, 1], dtype=torch.int32), 2, "Expected labels")
        tensor([3, 1])
    """
    try:
        column = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        column = None
    if column is None or column.dtype == torch.bool or column.is_floating_point() or column.is_complex():
        raise TypeError(
            f"{expected}, integers ({n},), got {describe(given)}. Remedy: the numbers of their classes, e.g. "
            "labels.argmax(1) of one-hot rows, or labels.long()."
        )
    if column.shape != (n,):
        raise ValueError(
            f"{expected}, integers ({n},), one an image, got {describe(column)}. Remedy: labels.flatten() of a "
            "column; labels.repeat_interleave(images an item) where an item is several images."
        )
    return column.to(torch.int64, copy=True)


WITHOUT = {
    "labels": " A model that draws no class has none: leave out the measures that read them; Modes() without classes= "
    "says which parts of the real images are missing."
}
"""What else to do where generated images have no such column."""


def refuse_missing(columns: Collection[str], needed: Iterable[str], source: str) -> None:
    """Raise ValueError where a column is missing beside generated images, and a measure reads it."""
    for name in needed:
        if name not in columns:
            one = "text" if name == "captions" else "integer"
            raise ValueError(
                f"{source}: Expected {name} beside the images, as a measure reads them, got the images alone. Remedy: "
                f'return (images, {{"{name}": {name}}}), one {one} an image.{WITHOUT.get(name, "")}'
            )
