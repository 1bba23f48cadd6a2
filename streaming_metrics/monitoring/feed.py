"""One rank's images of one epoch on their way into a metric: each with its global number, padding dropped."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from streaming_metrics.batches import as_uint8, find_images
from streaming_metrics.sampling import global_index, isolated_rng, keep_unpadded

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from torch.utils.data import DataLoader

    from streaming_metrics import GenerativeMetrics
    from streaming_metrics.batches import Key
    from streaming_metrics.report.thumbnails import Thumbnails


class Feed:
    """Feeds a metric, and keeps the first generated images of an epoch to look at.

    Args:
        metric: what is fed.
        rank: this process.
        world_size: number of processes.
        value_range: what floats stand for black and white.
        num_shown: generated images to keep.
        thumbnails: small copies of generated images, for a report.

    Attributes:
        shown: ``(≤ num_shown, 3, H, W)`` uint8 on the CPU, the first generated images.
    """

    def __init__(
        self,
        metric: GenerativeMetrics,
        rank: int,
        world_size: int,
        value_range: tuple[float, float],
        num_shown: int,
        thumbnails: Thumbnails | None = None,
    ) -> None:
        self.metric, self.rank, self.world_size = metric, rank, world_size
        self.value_range, self.num_shown, self.thumbnails = value_range, num_shown, thumbnails
        self.start()

    def start(self) -> None:
        """Begin an epoch: forget all images but a frozen real side."""
        self.metric.reset()
        if self.thumbnails is not None:
            self.thumbnails.clear()
        self.shown, self._seen = torch.empty(0, 3, 1, 1, dtype=torch.uint8), 0

    def place(self, sampler: Any, n: int) -> tuple[Tensor, Tensor]:
        """Return the global numbers ``(n,)`` of the next n samples, and which of them are not the sampler's padding."""
        seen, self._seen = self._seen, self._seen + n
        return global_index(sampler, seen, n, self.rank, self.world_size), keep_unpadded(sampler, seen, n)

    def real(self, images: Tensor, index: Tensor, keep: Tensor) -> None:
        """Add real images."""
        self._add(as_uint8(images, self.value_range, "real images")[keep], index[keep], real=True)

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

        The seed makes a loader that shuffles do so alike on every rank.
        """
        seen = 0
        with isolated_rng(seed):
            for number, batch in enumerate(islice(loader, most)):
                images = find_images(batch, image_key)
                if number % self.world_size == self.rank:
                    index = torch.arange(seen, seen + len(images))
                    self.real(images, index, keep=torch.ones(len(images), dtype=torch.bool))
                seen += len(images)
                advance(1)

    def _add(self, images: Tensor, index: Tensor, real: bool) -> None:
        if len(images):
            self.metric.update(images, real=real, index=index)
