"""Count of a dataloader's images: their ids, and which are padding; an item of a dataset is not always one image.

A sampler deals positions; a position is an item; an item may be an image, a clip of many, a ready batch, or be dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DistributedSampler, SequentialSampler

from streaming_metrics.sampling import is_distributed, padding_start, sampler_of

SEVERAL = 1 << 39
"""Ids start here where the images in a batch are not as many as its positions: beyond all positions."""
MOST = 1 << 16
"""Images that one position has ids for."""


@dataclass(frozen=True)
class Dealing:
    """Dealing of positions to ranks: what a dataloader says of its batches on one of them.

    Args:
        rank: this process.
        world_size: the ranks that positions are dealt to in turn.
        per_batch: positions in a batch; None where a batch may hold any.
        length: positions on this rank.
        padding: the position, over all ranks, from which on they are repeats; None where none is.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> deal = Dealing.of(DataLoader(range(11), sampler=DistributedSampler(range(11), 2, 1), batch_size=4))
        >>> deal.positions(1), deal.padding
        (tensor([ 9, 11]), 11)
    """

    rank: int = 0
    world_size: int = 1
    per_batch: int | None = None
    length: int = 0
    padding: int | None = None

    @classmethod
    def of(cls, loader: Any, rank: int = 0, world_size: int = 1) -> Dealing:
        """Return the dealing of a dataloader, or of anything that yields batches.

        Raises:
            ValueError: where a sampler pads, and which batches its padding is in cannot be known.
        """
        combined = getattr(loader, "flattened", None)  # Lightning's CombinedLoader: a batch of several loaders' ones
        samplers = [sampler_of(one) for one in ([loader] if combined is None else combined)]
        padding = next((start for s in samplers if (start := padding_start(s)) is not None), None)
        sampler = samplers[0] if combined is None else None
        if sampler is not None and is_distributed(sampler):
            rank, world_size = sampler.rank, sampler.num_replicas
        per_batch, length = _positions_in_a_batch(loader, sampler), _size(sampler)
        if per_batch is not None and length is not None:
            return cls(rank, world_size, per_batch, length, padding)
        if padding is not None:
            batches = None if combined else getattr(loader, "batch_sampler", None)
            raise ValueError(_UNKNOWN.format(type(batches or loader).__name__))
        return cls(rank, world_size)

    def positions(self, number: int) -> Tensor | None:
        """Return the positions, over all ranks, in this rank's batch of that number; None where they are not known."""
        if self.per_batch is None or number * self.per_batch >= self.length:
            return None
        mine = torch.arange(number * self.per_batch, min((number + 1) * self.per_batch, self.length))
        return mine * self.world_size + self.rank


class Count:
    """Counter of one rank's images in an epoch.

    Args:
        dealing: what the dataloader says of its batches.

    Attributes:
        in_place: whether every image so far was an item of its own, so that its id is the item's position.
        images_an_item: as the first batch tells it that holds a multiple of its items; 0 before, and of single items.
        relies_on_it: whether that decided which images are padding.
        turn: ``(n,)`` int64, where the images placed last stand among those of all ranks, dealt one by one.

    Example:
        >>> count = Count(Dealing(rank=1, world_size=2, per_batch=2, length=3, padding=5))
        >>> count.place(2), count.place(1)
        ((tensor([1, 3]), tensor([True, True])), (tensor([5]), tensor([False])))
    """

    def __init__(self, dealing: Dealing) -> None:
        self.dealing, self._batches, self._images = dealing, 0, 0
        self.in_place, self.images_an_item, self.relies_on_it = dealing.per_batch is not None, 0, False
        self.turn = torch.arange(0)

    def place(self, n: int) -> tuple[Tensor, Tensor]:
        """Return the ids ``(n,)`` of the next batch's n images, unique over ranks, and which are not padding.

        Raises:
            ValueError: where some images are padding, and which ones cannot be known.
        """
        positions = self.dealing.positions(self._batches)
        self.turn = torch.arange(self._images, self._images + n) * self.dealing.world_size + self.dealing.rank
        self._batches, self._images = self._batches + 1, self._images + n
        self.in_place &= positions is not None and n == len(positions)
        if positions is None:
            return self.turn, torch.ones(n, dtype=torch.bool)
        keep = self._keep(positions, n)
        return self.turn if self.dealing.world_size == 1 else _ids(positions, n), keep

    def _keep(self, positions: Tensor, n: int) -> Tensor:
        if not self.images_an_item and len(positions) > 1 and n % len(positions) == 0:
            self.images_an_item = n // len(positions)
        real = positions < (self.dealing.padding or positions[-1] + 1)
        if real.all() or not real.any():
            return real[:1].expand(n)
        if n != len(positions) * self.images_an_item:
            raise ValueError(_MIXED.format(self.dealing.rank, len(positions), n))
        self.relies_on_it = True
        return real.repeat_interleave(self.images_an_item)


def _ids(positions: Tensor, n: int) -> Tensor:
    """Return ids for n images that as many positions share as evenly as can be."""
    if n == len(positions):
        return positions
    if n > MOST * len(positions):
        raise ValueError(f"Expected at most {MOST} images an item, got {n} of {len(positions)}. Remedy: smaller items.")
    place = torch.arange(n) * len(positions) // n
    within = torch.arange(n) - torch.searchsorted(place, place)
    return SEVERAL + positions[place] * MOST + within


def stands_in_order(loader: Any) -> bool:
    """Return whether the i-th position of a dataloader, over all ranks, is the i-th item of its dataset.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> stands_in_order(DataLoader(range(8))), stands_in_order(DataLoader(range(8), shuffle=True))
        (True, False)
    """
    sampler, dataset = sampler_of(loader), getattr(loader, "dataset", None)
    iterates = getattr(type(sampler), "__iter__", None)
    if iterates is SequentialSampler.__iter__:
        return sampler.data_source is dataset
    is_plain = iterates is DistributedSampler.__iter__
    return is_plain and not sampler.shuffle and sampler.dataset is dataset


def _positions_in_a_batch(loader: Any, sampler: Any) -> int | None:
    if sampler is None or (getattr(loader, "num_workers", 0) and not getattr(loader, "in_order", True)):
        return None
    batches = getattr(loader, "batch_sampler", None)
    if batches is None:
        return 1 if getattr(loader, "batch_size", 1) is None else None
    in_turn = getattr(type(batches), "__iter__", None) is BatchSampler.__iter__
    return batches.batch_size if in_turn else None


def _size(sampler: Any) -> int | None:
    try:
        return len(sampler)
    except (TypeError, NotImplementedError):
        return None


_REMEDY = (
    "Remedy: a sampler that does not pad (drop_last=True, or a length that the number of ranks divides), batch_size=1, "
    "or one image an item, broken ones left out by the dataset; or measure on one device."
)
_UNKNOWN = (
    "The DistributedSampler repeats some images, so that every rank has as many, and which batches of {} they are in "
    f"cannot be known: they would count twice. {_REMEDY}"
)
_MIXED = (
    "Rank {}: expected as many images of every item, got a batch of {} items with {} images, and some of the items are "
    f"the DistributedSampler's padding: which images those are cannot be known, and they would count twice. {_REMEDY}"
)
