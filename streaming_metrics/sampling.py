"""Sampling on any number of ranks: no padding is counted, the same images are generated, no randomness leaks.

``DistributedSampler`` repeats samples until every rank has as many (11 images on 2 ranks become 12), and ranks that
share a seed generate the same images W times. Here a sampler and a stream deal each sample once, a batch
knows which of its samples are padding and what their global numbers are, and generation is dealt in chunks whose seeds
do not depend on the rank.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DistributedSampler, IterableDataset, get_worker_info

from streaming_metrics.distributed.comm import Comm

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor


def global_index(sampler: Any, seen: int, n: int, rank: int = 0, world_size: int = 1) -> Tensor:
    """Return the positions, in one epoch over all ranks, of the n samples that follow the first ``seen`` on this rank.

    ``(seen + arange(n))·W + rank``: with a ``DistributedSampler`` this is the position in its (shuffled) list, so it
    names the same sample for every W, and positions from ``len(dataset)`` on are padding.

    Args:
        sampler: what deals samples to this rank. ``rank`` and ``world_size`` are read from it if it is a
            ``DistributedSampler``; any other sampler is taken to give each rank samples of its own.
        seen: samples that this rank has had in this epoch, padding included.
        n: samples in this batch.
        rank: this process, for other samplers.
        world_size: number of processes, for other samplers.

    Returns:
        ``(n,)`` int64, unique over the ranks.

    Example:
        >>> global_index(None, seen=4, n=3)
        tensor([4, 5, 6])
        >>> global_index(DistributedSampler(range(11), num_replicas=2, rank=1), seen=4, n=2)
        tensor([ 9, 11])
    """
    if is_distributed(sampler):
        rank, world_size = sampler.rank, sampler.num_replicas
    return torch.arange(seen, seen + n) * world_size + rank


def keep_unpadded(sampler: Any, seen: int, n: int) -> Tensor:
    """Return which of the n samples that follow the first ``seen`` on this rank are not padding.

    Args:
        sampler: a ``DistributedSampler``, or what is made like one; see :func:`padding_start`.
        seen: samples that this rank has had in this epoch, padding included.
        n: samples in this batch.

    Returns:
        ``(n,)`` bool.

    Example:
        >>> keep_unpadded(DistributedSampler(range(11), num_replicas=2, rank=1), seen=4, n=2)
        tensor([ True, False])
    """
    start = padding_start(sampler)
    if start is None:
        return torch.ones(n, dtype=torch.bool)
    return global_index(sampler, seen, n) < start


def is_distributed(sampler: Any) -> bool:
    """Return whether a sampler deals one list to ranks in turn: ``DistributedSampler``, or one made like it (timm's).

    Example:
        >>> is_distributed(DistributedSampler(range(11), num_replicas=2, rank=1)), is_distributed(None)
        (True, False)
    """
    alike = all(hasattr(sampler, name) for name in ("dataset", "num_replicas", "rank"))
    return alike or isinstance(sampler, DistributedSampler)


def padding_start(sampler: Any) -> int | None:
    """Return the position, over all ranks, from which on samples are repeats that fill up the ranks; None for none.

    A sampler that is longer than its dataset by more than that (it draws each image several times) does not pad.

    Example:
        >>> padding_start(DistributedSampler(range(11), num_replicas=2, rank=1))
        11
        >>> padding_start(DistributedSampler(range(12), num_replicas=2, rank=1)) is None
        True
    """
    if not is_distributed(sampler):
        return None
    size, mine, world_size = len(sampler.dataset), len(sampler), sampler.num_replicas
    total = getattr(sampler, "total_size", mine * world_size)
    return size if total > size and mine == -(-size // world_size) else None


class UnpaddedSampler(DistributedSampler[Any]):
    """Sampler that deals a dataset to ranks, each sample once: a ``DistributedSampler`` that adds no padding.

    Ranks may have one sample more or less than others, so keep collectives (a model in DDP) out of the loop.

    Args:
        dataset: with a length.
        num_replicas, rank: of the default process group, or this process alone where there is none.
        shuffle, seed: as of ``DistributedSampler``; ``set_epoch`` shuffles anew.

    Example:
        >>> [list(UnpaddedSampler(range(11), num_replicas=2, rank=rank)) for rank in range(2)]
        [[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9]]
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        *,
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        comm = Comm()
        replicas, own = num_replicas or comm.world_size, comm.rank if rank is None else rank
        super().__init__(dataset, replicas, own, shuffle, seed)
        self.total_size = len(dataset)
        self.num_samples = len(range(own, self.total_size, replicas))


class DealtStream(IterableDataset[Any]):
    """Stream that every rank and every dataloader worker reads whole, dealt: to each its share, each item once.

    Args:
        stream: an iterable, of the same order everywhere.
        num_replicas, rank: of the default process group, or this process alone where there is none.

    Example:
        >>> [list(DealtStream(range(11), num_replicas=2, rank=rank)) for rank in range(2)]
        [[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9]]
    """

    def __init__(self, stream: Iterable[Any], num_replicas: int | None = None, rank: int | None = None) -> None:
        super().__init__()
        comm = Comm()  # here, and not in a worker, which may know nothing of the group
        self.stream, self.num_replicas = stream, num_replicas or comm.world_size
        self.rank = comm.rank if rank is None else rank

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        share, shares = (0, 1) if worker is None else (worker.id, worker.num_workers)
        return islice(iter(self.stream), self.rank * shares + share, None, self.num_replicas * shares)


def sampler_of(loader: Any) -> Any:
    """Return what deals samples to a dataloader, inside its batch sampler too; None where nothing does."""
    own = getattr(loader, "sampler", None)
    return getattr(getattr(loader, "batch_sampler", None), "sampler", own)


def seed_of(seed: int, number: int) -> int:
    """Return a seed in ``[0, 2**63)`` for the ``number``-th part of what ``seed`` generates.

    Example:
        >>> seed_of(0, 1) == seed_of(0, 1) != seed_of(1, 0)
        True
    """
    state = np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)
    return int(state[0]) >> 1  # NumPy 1 shifts none of its own by an int


@dataclass(frozen=True)
class Chunk:
    """Chunk of generated samples, ``start … start + size - 1``, made in one call under ``seed``."""

    start: int
    size: int
    seed: int

    @property
    def index(self) -> Tensor:
        """The global sample numbers, ``(size,)`` int64."""
        return torch.arange(self.start, self.start + self.size)


def chunks(num_samples: int, batch_size: int, rank: int = 0, world_size: int = 1, seed: int = 0) -> Iterator[Chunk]:
    """Deal ``num_samples`` to ranks in chunks of ``batch_size``; a chunk and its seed are the same for every W.

    Args:
        num_samples: samples over all ranks.
        batch_size: samples in a chunk; the last one may be smaller. Another batch size draws other images.
        rank: this process.
        world_size: number of processes.
        seed: non-negative; another seed draws other images.

    Yields:
        This rank's chunks: number ``rank``, ``rank + world_size``, …

    Example:
        >>> [(chunk.start, chunk.size) for chunk in chunks(10, 4)]
        [(0, 4), (4, 4), (8, 2)]
        >>> list(chunks(10, 4, rank=1, world_size=2)) == list(chunks(10, 4))[1::2]
        True
    """
    for start in range(rank * batch_size, num_samples, world_size * batch_size):
        yield Chunk(start, min(batch_size, num_samples - start), seed_of(seed, start // batch_size))


@contextmanager
def isolated_rng(seed: int | None = None) -> Iterator[None]:
    """Seed Python, NumPy and PyTorch (CPU and CUDA) inside; outside, their streams go on as if nothing had been drawn.

    Args:
        seed: what to seed them with, or None to go on from where they are.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> before = torch.get_rng_state()
        >>> with isolated_rng(1):
        ...     _ = torch.rand(3)
        >>> torch.equal(before, torch.get_rng_state())
        True
    """
    on_cuda = torch.cuda.is_initialized()
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if on_cuda else []
    try:
        if seed is not None:
            _seed_all(seed, on_cuda)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if on_cuda:
            torch.cuda.set_rng_state_all(cuda)


def _seed_all(seed: int, on_cuda: bool) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    # Not torch.manual_seed: before CUDA is initialised it would queue this seed for later.
    torch.default_generator.manual_seed(seed)
    if on_cuda:
        torch.cuda.manual_seed_all(seed)
