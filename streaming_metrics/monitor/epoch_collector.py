"""Epoch collector: one rank's images of one epoch go into a metric, each with its global number, padding dropped."""

from __future__ import annotations

from copy import copy
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from streaming_metrics.deferred import collecting
from streaming_metrics.images.batches import pixels_of
from streaming_metrics.images.captions import captions_apart
from streaming_metrics.images.conversion import CheckedImages
from streaming_metrics.images.ranges import Reach, Span, range_warning
from streaming_metrics.monitor.counting import MOST, Count, Dealing
from streaming_metrics.monitor.sides import KEPT
from streaming_metrics.sampling import is_distributed, isolated_rng, sampler_of
from streaming_metrics.untouched import untouched

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from streaming_metrics import GenerativeMetrics
    from streaming_metrics.features import Role


class EpochCollector:
    """Collector that feeds a metric.

    Args:
        metric: what is fed.
        rank: this process.
        world_size: number of processes.
        ranges: what floats stand for black and white in real (training, held-out) and in generated images.

    Attributes:
        in_place: by role, whether every image's id is the position of an item that holds this image alone; of those
            to keep as far as this rank has seen.
        kept: roles whose images are read, and a frozen side.
    """

    def __init__(
        self,
        metric: GenerativeMetrics,
        rank: int,
        world_size: int,
        ranges: tuple[tuple[float, float], tuple[float, float]],
    ) -> None:
        self.metric, self.rank, self.world_size = metric, rank, world_size
        self.ranges, self._reaches = ranges, {role: Reach() for role in ("real", *KEPT)}
        self.in_place = dict.fromkeys(self._reaches, True)
        self.kept: set[Role] = set()
        self.start()

    def start(self) -> None:
        """Begin an epoch: forget all images but those of frozen sides."""
        self.metric.reset()
        self._count = None
        if not self.metric.is_frozen:
            self._forget("real")
        for role in KEPT.keys() - self.kept:
            self._forget(role)

    def place(self, loader: Any, n: int) -> tuple[Tensor, Tensor]:
        """Return ids ``(n,)`` of the images of a loader's next batch, and which of them are not padding."""
        if self._count is None:
            self._count = Count(Dealing.of(loader, self.rank, self.world_size))
        return self._count.place(n)

    def first(self, num_samples: int) -> Tensor:
        """Return which images of the batch placed last are among the first ``num_samples`` over all ranks."""
        assert self._count
        return self._count.turn < num_samples

    def real(self, images: Tensor, beside: Mapping[str, Any], index: Tensor, keep: Tensor, role: Role = "real") -> None:
        """Add the real images of the batch that was placed last, or images of another role that are not generated."""
        takes = self.metric.takes
        source = f"{role} {takes}"
        with collecting(checks := []):
            pixels = pixels_of(images, self.ranges[0], source, reach=self._reaches[role], takes=takes)
        columns, captions = captions_apart(beside, len(pixels), source)
        self._add(CheckedImages(pixels, columns, captions, tuple(checks))[keep], index[keep], role)
        self.in_place[role] &= self._count is not None and self._count.in_place

    def fake(self, images: CheckedImages, index: Tensor) -> None:
        """Add generated images."""
        self._add(images, index, "fake")

    def read(
        self,
        loader: DataLoader[Any],
        find: Callable[[Any, Role], tuple[Tensor, Mapping[str, Any]]],
        seed: int,
        advance: Callable[[int], Any],
        most: int | None = None,
        role: Role = "real",
    ) -> None:
        """Add a loader's images, its batches, or the first ``most`` of them, dealt to the ranks in turn.

        The seed makes a loader that shuffles do so alike on every rank, by its own generator too, which is put back. A
        loader that deals to ranks itself is read whole on each.

        Args:
            loader: of images.
            find: from a batch and the role to its images and the columns beside them.
            seed: of its shuffling.
            advance: takes the number of batches that are done.
            most: batches to read; None reads all.
            role: whose images they are.
        """
        deals_itself = is_distributed(sampler_of(loader))
        source = _with_workers_of_its_own(loader)
        self._count = Count(Dealing.of(loader, *((self.rank, self.world_size) if deals_itself else ())))
        with isolated_rng(seed), untouched(source, seed=seed):
            for number, batch in enumerate(islice(source, most)):
                images, beside = find(batch, role)
                index, keep = self._count.place(len(images))
                if deals_itself or number % self.world_size == self.rank:
                    self.real(images, beside, index, keep, role)
                advance(1)
        self.in_place[role] &= self._count.in_place
        self._count = None

    def keep(self, role: Role) -> None:
        """Keep the images of a role that were read, as a frozen side; collective."""
        self.metric.freeze(role)
        self.kept.add(role)

    def warning(self, fake: Reach) -> str | None:
        """Return what an epoch's images leave to be said, after ``metric.compute()``; collective.

        Args:
            fake: how dark and bright the generated images were.

        Raises:
            ValueError: on every rank, where ranks disagree on how many images an item holds.
        """
        comm, count = self.metric.ranks(), self._count
        each, relies = (count.images_an_item, count.relies_on_it) if count else (0, False)
        own = torch.tensor([not self.in_place["real"], relies, each, each and MOST - each])
        reaches = self._reaches["real"], fake, *(self._reaches[role] for role in KEPT)
        told = comm.max(torch.cat([own, *(reach.extremes() for reach in reaches)])).tolist()
        moved, relies, most, fewest = told[0], told[1], told[2], MOST - told[3]
        self.in_place["real"] = not moved
        if relies and most > fewest:
            raise ValueError(_DISAGREE.format(fewest, most))
        real, generated, *kept = (Span(*told[start : start + 3]) for start in range(4, len(told), 3))
        said = range_warning(real, generated, *self.ranges)
        for span, whose in zip(kept, KEPT.values()):
            if said is None and span.brightest >= span.darkest:
                said = range_warning(span, generated, *self.ranges, whose=whose)
        return said

    def _forget(self, role: Role) -> None:
        self._reaches[role].clear()
        self.in_place[role] = True

    def _add(self, images: CheckedImages, index: Tensor, role: Role) -> None:
        if len(images.pixels):
            self.metric.update(images, role=role, index=index)


def _with_workers_of_its_own(loader: Any) -> Any:
    """Return a loader that does not share persistent workers: reading it would end the reading of another epoch."""
    if not isinstance(loader, DataLoader):
        return loader
    own = copy(loader)
    own._iterator = None
    return own


_DISAGREE = (
    "Ranks found {} and {} images an item, and some items are the DistributedSampler's padding: which images those are "
    "cannot be known. Remedy: one image an item, or as many of each; broken ones left out by the dataset."
)
