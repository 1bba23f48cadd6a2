"""Reach of an epoch's images: how much of their declared range they use, by which those of another range are seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.images.base import Images

LOOKED_AT = 32
"""Images of a source of floats that are looked at before work."""
MIDDLE = (127, 128)
ENOUGH = 64
"""Levels of 256 that images have to cover before their range is in doubt: a flat grey says nothing."""


class Reach:
    """The darkest and the brightest pixel of one side's images, gathered on their device without waiting for it.

    Example:
        >>> reach = Reach()
        >>> reach.see(torch.tensor([130, 250], dtype=torch.uint8), is_float=True)
        >>> Span(*reach.extremes().tolist()).stays_in_half
        True
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self._extremes, self._is_float = None, False

    def see(self, images: Tensor, *, is_float: bool) -> None:
        """Take note of uint8 images; floats are what they were made of where ``is_float``."""
        if images.numel():
            extremes = torch.stack([~images.amin(), images.amax()])
            self._extremes = extremes if self._extremes is None else torch.maximum(self._extremes, extremes)
            self._is_float |= is_float

    def extremes(self) -> Tensor:
        """Return int64 ``(3,)`` on the CPU: 255 less the darkest, the brightest, whether there were floats.

        The larger of two ranks' is that of both.
        """
        seen = [0, 0] if self._extremes is None else self._extremes.tolist()
        return torch.tensor([*seen, self._is_float])


@dataclass(frozen=True)
class Span:
    """What one side reaches, over all ranks."""

    inverse_darkest: int
    brightest: int
    is_float: int

    @property
    def darkest(self) -> int:
        """The darkest pixel; 255 where there are no images."""
        return 255 - self.inverse_darkest

    @property
    def stays_in_half(self) -> bool:
        """Whether the images cover much of one half of their range, and nothing of the other."""
        covered = self.brightest - self.darkest
        return covered >= ENOUGH and (self.darkest >= MIDDLE[0] or self.brightest <= MIDDLE[1])

    @property
    def leaves_half(self) -> bool:
        """Whether the images reach into both halves."""
        return self.darkest < MIDDLE[0] and self.brightest > MIDDLE[1]


def range_warning(
    real: Span,
    fake: Span,
    value_range: tuple[float, float],
    sample_range: tuple[float, float],
    whose: str = "real",
) -> str | None:
    """Return what to say where one side's floats stay in half of their range, while the other side leaves its half.

    Args:
        real: what the real images reach; nothing where they are a reference file's, which is taken to leave its half.
        fake: what the generated images reach.
        value_range, sample_range: what is declared of them.
        whose: what the images that are not generated are called.

    Example:
        >>> dark, full = Span(inverse_darkest=255, brightest=120, is_float=1), Span(255, 255, 1)
        >>> range_warning(full, dark, (0, 1), (0, 1)).split(",")[0]
        'The generated images never leave the lower half of sample_range=(0'
        >>> range_warning(dark, dark, (0, 1), (0, 1)) is None
        True
    """
    sides = ((fake, real, "generated", "sample_range", sample_range), (real, fake, whose, "value_range", value_range))
    for side, other, name, argument, declared in sides:
        is_other_wide = other.leaves_half or (other is real and other.darkest > other.brightest)
        if side.is_float and side.stays_in_half and is_other_wide:
            half = "lower" if side.brightest <= MIDDLE[1] else "upper"
            return _HALF.format(name, half, argument, *declared)
    return None


def told_range_warning(images: Images, name: str) -> str | None:
    """Return what to say of a source of floats, of which those that are looked at stay in half of the range that was
    told; None where they do not, or none was told.

    Args:
        images: the source; some of its images are read, spread over it.
        name: what the user calls it.
    """
    if images.value_range is None:
        return None
    seen = [images[i] for i in range(0, len(images), max(1, len(images) // LOOKED_AT))]
    darkest, brightest = min(int(image.min()) for image in seen), max(int(image.max()) for image in seen)
    if not Span(255 - darkest, brightest, 1).stays_in_half:
        return None
    half = "lower" if brightest <= MIDDLE[1] else "upper"
    return _TOLD.format(name, len(seen), half, *images.value_range)


_TOLD = (
    "{0}: {1} images that were looked at never leave the {2} half of range={3:g},{4:g}: if they are of another range, "
    "every score is wrong. Remedy: 0,1 or -1,1, as they are; ignore this where they are meant to look so."
)
_HALF = (
    "The {0} images never leave the {1} half of {2}=({3:g}, {4:g}) in a whole epoch, and those of the other side do: "
    "if they are of another range, every score is wrong. Remedy: give {2}= the range of the {0} images, (0, 1) or "
    "(-1, 1); ignore this where they are meant to look so."
)
