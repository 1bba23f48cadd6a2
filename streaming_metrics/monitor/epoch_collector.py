"""Epoch collector: one rank's images of one epoch go into a metric, each with its global number, padding dropped."""

from __future__ import annotations

from copy import copy
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from streaming_metrics.images.batches import find_images, pixels_of
from streaming_metrics.images.ranges import Reach, Span, range_warning
from streaming_metrics.monitor.counting import MOST, Count, Dealing
from streaming_metrics.monitor.untouched import untouched
from streaming_metrics.sampling import is_distributed, isolated_rng, sampler_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from streaming_metrics import GenerativeMetrics
    from streaming_metrics.images.batches import Key
    from streaming_metrics.report.thumbnails import Thumbnails


class EpochCollector:
    """Collector that feeds a metric, and keeps the first generated images of an epoch to look at.

    Args:
        metric: what is fed.
        rank: this process.
        world_size: number of processes.
        ranges: what floats stand for black and white in real and in generated images.
        num_shown: generated images to keep.
        thumbnails: small copies of generated images, for a report.
        reach: where who converts generated images notes how dark and bright they are.

    Attributes:
        in_place: whether every real image's id is the position of an item that holds this image alone.
        shown: ``(≤ num_shown, 3, H, W)`` uint8 on the CPU, the first generated images.
    """

    def __init__(
        self,
        metric: GenerativeMetrics,
        rank: int,
        world_size: int,
        ranges: tuple[tuple[float, float], tuple[float, float]],
        num_shown: int,
        thumbnails: Thumbnails | None = None,
        reach: Reach | None = None,
    ) -> None:
        self.metric, self.rank, self.world_size = metric, rank, world_size
        self.ranges, self.num_shown, self.thumbnails = ranges, num_shown, thumbnails
        self.reach, self._real_reach = reach or Reach(), Reach()
        self.in_place = True
        self.start()

    def start(self) -> None:
        """Begin an epoch: forget all images but a frozen real side."""
        self.metric.reset()
        if self.thumbnails is not None:
            self.thumbnails.clear()
        self.shown, self._count = torch.empty(0, 3, 1, 1, dtype=torch.uint8), None
        self.reach.clear()
        if not self.metric.is_frozen:
            self._real_reach.clear()
            self.in_place = True

    def place(self, loader: Any, n: int) -> tuple[Tensor, Tensor]:
        """Return ids ``(n,)`` of the images of a loader's next batch, and which of them are not padding."""
        if self._count is None:
            self._count = Count(Dealing.of(loader, self.rank, self.world_size))
        return self._count.place(n)

    def first(self, num_samples: int) -> Tensor:
        """Return which images of the batch placed last are among the first ``num_samples`` over all ranks."""
        assert self._count
        return self._count.turn < num_samples

    def real(self, images: Tensor, index: Tensor, keep: Tensor) -> None:
        """Add the real images of the batch that was placed last."""
        pixels = pixels_of(images, self.ranges[0], "real images", reach=self._real_reach)
        self._add(pixels[keep], index[keep], real=True)
        self.in_place &= self._count is not None and self._count.in_place

    def fake(self, images: Tensor, index: Tensor) -> None:
        """Add generated images, uint8 ``(n, 3, H, W)``."""
        self._add(images, index, real=False)
        if self.thumbnails is not None:
            self.thumbnails.update(images, index)
        shown = images[: self.num_shown - len(self.shown)].cpu()
        if not len(self.shown) or shown.shape[1:] == self.shown.shape[1:]:
            self.shown = torch.cat([self.shown.reshape(-1, *shown.shape[1:]), shown])

    def read(
        self,
        loader: DataLoader[Any],
        image_key: Key,
        seed: int,
        advance: Callable[[int], Any],
        most: int | None = None,
    ) -> None:
        """Add a loader's images as real ones, its batches, or the first ``most`` of them, dealt to the ranks in turn.

        The seed makes a loader that shuffles do so alike on every rank, by its own generator too, which is put back. A
        loader that deals to ranks itself is read whole on each.
        """
        deals_itself = is_distributed(sampler_of(loader))
        source = _with_workers_of_its_own(loader)
        self._count = Count(Dealing.of(loader, *((self.rank, self.world_size) if deals_itself else ())))
        with isolated_rng(seed), untouched(source, seed=seed):
            for number, batch in enumerate(islice(source, most)):
                images = find_images(batch, image_key)
                index, keep = self._count.place(len(images))
                if deals_itself or number % self.world_size == self.rank:
                    self.real(images, index, keep)
                advance(1)
        self._count = None

    def warning(self) -> str | None:
        """Return what an epoch's images leave to be said, after ``metric.compute()``; collective.

        Raises:
            ValueError: on every rank, where ranks disagree on how many images an item holds.
        """
        comm, count = self.metric.ranks(), self._count
        each, relies = (count.images_an_item, count.relies_on_it) if count else (0, False)
        own = torch.tensor([not self.in_place, relies, each, each and MOST - each])
        told = comm.max(torch.cat([own, self._real_reach.extremes(), self.reach.extremes()])).tolist()
        moved, relies, most, fewest = told[0], told[1], told[2], MOST - told[3]
        self.in_place = not moved
        if relies and most > fewest:
            raise ValueError(_DISAGREE.format(fewest, most))
        return range_warning(Span(*told[4:7]), Span(*told[7:]), *self.ranges)

    def _add(self, images: Tensor, index: Tensor, real: bool) -> None:
        if len(images):
            self.metric.update(images, real=real, index=index)


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
