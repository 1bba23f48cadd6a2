"""Look-up of real images by their numbers: none is stored, they are read again from the dataset they came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming_metrics.images.batches import Key, find_images, pixels_of
from streaming_metrics.images.shrink import shrunk
from streaming_metrics.images.stills import stills_of
from streaming_metrics.untouched import untouched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from streaming_metrics.images.conversion import Takes

NO_WAY_BACK = (
    "The real images are left out: their dataset cannot be read by number, their order is not its own, or its items "
    "are not one image each."
)
IN_A_FILE = "The real images are left out: a reference file holds none."


def look_up(
    loader: Any,
    image_key: Key,
    value_range: tuple[float, float],
    ids: Sequence[int],
    side: int,
    takes: Takes = "images",
) -> dict[int, Tensor]:
    """Return pictures ``(3, h, w)`` uint8, no larger than ``side``, by their numbers in the loader's dataset."""
    collate = getattr(loader, "collate_fn", None) or (lambda samples: samples)
    found = {}
    with untouched(loader):
        for number in ids:
            image = find_images(collate([loader.dataset[number]]), image_key, takes)
            pixels = pixels_of(image, value_range, f"real {takes}", takes=takes)
            found[number] = shrunk(stills_of(pixels), side)[0].cpu()
    return found
