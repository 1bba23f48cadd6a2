"""A side's features in the cache: written while its images are read, and given to a metric instead of them."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

import numpy as np
import torch
from numpy.lib import format as npy

from streaming_metrics.cli.feature_cache import ABOUT, digest_of_file, remove
from streaming_metrics.cli.reading import ReadResult
from streaming_metrics.features import Features
from streaming_metrics.images.conversion import CheckedImages, check_images
from streaming_metrics.statistics.hashes import hashes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from streaming_metrics.cli.feature_cache import FeatureCache
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.extractors.base import Extractor
    from streaming_metrics.images import Images


class TakesFeatures(Protocol):
    """What features are read for: a metric."""

    @property
    def device(self) -> torch.device: ...

    def update(self, images: Any, *, real: bool, index: Tensor) -> None: ...


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

    def read(
        self,
        metric: TakesFeatures,
        extractor: Extractor,
        reading: Callable[[Recorder], ReadResult],
        tell: Callable[[str], Any],
    ) -> ReadResult:
        """Give a metric the features of the images that ``reading`` reads, and keep them where all were read.

        Args:
            metric: the metric.
            extractor: its only network.
            reading: reads the images for what it is given, over all ranks.
            tell: told why features are not kept, where they cannot be.
        """
        recorder = Recorder(self, metric, extractor, tell)
        try:
            outcome = reading(recorder)
            if not outcome.unreadable:
                recorder.keep(outcome)
        finally:
            recorder.drop()
        return outcome

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
        self, parts: list[Part], metric: TakesFeatures, *, real: bool, batch_size: int, advance: Callable[[int], Any]
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
        names = self.folder.glob("*-of-*/") if self.folder.is_dir() else ()
        numbers = {name.name.rpartition("-")[2] for name in names}
        return sorted(int(number) for number in numbers if number.isdigit())

    def _named(self, number: int) -> list[Path]:
        return [self.folder / f"{rank}-of-{number}" for rank in range(number)]


@dataclass
class Recorder:
    """Taker of images in a metric's place: it extracts their features, keeps them, and gives the metric those.

    Args:
        side: in the cache.
        metric: the metric.
        extractor: its only network.
        tell: told why features are not kept, where they cannot be.
    """

    side: CachedSide
    metric: TakesFeatures
    extractor: Extractor
    tell: Callable[[str], Any]
    _partial: Path | None = field(default=None, init=False)
    _columns: dict[str, _Column] = field(default_factory=dict, init=False)
    _given_up: bool = field(default=False, init=False)

    @property
    def device(self) -> torch.device:
        """Where images are wanted."""
        return self.metric.device

    def update(self, images: Tensor, *, real: bool, index: Tensor, **columns: Any) -> None:
        """Add a batch to the metric, and keep its features."""
        check_images(images)
        pixels = images.to(self.extractor.device, non_blocking=self.extractor.device.type == "cuda")
        features = self.extractor(CheckedImages(pixels)).having(hashes=hashes_of(pixels))
        self.metric.update(features, real=real, index=index, **columns)
        try:
            self._write(features, index)
        except OSError as error:
            self._give_up(str(error))

    def keep(self, outcome: ReadResult) -> None:
        """Keep this rank's part of what was read, ``outcome`` over all ranks."""
        if self._partial is None:
            return
        try:
            digests = {name: column.close() for name, column in self._columns.items()}
            about = {"columns": digests, "read": outcome.read, "digest": f"{outcome.digest:x}"}
            (self._partial / ABOUT).write_text(json.dumps(about))
            self.side.cache.keep(self._partial, self.side.part)
        except OSError as error:
            self._give_up(str(error))

    def drop(self) -> None:
        """Remove what was begun and not kept."""
        for column in self._columns.values():
            with suppress(OSError):  # of a full disk, which the file's last bytes do not fit on either
                column.file.close()
        self._columns.clear()
        if self._partial is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial = None

    def _write(self, features: Features, index: Tensor) -> None:
        if self._given_up:
            return
        kept = {name: column.cpu().numpy() for name, column in features.columns().items()}
        if self._partial is None and not self._begin(kept):
            return
        places = (index - self.side.comm.rank) // self.side.comm.world_size
        for name, rows in kept.items():
            self._columns[name].write(rows, places)

    def _begin(self, kept: dict[str, np.ndarray]) -> bool:
        side = self.side
        whole = sum(rows.itemsize * int(np.prod(rows.shape[1:])) for rows in kept.values()) * side.count
        if whole > side.cache.most:
            self._give_up(f"{whole / 1e9:.1f} GB of features, and the cache holds {side.cache.most / 1e9:g} GB at most")
            return False
        self._partial = side.cache.begin(side.folder)
        mine = len(range(side.comm.rank, side.count, side.comm.world_size))
        for name, rows in kept.items():
            self._columns[name] = _Column(self._partial / f"{name}.npy", rows.dtype, (mine, *rows.shape[1:]))
        return True

    def _give_up(self, why: str) -> None:
        self._given_up = True
        self.tell(f"features are not cached: {why}. Remedy: STREAMING_METRICS_CACHE and …_CACHE_GB; or --no-cache")
        self.drop()


class _Column:
    """File of a column, ``.npy``, whose rows come in any order."""

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self.path, self.file = path, path.open("wb")
        header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(self.file, header)
        self.start, self.row = self.file.tell(), dtype.itemsize * int(np.prod(shape[1:]))

    def write(self, rows: np.ndarray, places: Tensor) -> None:
        first, rows = int(places[0]), np.ascontiguousarray(rows)
        if torch.equal(places, torch.arange(first, first + len(places))):
            self._at(first, self.file, rows)
            return
        for place, row in zip(places.tolist(), rows):
            self._at(place, self.file, row)

    def _at(self, place: int, file: BinaryIO, rows: np.ndarray) -> None:
        file.seek(self.start + place * self.row)
        file.write(rows.tobytes())

    def close(self) -> str:
        """Return the digest of the finished file."""
        self.file.close()
        return digest_of_file(self.path)


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
    return (part / ABOUT).is_file()


def _is_whole(part: Path) -> bool:
    """Return whether a part's files are those that were written."""
    try:
        columns = json.loads((part / ABOUT).read_text())["columns"]
    except (OSError, ValueError, KeyError):
        return False
    return all(digest_of_file(part / f"{name}.npy") == digest for name, digest in columns.items())
