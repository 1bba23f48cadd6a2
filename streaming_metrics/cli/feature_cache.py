"""Cache of features on disk: what a network made of a side's files is read there while neither has changed.

A side has a folder, named by the digest of its files, of what else decides its images, and of the network; each rank
that has read the side keeps a part in it. Parts are made elsewhere and renamed into place, and never changed then, so
that processes may share a cache; those that were used longest ago make room for new ones.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming_metrics.extractors.base import Extractor
    from streaming_metrics.images import Images

FOLDER, LIMIT = "STREAMING_METRICS_CACHE", "STREAMING_METRICS_CACHE_GB"
USUAL_LIMIT = 5.0
GB = 10**9
FORMAT = 1
ABOUT = "about.json"
PARTIAL = ".partial"
ABANDONED = 24 * 3600.0
"""Seconds after which a part that was begun and not finished is removed."""
BLOCK = 1 << 20
DECIDE = ("torch", "torchvision", "pillow", "timm", "transformers", "open_clip_torch")
"""Packages whose versions may change pixels or features."""


@dataclass(frozen=True)
class FeatureCache:
    """Folder of features, at most so large.

    Args:
        folder: made when something is kept.
        most: bytes of all that is kept.
    """

    folder: Path
    most: int

    @classmethod
    def usual(cls) -> FeatureCache | None:
        """Return the cache of this user, as two variables of the environment say: the folder
        ``STREAMING_METRICS_CACHE``, and ``STREAMING_METRICS_CACHE_GB``, by default 5; 0 is no cache, None, and so is
        a user without a home.

        Raises:
            ValueError: where the second is no number of at least 0.
        """
        text = os.environ.get(LIMIT, "").strip() or str(USUAL_LIMIT)
        try:
            limit = float(text)
        except ValueError:
            limit = -1.0
        if not 0 <= limit < float("inf"):
            raise ValueError(f"{LIMIT}: expected gigabytes, a number of at least 0, got {text!r}.")
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
        folder = Path(os.environ.get(FOLDER) or base / "streaming_metrics" / "features")
        try:
            return cls(folder.expanduser(), int(limit * GB)) if limit else None
        except RuntimeError:  # a user without a home, as in some containers
            return None

    def of(self, images: Images, extractor: Extractor) -> Path | None:
        """Return the folder of a side, by what its files hold now; None where it is not of files alone."""
        files = images.files()
        if files is None:
            return None
        about = {
            "format": FORMAT,
            "network": extractor.fingerprint,
            "device": extractor.device.type,
            "versions": {"streaming_metrics": own_code(), **dict(_versions())},
            "recipe": images.recipe(),
            "images": len(images),
            "files": digests_of(files),
        }
        return self.folder / hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]

    def begin(self, side: Path) -> Path:
        """Return a new folder for a part of a side, to be filled and then given to :meth:`keep`."""
        side.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=side, suffix=PARTIAL))

    def keep(self, partial: Path, part: Path) -> None:
        """Let a part take its place, others making room for it; the one that is there already stays."""
        self.make_room()
        try:
            partial.rename(part)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)

    def make_room(self) -> None:
        """Remove what was used longest ago, until the rest and what is being made fit, and what was abandoned."""
        kept = sorted((_last_used(part), part, _size(part)) for part in self._parts())
        held = sum(size for _, _, size in kept)
        for used, part, size in kept:
            begun = part.name.endswith(PARTIAL)
            if (held > self.most and not begun) or (begun and time.time() - used > ABANDONED):
                remove(part)
                held -= size

    def _parts(self) -> Iterator[Path]:
        return (part for part in self.folder.glob("*/*") if os.path.isdir(part))  # noqa: PTH112, or others' raise


def remove(part: Path) -> None:
    """Remove a part and, where it was the last, its side's folder: gone by name at once, for all processes."""
    with suppress(OSError):
        gone = part.with_name(f"{part.name}.{os.getpid()}{PARTIAL}")
        part.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        part.parent.rmdir()


def digests_of(files: tuple[Path, ...]) -> list[str]:
    """Return the sha256 of each file; of one that does not read, a word that is none."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(digest_of_file, files))


def digest_of_file(file: Path) -> str:
    """Return the sha256 of a file's bytes, 64 hex digits; "unreadable" where it does not read."""
    digest = hashlib.sha256()
    try:
        with file.open("rb") as content:
            while block := content.read(BLOCK):
                digest.update(block)
    except OSError:
        return "unreadable"
    return digest.hexdigest()


@cache
def own_code(house: Path = Path(__file__).parents[1]) -> str:
    """Return the digest of this library's code that makes pixels and features: a checkout changes without a version."""
    files = sorted(file for room in ("extractors", "images") for file in (house / room).rglob("*.py"))
    digests = digests_of((*files, house / "precision.py"))
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _versions() -> Iterator[tuple[str, str]]:
    for package in DECIDE:
        with suppress(PackageNotFoundError):
            yield package, version(package)


def _size(part: Path) -> int:
    sizes = 0
    for file in part.glob("*"):
        with suppress(OSError):
            sizes += file.stat().st_size
    return sizes


def _last_used(part: Path) -> float:
    for path in (part / ABOUT, part):
        with suppress(OSError):
            return path.stat().st_mtime
    return 0.0
