"""Captions of images, as texts: found in batches, and beside generated images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming_metrics.images.batches import name_of, pick
from streaming_metrics.images.forms import describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.images.batches import Key

COLUMN = "captions"


def find_captions(batch: Any, caption_key: Key, n: int) -> tuple[str, ...]:
    """Return the captions of a batch's n images.

    Args:
        batch: as :func:`~streaming_metrics.images.batches.find_images` takes it.
        caption_key: a key, a position, or a callable from the batch to its captions.
        n: images in the batch.

    Raises:
        TypeError, ValueError: where there are none, or they are not one text an image.

    Example:
        >>> find_captions({"image": None, "text": ["a cat", "a dog"]}, "text", n=2)
        ('a cat', 'a dog')
    """
    found, source = pick(batch, caption_key), f"caption_key={name_of(caption_key)}"
    if found is None:
        raise ValueError(
            f"{source}: Expected captions of the images in the batch, got {describe(batch)}. Remedy: give caption_key= "
            "a key or position that exists, or a function from the batch to its captions."
        )
    return as_captions(found, n, source)


def captions_apart(columns: Mapping[str, Any], n: int, source: str) -> tuple[dict[str, Any], tuple[str, ...] | None]:
    """Return columns without captions that are texts, and those; None where there are none.

    Args:
        columns: that came beside n images; captions among them may also be integers, hashes of them.
        n: images.
        source: names the giver in errors.

    Example:
        >>> captions_apart({"labels": [3], "captions": ["a cat"]}, 1, "sample")
        ({'labels': [3]}, ('a cat',))
    """
    given = columns.get(COLUMN)
    if not _are_texts(given):
        return dict(columns), None
    return {name: column for name, column in columns.items() if name != COLUMN}, as_captions(given, n, source)


def as_captions(given: Any, n: int, source: str) -> tuple[str, ...]:
    """Return one text an image; raise TypeError or ValueError, naming the source, for anything else."""
    if not _are_texts(given):
        raise TypeError(f"{source}: Expected captions, {n} texts, got {describe(given)}. Remedy: a list of str.")
    if len(given) != n:
        raise ValueError(f"{source}: Expected captions, {n} texts, one an image, got {len(given)}.")
    return tuple(map(str, given))


def _are_texts(given: Any) -> bool:
    return hasattr(given, "__len__") and not isinstance(given, str) and all(isinstance(one, str) for one in given)
