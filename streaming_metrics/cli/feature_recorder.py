"""Recorder of features: takes images in a metric's place, and keeps what the network makes of them in the cache."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import torch
from numpy.lib import format as npy

from streaming_metrics.cli.feature_cache import ABOUT, digest_of_file
from streaming_metrics.images.conversion import CheckedImages, check_images
from streaming_metrics.statistics.hashes import hashes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from streaming_metrics.cli.cached_side import CachedSide
    from streaming_metrics.cli.reading import ReadResult, TakesImages
    from streaming_metrics.extractors.base import Extractor
    from streaming_metrics.features import Features


def recorded(
    side: CachedSide,
    metric: TakesImages,
    extractor: Extractor,
    reading: Callable[[Recorder], ReadResult],
    tell: Callable[[str], Any],
) -> ReadResult:
    """Give a metric the features of the images that ``reading`` reads, and keep them where all were read.

    Args:
        side: in the cache.
        metric: the metric.
        extractor: its only network.
        reading: reads the images for what it is given, over all ranks.
        tell: told why features are not kept, where they cannot be.
    """
    recorder = Recorder(side, metric, extractor, tell)
    try:
        outcome = reading(recorder)
        if not outcome.unreadable:
            recorder.keep(outcome)
    finally:
        recorder.drop()
    return outcome


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
    metric: TakesImages
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
            with suppress(OSError):  # of a full disk, which what is left in the buffer does not fit on either
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
