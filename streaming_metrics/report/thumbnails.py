"""Thumbnails: a few small copies of a stream of images, the same whatever the order, the batches, the ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import interpolate

from streaming_metrics.images.shrink import shrunk
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.distributed.comm import Comm


class Thumbnails:
    """Thumbnails of the images with the smallest hashed ids, on the CPU.

    Args:
        capacity: the most to keep on a rank.
        side: the most pixels of either side.

    Attributes:
        images: ``(n, 3, h, w)`` uint8, all of the first one's size.
        index: ``(n,)`` int64, their ids.

    Example:
        >>> few = Thumbnails(capacity=3, side=8)
        >>> few.update(torch.zeros(10, 3, 16, 16, dtype=torch.uint8), torch.arange(10))
        >>> few.images.shape, few.index.tolist()
        (torch.Size([3, 3, 8, 8]), [1, 2, 8])
    """

    def __init__(self, capacity: int = 256, side: int = 64) -> None:
        self.capacity, self.side = capacity, side
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self.images, self.index = torch.empty(0, 3, 0, 0, dtype=torch.uint8), torch.empty(0, dtype=torch.int64)

    def update(self, images: Tensor, index: Tensor) -> None:
        """Add images ``(N, 3, H, W)`` uint8 with their ids ``(N,)``; only those that stay are shrunk and copied."""
        merged = torch.cat([self.index, index.cpu()])
        kept = hashed(merged).argsort()[: self.capacity]
        own, new = kept[kept < len(self.index)], kept[kept >= len(self.index)] - len(self.index)
        if len(new):
            arrived = self._alike(shrunk(images[new.to(images.device)], self.side).cpu())
            old = self.images if len(self.images) else arrived[:0]
            self.images, self.index = torch.cat([old[own], arrived]), torch.cat([self.index[own], index.cpu()[new]])

    def common(self, comm: Comm) -> Tensor:
        """Return the ids ``(≤ capacity,)`` that are kept over all ranks, by their hashed values; collective."""
        index = comm.gather(self.index, comm.counts(len(self.index)))
        return index[hashed(index).argsort()][: self.capacity]

    def gather(self, ids: Tensor, comm: Comm) -> Tensor:
        """Return the images ``(n, 3, h, w)`` of n ids that are kept on any rank, on every rank; collective."""
        size = comm.max(torch.tensor(self.images.shape[-2:], dtype=torch.int64)).tolist()
        found = torch.zeros(len(ids), 3, *size, dtype=torch.int32)
        wanted, here = (ids[:, None] == self.index[None]).nonzero(as_tuple=True)
        if len(here):
            found[wanted] = _resized(self.images[here], size).int()
        return comm.sum(found).to(torch.uint8)

    def _alike(self, images: Tensor) -> Tensor:
        return _resized(images, self.images.shape[-2:]) if len(self.images) else images


def _resized(images: Tensor, size: list[int] | torch.Size) -> Tensor:
    if list(images.shape[-2:]) == list(size):
        return images
    return interpolate(images.float(), list(size), mode="bilinear").round().to(torch.uint8)
