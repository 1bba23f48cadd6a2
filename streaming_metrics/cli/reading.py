"""Reader of images for a metric: decoded by workers, dealt to ranks without padding, each image by its number."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from itertools import groupby
from math import prod
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import torch
from torch.utils.data import DataLoader, Dataset

from streaming_metrics.images import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.images import Images

T = TypeVar("T")
DIGESTS = 1 << 256
MOST_ROWS = 3
"""Rows of one array or table to name where they do not read."""


@dataclass(frozen=True)
class ReadResult:
    """Outcome of reading a source's images.

    Args:
        read: how many were read.
        unreadable: number, name and reason of those that were not.
        digest: sum of the sha256 of sizes and pixels, so that no order matters.
    """

    read: int = 0
    unreadable: list[tuple[int, str, str]] = field(default_factory=list)
    digest: int = 0

    def __add__(self, other: ReadResult) -> ReadResult:
        digest = (self.digest + other.digest) % DIGESTS
        return ReadResult(self.read + other.read, self.unreadable + other.unreadable, digest)

    @property
    def fingerprint(self) -> str:
        """16 hex digits, equal for equal pixels, whatever files hold them in whatever order."""
        return hashlib.sha256(f"{self.read} {self.digest:064x}".encode()).hexdigest()[:16]

    def over(self, comm: Comm) -> ReadResult:
        """Return the outcome over all ranks; collective."""
        said = [json.loads(text) for text in comm.rendezvous(json.dumps([self.read, self.unreadable, self.digest]))]
        outcomes = [ReadResult(read, [(i, name, why) for i, name, why in bad], digest) for read, bad, digest in said]
        whole = sum(outcomes, ReadResult())
        return ReadResult(whole.read, sorted(whole.unreadable), whole.digest)


class TakesImages(Protocol):
    """What images, or their features, are read for: a metric, or another that takes batches as one does."""

    @property
    def device(self) -> torch.device: ...

    def update(self, images: Any, *, real: bool, index: Tensor) -> None: ...


@dataclass(frozen=True)
class ImageReader:
    """Reader of images.

    Args:
        batch_size: images in a forward pass; those of one size share one.
        workers: processes that decode; None takes the cores that are left, at most 8.
        skip: whether unreadable images are left out and counted; else the first of them is an error.
    """

    batch_size: int = 64
    workers: int | None = None
    skip: bool = False

    def __call__(
        self,
        metric: TakesImages | None,
        images: Images,
        *,
        real: bool,
        comm: Comm,
        advance: Callable[[int], Any] = lambda n: None,  # noqa: ARG005
        tell: Callable[[str], Any] = lambda line: None,  # noqa: ARG005
    ) -> ReadResult:
        """Add this rank's share of the images to a metric; return what became of all, over ranks; collective.

        Once an image does not read, unless those are skipped, the others are only decoded, to know all that do not.

        Args:
            metric: None decodes alone.
            images: the source.
            real: which side they are.
            comm: the ranks.
            advance: told of each batch, how many images it had over all ranks.
            tell: told of the first image that does not read, where that is an error.
        """
        outcome = ReadResult()
        for pack in self.batches(Packs(images), len(images), comm):
            if pack.outcome.unreadable and not outcome.unreadable and not self.skip:
                tell(f"{pack.outcome.unreadable[0][1]} does not read; the others are decoded to list all that do not")
            outcome += pack.outcome
            if metric is not None and (self.skip or not outcome.unreadable):
                for group, index in pack.groups(pinned=metric.device.type == "cuda"):
                    metric.update(group, real=real, index=index)
            advance(pack.size * comm.world_size)
        return outcome.over(comm)

    def batches(self, packs: Dataset[T], count: int, comm: Comm) -> Iterator[T]:
        """Yield this rank's batches of a dataset that makes one of a list of numbers; each number is dealt once.

        Args:
            packs: the dataset.
            count: how many numbers there are.
            comm: the ranks.
        """
        mine = range(comm.rank, count, comm.world_size)
        batches = [list(mine[start : start + self.batch_size]) for start in range(0, len(mine), self.batch_size)]
        workers = min(len(batches), _spare_cores() if self.workers is None else self.workers)
        yield from DataLoader(packs, batch_size=None, sampler=cast("Any", batches), num_workers=workers)


def refuse_unreadable(outcomes: Sequence[ReadResult], comm: Comm) -> None:
    """Raise Unreadable where some images did not read; rank 0 names them all, but of one file no more than three."""
    unreadable = [(name, why) for outcome in outcomes for _, name, why in outcome.unreadable]
    if unreadable:
        listed = "\n".join(_listed(unreadable)) if comm.rank == 0 else "  see the list of rank 0"
        raise Unreadable(_UNREADABLE.format(len(unreadable), listed))


def _listed(unreadable: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yield lines of images and reasons. Rows of an array or a table, ``x.npy[7]``, have one mistake in common."""
    for file, found in groupby(unreadable, key=lambda one: one[0].rpartition("[")[0] if one[0].endswith("]") else ""):
        rows = list(found)
        shown = rows[:MOST_ROWS] if file else rows
        yield from (f"  {name}: {why}" for name, why in shown)
        if len(rows) > len(shown):
            yield f"  … and {len(rows) - len(shown)} more of {file}"


@dataclass(frozen=True)
class Pack:
    """Batch of images of any sizes as one tensor, which travels between processes as one."""

    pixels: Tensor
    shapes: list[tuple[int, ...]]
    index: list[int]
    size: int
    outcome: ReadResult

    def groups(self, pinned: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the images or clips of each size ``(n, …)`` with their index; ``pinned`` where a GPU fetches them,
        which is then eight times as fast.
        """
        images = self.by_number()
        for shape in dict.fromkeys(self.shapes):
            alike = [number for number, other in zip(self.index, self.shapes) if other == shape]
            batch = torch.empty(len(alike), *shape, dtype=torch.uint8, pin_memory=pinned)
            yield torch.stack([images[number] for number in alike], out=batch), torch.tensor(alike)

    def by_number(self) -> dict[int, Tensor]:
        """Return the images that were read, ``(3, H, W)`` each, by their numbers."""
        flat = self.pixels.split([prod(shape) for shape in self.shapes])
        return {number: pixels.view(shape) for number, pixels, shape in zip(self.index, flat, self.shapes)}


class Packs(Dataset["Pack"]):
    """Dataset of batches: a list of numbers is the pack of those images, decoded where it is asked for.

    Args:
        images: the source.
    """

    def __init__(self, images: Images) -> None:
        self.images = images

    def __getitem__(self, numbers: Any) -> Pack:
        read: dict[int, Tensor] = {}
        outcome = ReadResult()
        for number in numbers:
            try:
                read[number] = self.images[number]
                outcome += ReadResult(1, [], digest_of_image(read[number]))
            except Unreadable as error:
                outcome += ReadResult(0, [(number, self.images.name(number), str(error))])
        pixels = torch.cat([image.reshape(-1) for image in read.values()] or [torch.empty(0, dtype=torch.uint8)])
        return Pack(pixels, [tuple(image.shape) for image in read.values()], list(read), len(numbers), outcome)


def digest_of_image(image: Tensor) -> int:
    """Return the sha256 of an image's size and pixels, as a number."""
    digest = hashlib.sha256(f"{tuple(image.shape)}".encode())
    digest.update(image.contiguous().numpy().data)
    return int.from_bytes(digest.digest(), "big")


def _spare_cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(0, min(8, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1))


_UNREADABLE = (
    "these images do not read ({0}):\n{1}\nRemedy: mend or remove them; or --on-error skip, which leaves them out and "
    "counts them in the output."
)
