"""Cases: sets of real images, corrupted or chosen otherwise, each by the numbers of what a store has seen of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from harness.corruptions import PIXELS, repeated, replaced, shifted, without_modes
from harness.image_sets import ImageSet, digits, photographs, resized

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from harness.stored import Store

NONE = "none"
"""What was done to images that were left as they are."""


@dataclass(frozen=True)
class Case:
    """A set of samples: what was done to real ones, how strongly; the numbers of the images, and their labels;
    whether nothing but these was changed.
    """

    corruption: str
    strength: str
    places: Tensor
    labels: Tensor
    is_relabelled: bool = False


def cases(data: ImageSet, n: int, draws: int, store: Store, seed: int = 0) -> tuple[dict[str, Case], list[Case]]:
    """Return the sides that are compared with, and every case, of which the first ``draws`` are real and the next too.

    Real images, training images and draws are different ones; held-out images are the real ones.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data), generator=generator)[: n * (draws + 3)]
    images, labels = data.images[order], data.labels[order]
    numbers = store.add(images)
    parts = list(zip(numbers.split(n), labels.split(n)))
    sides = {role: Case(role, "", *parts[place]) for role, place in (("real", 0), ("train", 1), ("heldout", 0))}
    real = [Case(NONE, "", *part) for part in parts[2:]]
    spare = Case(NONE, "", numbers[2 * n :], labels[2 * n :])
    changed = _changed(images[-n:], real[-1], store, generator)
    chosen = _chosen(data.classes, spare, real[-1], sides["train"], generator)
    return sides, [*real, *changed, *chosen, *_invented(data, real[-1], store, generator)]


def _changed(images: Tensor, first: Case, store: Store, generator: torch.Generator) -> Iterator[Case]:
    """Yield the cases whose pixels were changed."""
    for name, (corrupt, strengths, unit) in PIXELS.items():
        for strength in strengths:
            yield Case(name, f"{strength:g} {unit}", store.add(corrupt(images, strength, generator)), first.labels)


def _chosen(classes: int, spare: Case, first: Case, train: Case, generator: torch.Generator) -> Iterator[Case]:
    """Yield the cases that are other choices of real images."""
    n = len(first.places)
    for share in (0.1, 0.3, 0.6):
        dropped = max(1, round(share * classes))
        picked = without_modes(spare.labels, dropped, n, generator)
        yield Case("mode drop", f"{dropped} of {classes}", spare.places[picked], spare.labels[picked])
    for share in (0.5, 0.9, 0.99):
        picked = repeated(n, share, generator)
        yield Case("duplication", f"{share:.0%}", first.places[picked], first.labels[picked])
    for share in (0.1, 0.5, 1.0):
        yield Case("copying", f"{share:.0%}", *mixed(first, train, replaced(n, share, generator)))
    for ratio in (0.9, 0.75, 0.5):
        picked = shifted(spare.labels, ratio, n, generator)
        yield Case("label shift", f"× {ratio}", spare.places[picked], spare.labels[picked])
    for share in (0.1, 0.5, 1.0):
        wrong = torch.where(replaced(n, share, generator), (first.labels + 1) % classes, first.labels)
        yield Case("wrong labels", f"{share:.0%}", first.places, wrong, is_relabelled=True)


def _invented(data: ImageSet, first: Case, store: Store, generator: torch.Generator) -> Iterator[Case]:
    """Yield the cases in which images of another set stand for some."""
    n, other = len(first.places), (photographs if data.name == "digits" else digits)()
    picked = torch.randperm(len(other), generator=generator).repeat(-(-n // len(other)))[:n]
    invented = Case("", "", store.add(resized(other.images[picked], data.images.shape[-1])), first.labels)
    for share in (0.03, 0.1, 0.3):
        yield Case("invention", f"{share:.0%}", *mixed(first, invented, replaced(n, share, generator)))


def mixed(first: Case, instead: Case, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the numbers and labels of samples, with others in the place of those in ``mask``."""
    return torch.where(mask, instead.places, first.places), torch.where(mask, instead.labels, first.labels)
