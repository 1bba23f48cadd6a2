"""A side's features in the cache: given to a metric instead of images that would make them again."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from streaming_metrics.cli.feature_cache import ABOUT, digest_of_file, remove
from streaming_metrics.cli.reading import ReadResult
from streaming_metrics.features import Features

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from streaming_metrics.cli.feature_cache import FeatureCache
    from streaming_metrics.cli.reading import TakesImages
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.extractors.base import Extractor
    from streaming_metrics.images import Images


@dataclass(frozen=True)
class CachedSide:
    """Features of a side in the cache, over all ranks.

    Args:
        cache: where.
        folder: of the side.
        count: how many images it has.
        comm: the ranks; each needs to see only the parts that it wrote, and a side is there where all see all parts.
    """

    cache: FeatureCache
    folder: Path
    count: int
    comm: Comm

    @classmethod
    def of(cls, cache: FeatureCache | None, images: Images, extractor: Extractor, comm: Comm) -> CachedSide | None:
        """Return a side's place in the cache; None where it has none; collective.

        None without a cache, of images that are not of files alone, and of a network that reads captions too.
        """
        if cache is None or extractor.reads_captions:
            return None
        own = cache.of(images, extractor) if comm.rank == 0 else None
        name = comm.rendezvous("" if own is None else own.name, "cache")[0]
        return cls(cache, cache.folder / name, len(images), comm) if name else None

    def stored(self) -> list[Part] | None:
        """Return the side's parts, open and unharmed, where every rank sees them; None where not; collective."""
        complete = [number for number in self._numbers() if all(map(_is_there, self._named(number)))]
        seen = [set(json.loads(text)) for text in self.comm.rendezvous(json.dumps(complete), "cache")]
        if not (common := set.intersection(*seen)):
            return None
        paths = self._named(min(common))
        parts = [Part.open(path) for path in paths]
        harmed = [part is None for part in parts]
        for place in range(self.comm.rank, len(paths), self.comm.world_size):
            if not _is_whole(paths[place]):
                harmed[place] = True
                remove(paths[place])
        return (
            None if any(self.comm.rendezvous("harmed" if any(harmed) else "", "cache")) else cast("list[Part]", parts)
        )

    def give(
        self, parts: list[Part], metric: TakesImages, *, real: bool, batch_size: int, advance: Callable[[int], Any]
    ) -> ReadResult:
        """Add this rank's share of the features to a metric; return what became of the images when they were read."""
        mine = torch.arange(self.comm.rank, self.count, self.comm.world_size)
        for index in mine.split(batch_size):
            metric.update(_rows(parts, index).to(metric.device), real=real, index=index)
            advance(len(index) * self.comm.world_size)
        return parts[0].outcome

    @property
    def part(self) -> Path:
        """The part that this rank writes."""
        return self._named(self.comm.world_size)[self.comm.rank]

    def _numbers(self) -> list[int]:
        names = self.folder.glob("*-of-*/") if os.path.isdir(self.folder) else ()  # noqa: PTH112, or another user's raises
        numbers = {name.name.rpartition("-")[2] for name in names}
        return sorted(int(number) for number in numbers if number.isdigit())

    def _named(self, number: int) -> list[Path]:
        return [self.folder / f"{rank}-of-{number}" for rank in range(number)]


@dataclass(frozen=True)
class Part:
    """Part of a side, open: it stays readable when it is removed meanwhile.

    Args:
        columns: of its features, by name; they lie in its files.
        outcome: of the reading of the whole side.
    """

    columns: dict[str, np.ndarray]
    outcome: ReadResult

    @classmethod
    def open(cls, path: Path) -> Part | None:
        """Return the part at ``path``; None where it does not read."""
        try:
            about = json.loads((path / ABOUT).read_text())
            columns = {name: np.load(path / f"{name}.npy", mmap_mode="r") for name in about["columns"]}
            outcome = ReadResult(about["read"], [], int(about["digest"], 16))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        with suppress(OSError):  # of a cache that this user may only read
            os.utime(path / ABOUT)
        return cls(columns, outcome)


def _rows(parts: list[Part], index: Tensor) -> Features:
    """Return the rows of images from the parts that they are in: image i is row ``i // P`` of part ``i % P``."""
    numbers, each = index.numpy(), len(parts)
    found: dict[str, np.ndarray] = {}
    for place, part in enumerate(parts):
        chosen = numbers % each == place
        for name, column in part.columns.items():
            rows = column[numbers[chosen] // each]
            found.setdefault(name, np.empty((len(numbers), *column.shape[1:]), column.dtype))[chosen] = rows
    return Features(**{name: torch.from_numpy(rows) for name, rows in found.items()})


def _is_there(part: Path) -> bool:
    return os.path.isfile(part / ABOUT)  # noqa: PTH113, which raises where another user keeps it to himself


def _is_whole(part: Path) -> bool:
    """Return whether a part's files are those that were written."""
    try:
        columns = json.loads((part / ABOUT).read_text())["columns"]
    except (OSError, ValueError, KeyError):
        return False
    return all(digest_of_file(part / f"{name}.npy") == digest for name, digest in columns.items())
