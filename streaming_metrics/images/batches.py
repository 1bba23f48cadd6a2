"""Images in batches: found in what a dataloader, a step or a sampler gives, and made uint8."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from streaming_metrics.deferred import retold
from streaming_metrics.images.clip_forms import as_clips, is_clips, spread
from streaming_metrics.images.conversion import RANKS, SHAPES, Takes, to_uint8
from streaming_metrics.images.forms import as_tensor, candidates, describe, fields_of, is_images

if TYPE_CHECKING:
    from streaming_metrics.images.ranges import Reach

Key: TypeAlias = "str | int | Callable[[Any], Tensor]"
TENSOR_OF: dict[Takes, Callable[[Any], Tensor | None]] = {"images": as_tensor, "clips": as_clips}
LOOKS_LIKE: dict[Takes, Callable[[Any], bool]] = {"images": is_images, "clips": is_clips}


def find_images(batch: Any, image_key: Key = "auto", takes: Takes = "images") -> Tensor:
    """Return the images of a batch, ``(N, C, H, W)``, or its clips; none where the batch was dropped: None, or empty.

    Args:
        batch: a tensor, a tuple or list, a mapping, or whatever a callable ``image_key`` takes. Images may be in any
            form that :func:`~streaming_metrics.images.forms.as_tensor` takes.
        image_key: a key or position; a callable from the batch; or ``"auto"``: the batch itself, or the one part of it
            that looks like images (:func:`~streaming_metrics.images.forms.is_images`).
        takes: ``"images"``, or ``"clips"``, ``(N, T, C, H, W)``.

    Raises:
        ValueError: where there is none, naming the keys that exist; for ``"auto"`` where there are several.

    Example:
        >>> find_images({"label": torch.tensor([1]), "img": torch.zeros(1, 3, 8, 8)}).shape
        torch.Size([1, 3, 8, 8])
    """
    if is_dropped(batch):
        return _none_of(takes)
    found = _only_images(batch, takes) if image_key == "auto" else pick(batch, image_key)
    if isinstance(found, Sequence) and not len(found):
        return _none_of(takes)
    images = TENSOR_OF[takes](found)
    if images is None:
        raise ValueError(
            f"image_key={name_of(image_key)}: Expected a tensor of {takes} in the batch, got {describe(batch)}. "
            f"Remedy: give image_key= a key or position that exists, or a function from the batch to its {takes}."
        )
    return images


def find_fakes(outputs: Any, fake_key: Key, takes: Takes = "images") -> tuple[Tensor, Mapping[str, Any]]:
    """Return the generated images in what ``validation_step`` returned, and the columns beside them: see :func:`apart`.

    Args:
        outputs: of the step.
        fake_key: where they are: a key, a position, or a callable from the outputs.
        takes: ``"images"`` or ``"clips"``.

    Raises:
        ValueError: where there is none, naming the keys that exist.
    """
    found, columns = apart(pick(outputs, fake_key))
    images = TENSOR_OF[takes](found)
    if images is None:
        raise ValueError(
            f"fake_key={name_of(fake_key)}: Expected a tensor of {takes} in what the step returned, got "
            f"{describe(outputs)}. Remedy: return {{'fake': images, …}} from validation_step and test_step, and give "
            "fake_key= that key."
        )
    return images, columns


def apart(returned: Any) -> tuple[Any, Mapping[str, Any]]:
    """Return images, and the columns beside them where a pair ``(images, {"labels": …})`` was returned.

    Example:
        >>> apart(("images", {"labels": [3, 1]})), apart("images")
        (('images', {'labels': [3, 1]}), ('images', {}))
    """
    is_pair = isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], Mapping)
    return returned if is_pair else (returned, {})


def is_dropped(batch: Any) -> bool:
    """Return whether nothing is left of a batch: its ``collate_fn`` dropped every item.

    Example:
        >>> is_dropped(None), is_dropped([]), is_dropped(torch.empty(0)), is_dropped([torch.zeros(1)])
        (True, True, True, False)
    """
    if isinstance(batch, Tensor):
        return not batch.numel()
    return batch is None or (isinstance(batch, Sized) and not len(batch))


def as_uint8(
    images: Any,
    value_range: tuple[float, float],
    source: str,
    n: int | None = None,
    reach: Reach | None = None,
    takes: Takes = "images",
) -> Tensor:
    """Return images of any form that :func:`~streaming_metrics.images.forms.as_tensor` takes as :func:`pixels_of` does.

    Raises:
        TypeError, ValueError: where form, number, shape, dtype or range is not as expected.
    """
    try:
        plain = TENSOR_OF[takes](images)
        if plain is None:
            raise _unexpected(TypeError, images, n, takes)
    except (TypeError, ValueError) as error:
        raise _named(error, source) from error
    return pixels_of(plain, value_range, source, n, reach, given=images, takes=takes)


def pixels_of(
    images: Tensor,
    value_range: tuple[float, float],
    source: str,
    n: int | None = None,
    reach: Reach | None = None,
    given: Any = None,
    takes: Takes = "images",
) -> Tensor:
    """Return images or clips as uint8, grey ones with their channel repeated; never an inference tensor.

    Args:
        images: ``(N, 3 or 1, H, W)``, uint8 or any float dtype in ``value_range``, as :func:`find_images` finds them.
        value_range: what floats stand for black and white.
        source: names the giver in errors, e.g. ``"sample"``.
        n: how many are expected; None takes any number.
        reach: takes note of how dark and bright they are.
        given: what they were made of, for errors; None for themselves.
        takes: ``"images"``, or ``"clips"``, ``(N, T, 3 or 1, H, W)``.

    Raises:
        TypeError, ValueError: where number, shape, dtype or range is not as expected.
    """
    with retold(lambda error: _named(error, source)):
        if images.ndim != RANKS[takes] or (n is not None and len(images) != n):
            raise _unexpected(ValueError, images if given is None else given, n, takes)
        plain = images.clone() if images.is_inference() else images
        coloured = spread(plain)
        pixels = to_uint8(coloured, value_range, takes) if len(plain) else coloured.to(torch.uint8)
    if reach is not None:
        reach.see(pixels, is_float=plain.is_floating_point())
    return pixels


def name_of(key: Key) -> str:
    """Return how an error names a key, a position or a callable.

    Example:
        >>> name_of("img"), name_of(1), name_of(find_images)
        ("'img'", '1', 'find_images')
    """
    return getattr(key, "__qualname__", repr(key))


def _named(error: Exception, source: str) -> Exception:
    """Return an error that begins with the giver of the images."""
    return type(error)(f"{source}: {error}")


def _none_of(takes: Takes) -> Tensor:
    """Return no images, or no clips."""
    return torch.empty(0, *(1,) * (RANKS[takes] - RANKS["images"]), 3, 1, 1, dtype=torch.uint8)


def _unexpected(wrong: type[Exception], given: Any, n: int | None, takes: Takes) -> Exception:
    count = "N" if n is None else n
    return wrong(
        f"Expected {count} {takes}, a tensor {SHAPES[takes].replace('N', str(count))}, got {describe(given)}. "
        f"Remedy: one {takes[:-1]} for each that is asked for, channels first, in one tensor; or PIL images, or arrays "
        "with channels last."
    )


def _only_images(batch: Any, takes: Takes) -> Any:
    """Return the part of a batch that looks like images; where none does, what an error may name."""
    if isinstance(batch, Sequence) and not hasattr(batch, "_asdict"):
        parts = dict(enumerate(batch))
    else:
        parts = fields_of(batch)
    if parts is None:
        return batch
    found = {key: part for key, part in parts.items() if LOOKS_LIKE[takes](part)}
    if len(found) > 1:
        raise ValueError(
            f"image_key='auto': Expected one tensor of {takes} in the batch, got several: {candidates(found)}. "
            f"Remedy: say which are the real {takes}, e.g. image_key={next(iter(found))!r}."
        )
    return next(iter(found.values()), next((part for part in parts.values() if isinstance(part, Tensor)), None))


def pick(container: Any, key: Key) -> Any:
    """Return a part of a batch by key, position or callable; None where there is none."""
    if callable(key):
        return key(container)
    if isinstance(key, int) and isinstance(container, Sequence):
        return container[key] if -len(container) <= key < len(container) else None
    return (fields_of(container) or {}).get(key)
