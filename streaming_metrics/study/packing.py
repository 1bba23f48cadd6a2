"""Packing of a study: its images are read once, and put into its store as they are shown.

The only part of a study that reads images, and so needs PyTorch: it is imported when there is something to pack.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from streaming_metrics.study.feasible import noise_count, noise_origin, noise_source
from streaming_metrics.study.records import Item
from streaming_metrics.study.sources import located, outline
from streaming_metrics.study.trial import NOISE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from torch import Tensor

    from streaming_metrics.images import Images
    from streaming_metrics.study.plan import StudyPlan
    from streaming_metrics.study.store import Store

    Bar = Callable[[int], AbstractContextManager[Callable[[int], Any]]]

LARGEST_SIDE = 2048
"""Pixels of an image's longer side: larger ones are shrunk, since no screen that a rater has shows more."""
PLENTY = 100
"""Images of a condition that are taken where neither the plan nor its prompts say how many."""
PNG = "image/png"


def open_study(plan: StudyPlan, store: Store, bar: Bar) -> StudyPlan:
    """Return the plan with its images, which are read from their sources where the store does not have them yet.

    A store keeps what raters see. Once it has the images, their sources are no longer needed; where they are there, and
    the names or sizes of their files have changed, the study has changed.

    Args:
        plan: as read.
        store: of this study, or an empty one.
        bar: shows how many of so many images are packed.

    Raises:
        StudyChanged: where answers were given to another plan, or to other images.
        ValueError, FileNotFoundError: where a source does not read, or holds too few images.
    """
    outlines = _outlines(plan, store)
    digest = hashlib.sha256(f"{plan.plan_digest} {outlines}".encode()).hexdigest()
    known = plan.with_items(store.items()) if _is_of(store, digest) else plan
    if not store.begin(known.study, digest, known.to_json()):
        return known
    store.note("sources", outlines)
    pack(plan, store, bar)
    known = plan.with_items(store.items())
    store.begin(known.study, digest, known.to_json())
    return known


def pack(plan: StudyPlan, store: Store, bar: Bar) -> None:
    """Add the images of a plan to a store: all, or none where one does not read."""
    chosen = {name: _chosen(plan, name) for name in plan.conditions}
    counted = plan.with_counts({name: len(images) for name, images in chosen.items()})
    with bar(sum(counted.counts.values())) as advance:
        store.add_items(_items(counted, chosen, advance))


def _is_of(store: Store, digest: str) -> bool:
    return store.meta("digest") == digest and bool(store.items())


def _outlines(plan: StudyPlan, store: Store) -> str:
    """Return the outlines of sources by condition; of those that are gone, what they were."""
    before = json.loads(store.meta("sources") or "{}")
    outlines = {name: outline(source, plan.folder) for name, source in plan.conditions.items()}
    return json.dumps({name: found or before.get(name, "") for name, found in outlines.items()})


def _chosen(plan: StudyPlan, condition: str) -> Images:
    """Return the images that are taken of a condition: the first with prompts, else some spread over all."""
    from streaming_metrics.images import Chosen, Images, find_source

    source = find_source(located(plan.conditions[condition], plan.folder))
    if not isinstance(source, Images):
        raise ValueError(f"conditions.{condition}: expected images, got a saved reference. Remedy: its images.")
    prompted = bool(plan.prompts) and any(condition in task.all_conditions for task in plan.tasks if task.shows_prompts)
    wanted = plan.images or (len(source) if prompted else PLENTY)
    count = min(wanted, len(source))
    return Chosen(source, [k if prompted else k * len(source) // count for k in range(count)])


def _items(plan: StudyPlan, chosen: dict[str, Images], advance: Callable[[int], Any]) -> Iterator[Item]:
    for name, images in chosen.items():
        for index in range(len(images)):
            yield _item(plan, name, index, _read(images, index))
            advance(1)
    source = chosen[noise_source(plan)]
    for index in range(noise_count(plan)):
        yield _item(plan, NOISE, index, noise_of(_read(source, noise_origin(plan, index)), plan.seed + index))
        advance(1)


def _item(plan: StudyPlan, condition: str, index: int, image: Tensor) -> Item:
    from streaming_metrics.images.encode import png_of

    return Item(plan.number(condition, index), condition, index, PNG, png_of(image))


def _read(images: Images, index: int) -> Tensor:
    """Return an image as it is shown; raise Unreadable, with its name, where it does not read."""
    from streaming_metrics.images import Unreadable
    from streaming_metrics.images.shrink import shrunk

    try:
        return shrunk(images[index][None], LARGEST_SIDE)[0]
    except Unreadable as error:
        raise Unreadable(f"{images.name(index)}: {error}. Remedy: mend or remove it.") from error


def noise_of(image: Tensor, seed: int) -> Tensor:
    """Return an image ``(3, H, W)`` with its pixels in another order: the same colours, and nothing to see.

    Example:
        >>> import torch
        >>> image = torch.arange(192, dtype=torch.uint8).view(3, 8, 8)
        >>> noise = noise_of(image, seed=0)
        >>> noise.equal(image), noise.flatten(1).sort().values.equal(image.flatten(1))
        (False, True)
    """
    import torch

    pixels = image.flatten(1)
    order = torch.randperm(pixels.shape[1], generator=torch.Generator().manual_seed(seed))
    return pixels[:, order].view_as(image)
