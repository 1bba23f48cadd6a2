"""Gallery: the samples worth looking at, beside their neighbours, with their distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from streaming_metrics.report.pictures import data_uri, is_small

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.core.closest import ClosestPairs
    from streaming_metrics.core.nearest_samples import NearestSamples

SHOWN, PAIRS = 16, 8


class Item(NamedTuple):
    """Item of a gallery, a picture or a pair: data URIs, each in words, digits below, whether pixels show."""

    pictures: tuple[str, ...]
    words: tuple[str, ...]
    caption: str
    is_small: bool

    @classmethod
    def of(cls, images: Sequence[Tensor], words: Sequence[str], value: float) -> Item:
        """Return images ``(3, H, W)`` uint8 above a value."""
        return cls(tuple(map(data_uri, images)), tuple(words), f"{value:.2f}", all(map(is_small, images)))


@dataclass(frozen=True)
class Section:
    """Section of a gallery: a heading, what it shows, and its items."""

    title: str
    text: str
    items: tuple[Item, ...] = ()


class Selection(NamedTuple):
    """Selection of samples to look at: their places among the nearest samples."""

    fixed: Tensor
    farthest: Tensor
    nearest: Tensor
    uncovered: Tensor

    @classmethod
    def of(cls, around: NearestSamples, among: Tensor | None = None) -> Selection:
        """Return the samples to look at; of the generated ones, those with ids ``among`` if given."""
        fixed, farthest, nearest = (pick(SHOWN, among) for pick in (around.fixed, around.farthest, around.nearest))
        return cls(fixed, farthest, nearest, around.uncovered(SHOWN))

    def fakes(self, around: NearestSamples) -> Tensor:
        """Return the ids of the generated images to show."""
        return around.fake[torch.cat([self.fixed, self.farthest, self.nearest])].unique()

    def reals(self, around: NearestSamples) -> Tensor:
        """Return the ids of the real images to show."""
        neighbours = around.fake_neighbour[torch.cat([self.fixed, self.nearest])]
        return torch.cat([neighbours, around.real[self.uncovered]]).unique()


@dataclass(frozen=True)
class Gallery:
    """Gallery of one measured epoch.

    Args:
        note: what distances mean, or why there is nothing to show.
        sections: the samples, under headings.
    """

    note: str
    sections: tuple[Section, ...] = ()

    @classmethod
    def of(
        cls,
        around: NearestSamples,
        selection: Selection,
        fakes: Mapping[int, Tensor] | None,
        reals: Mapping[int, Tensor] | None,
        searched: int | None = None,
        missing: str = "",
        closest: ClosestPairs | None = None,
    ) -> Gallery:
        """Return the samples of a selection beside their neighbours.

        Args:
            around: who is nearest to whom.
            selection: the samples to look at.
            fakes, reals: images ``(3, H, W)`` uint8 by id; None where they cannot be shown.
            searched: how many generated samples the selection was made of; None for all.
            missing: why one of them cannot be shown.
            closest: pairs of generated samples that are shown beside each other.
        """
        scope = f"Of {searched or len(around.fake):,} generated samples" + (" kept to look at" if searched else "")
        found: list[Section] = []
        if fakes is not None and reals is not None:
            fixed = _pairs(around, selection.fixed, fakes, reals)
            found.append(Section("Fixed samples beside their nearest real images", _FIXED, fixed))
        if fakes is not None:
            near, far = _pairs(around, selection.nearest, fakes, reals), _pairs(around, selection.farthest, fakes, None)
            found.append(Section("Generated, nearest to the real images", f"{scope}. {_NEAREST}", near))
            found.append(Section("Generated, farthest from the real images", f"{scope}. {_FARTHEST}", far))
        if fakes is not None and closest is not None:
            found.append(_repeats(closest, around.spacing, fakes))
        if reals is not None:
            found.append(_lonely(around, selection.uncovered, reals))
        return cls(f"{_UNIT.format(_ordinal(around.k))} {missing}".strip(), tuple(found))


def _pairs(
    around: NearestSamples, places: Tensor, fakes: Mapping[int, Tensor], reals: Mapping[int, Tensor] | None
) -> tuple[Item, ...]:
    items: list[Item] = []
    for place in places.tolist():
        distance = float(around.fake_distance[place])
        images, words = [fakes[int(around.fake[place])]], [f"Generated, {distance:.2f} from its nearest real image"]
        if reals is not None:
            images.append(reals[int(around.fake_neighbour[place])])
            words.append("The nearest real image")
        items.append(Item.of(images, words, distance))
    return tuple(items)


def _repeats(closest: ClosestPairs, spacing: float, fakes: Mapping[int, Tensor]) -> Section:
    """Return the generated samples that are closest to each other."""
    items = tuple(
        Item.of([fakes[one], fakes[other]], ["Generated", f"Generated, {d:.2f} from it"], d)
        for (one, other), d in zip(closest.ids.tolist(), (closest.distance / spacing).tolist())
    )
    return Section("Generated, closest to each other", _CLOSEST.format(closest.searched), items)


def _lonely(around: NearestSamples, places: Tensor, reals: Mapping[int, Tensor]) -> Section:
    share = len(around.uncovered()) / len(around.real)
    text = _UNCOVERED.format(share, len(around.real), _ordinal(around.k)) if len(places) else _COVERED
    ratio = (around.real_distance / around.radius.clamp(min=1e-12))[places].tolist()
    items = tuple(
        Item.of([reals[int(around.real[place])]], [f"Real, {r:.2f} radii from the nearest sample"], r)
        for place, r in zip(places.tolist(), ratio)
    )
    return Section("Real images not covered", text, items)


def _ordinal(k: int) -> str:
    """Return a rank in words.

    Example:
        >>> _ordinal(1), _ordinal(3), _ordinal(11), _ordinal(22)
        ('1st', '3rd', '11th', '22nd')
    """
    ending = "th" if k % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(k % 10, "th")
    return f"{k}{ending}"


NO_FEATURES = (
    "No measure here keeps features of both sides, so who is nearest to whom, which modes there "
    "are and where images lie is not known. PRDC() or KID() shows it."
)
_UNIT = (
    "Distances are between features: 1 is the median distance of a real image to its {} nearest other one, and a "
    "sample near 0 is a copy."
)
_FIXED = "Left generated, right the nearest of all real images. The same samples every time, chosen by their numbers."
_NEAREST = "Copies, if there are any, come first."
_FARTHEST = "What looks like nothing real: artefacts, or rare things done well."
_CLOSEST = (
    "Of {:,} generated samples. Pairs that show one picture are repeats: where s samples hold one, a generator makes "
    "about s²/1.4 different pictures, or fewer (the birthday paradox)."
)
_UNCOVERED = (
    "{:.1%} of {:,} real images have no generated sample within the distance of their {} nearest other real one. The "
    "loneliest come first; below, how many times that distance the nearest sample is away."
)
_COVERED = "Every real image has a generated sample nearer than its own neighbours."
