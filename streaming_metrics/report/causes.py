"""Causes: what a metric shows of why its distance is what it is, and which images it takes to show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.core.copies import Copies
    from streaming_metrics.core.inspector import Inspector
    from streaming_metrics.measures.class_distances import ClassDistances
    from streaming_metrics.measures.contributions import Explained
    from streaming_metrics.measures.directions import Directions
    from streaming_metrics.report.folders import Folders

SHOWN = 8


@dataclass(frozen=True)
class Causes:
    """Causes of a metric's distance; each is None where its measures keep nothing to find it in.

    Args:
        explained: what each sample, class or prompt contributes.
        directions: in which the sides differ.
        classes: how far each class is from its real samples.
        copies: which generated samples lie near to training samples.
        names: of the classes, where images lie in folders; none else.
        has_distance: whether FID is measured.
        has_train: whether the metric has training samples.
        among: ids of the generated images that can be shown; None for all.
    """

    explained: Explained | None = None
    directions: Directions | None = None
    classes: ClassDistances | None = None
    copies: Copies | None = None
    names: tuple[str, ...] = ()
    has_distance: bool = False
    has_train: bool = False
    among: Tensor | None = None

    @classmethod
    def of(cls, inspector: Inspector, among: Tensor | None = None, folders: Folders | None = None) -> Causes:
        """Return what a metric shows; collective.

        Args:
            inspector: of the metric.
            among: ids of the generated images that can be shown; None for all.
            folders: that images lie in, which are classes where no labels are kept.
        """
        has_train, labels = "train" in inspector.streams.layout.roles, folders.labels if folders else {}
        told = inspector.explained(among, labels), inspector.directions(among=among)
        difference = inspector.difference
        own = difference and difference.fake
        names = folders.names if folders and own and own.labels is None else ()
        classes, copies = inspector.class_distances(labels), inspector.copies()
        return cls(*told, classes, copies, names, difference is not None, has_train, among)

    def fakes(self) -> list[Tensor]:
        """Return the ids of the generated images to show."""
        chosen = []
        if self.explained and (fake := self.explained.fake):
            chosen += [fake.index[pick(SHOWN, self.among)] for pick in (fake.highest, fake.lowest)]
        if self.explained and self.explained.groups:
            chosen.append(self.explained.groups.examples)
        if self.directions:
            chosen += [self.directions.fake_examples, self.directions.shift_fake_examples]
        return chosen + ([self.copies.fake[self.copied]] if self.copies else [])

    def reals(self) -> list[Tensor]:
        """Return the ids of the real images to show."""
        chosen = []
        if self.explained and (real := self.explained.real):
            chosen.append(real.index[real.highest(SHOWN)])
        if self.directions:
            chosen += [self.directions.real_examples, self.directions.shift_real_examples]
        return chosen + ([self.copies.nearest[self.copied]] if self.copies and self.copies.role == "real" else [])

    def trains(self) -> Tensor:
        """Return the ids of the training images to show, where they are of a role of their own."""
        if self.copies is None or self.copies.role != "train":
            return torch.empty(0, dtype=torch.int64)
        return self.copies.nearest[self.copied].unique()

    @property
    def copied(self) -> Tensor:
        """Places of the copies to show."""
        assert self.copies is not None
        return self.copies.closest(SHOWN, self.among)
