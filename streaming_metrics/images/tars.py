"""Images in tar archives, plain and compressed, read where they lie: nothing is unpacked to disk."""

from __future__ import annotations

import io
import posixpath
import tarfile
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from streaming_metrics.images.archives import check_size, damaged, require
from streaming_metrics.images.base import PerProcess
from streaming_metrics.images.decode import Unreadable
from streaming_metrics.images.labels import WithPaths
from streaming_metrics.images.names import ZSTANDARD, sample_of, sift, why_not
from streaming_metrics.images.remote import local_files, place_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from torch import Tensor

    from streaming_metrics.images.remote import Place

CLASS = ".cls"
DEEPEST = 16
MOST_ENDINGS = 8


class Tar(WithPaths):
    """The image files in a tar archive, also compressed, in the order in which it holds them, as webdataset reads it.

    What webdataset holds beside an image as ``.cls`` is its class; without any, folders are.

    Args:
        path: of the archive.
        only: the one ending to take; see :func:`~streaming_metrics.images.names.sift`.

    Raises:
        ValueError: where the archive does not read to its end, holds none, or has several of one webdataset sample
            (``x.png`` and ``x.cond.png``) and ``only`` does not say which.
    """

    def __init__(self, path: str | Place, only: str | None = None) -> None:
        self.path, self.only = place_at(path), only
        self.stream = PerProcess(partial(_open_stream, self.path))
        try:
            members, self.classes = _members_of(self.path)
        except ImportError:
            raise
        except Exception as error:
            raise damaged(self.path, "tar", error) from error
        names, self.left_out = sift((name for name, _, _ in members), only)
        if only is None:
            _refuse_several(names, self.path)
        images = set(names)
        self.members = [member for member in members if member[0] in images]
        require(self.members, self.path, self.left_out)

    def __len__(self) -> int:
        return len(self.members)

    def name(self, i: int) -> str:
        return f"{self.path}/{self.members[i][0]}"

    def path_below(self, i: int) -> str:
        return self.members[i][0]

    def label(self, i: int) -> str | None:
        return self.classes.get(sample_of(self.members[i][0])[0]) if self.classes else super().label(i)

    @property
    def labelled_by(self) -> str:
        return CLASS if self.classes else super().labelled_by

    def head(self, i: int, most: int | None = None) -> bytes | None:
        if not (isinstance(self.path, Path) and isinstance(self.stream(), io.BufferedReader)):
            return None  # compressed, a look into each reads the whole
        _, offset, size = self.members[i]
        check_size(size)
        try:
            with self.path.open("rb") as file:  # one for each look, since threads would share its position
                file.seek(offset)
                return file.read(size if most is None else min(size, most))
        except OSError as error:
            raise Unreadable(str(error)) from error

    def files(self) -> tuple[Path, ...] | None:
        return local_files(self.path)

    def recipe(self) -> str:
        return f"{super().recipe()} of {self.only or 'any ending'}"

    def __getitem__(self, i: int) -> Tensor:
        _, offset, size = self.members[i]
        check_size(size)
        try:
            self.stream().seek(offset)
            content = self.stream().read(size)
        except Exception as error:  # gzip, bz2 and lzma have their own
            raise Unreadable(f"{type(error).__name__}: {error}") from error
        return self.decoded(content)


def _members_of(path: Place) -> tuple[list[tuple[str, int, int]], dict[str, str]]:
    """Return name, offset and size of what there is, and classes by the keys of webdataset's samples.

    tarfile takes damage in the middle for the end.
    """
    named, classes = [], {}
    with _open(path) as archive:
        for m in archive:
            if m.name.endswith(CLASS) and m.isreg() and m.size < tarfile.BLOCKSIZE:
                classes[sample_of(m.name)[0]] = _text_of(archive, m)
            elif (reason := why_not(m.name)) is not None:
                named.append((m.name, m if reason else _content_of(archive, m)))
            elif m.isreg():
                named.append((m.name, m))
        members = [(name, m.offset_data, m.size) for name, m in named if m.isreg()]
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it does not end as an archive does: truncated?")
    return members, classes


def _text_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = archive.extractfile(member)
    return content.read().decode(errors="replace").strip() if content else ""


def _content_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return the member that holds a link's bytes: an archive stores a file once, and its other names as links."""
    seen = 0
    while (member.islnk() or member.issym()) and seen < DEEPEST:
        target = member.linkname if member.islnk() else posixpath.join(posixpath.dirname(member.name), member.linkname)
        member, seen = archive.getmember(posixpath.normpath(target)), seen + 1
    return member


def _open(path: Place) -> tarfile.TarFile:
    if path.name.lower().endswith(ZSTANDARD):
        return tarfile.open(fileobj=_zstandard().ZstdFile(path if isinstance(path, Path) else path.open()))
    return tarfile.open(path) if isinstance(path, Path) else tarfile.open(fileobj=path.open())


def _open_stream(path: Place) -> IO[bytes]:
    """Return the archive's bytes, decompressed as they are read."""
    return cast("IO[bytes]", _open(path).fileobj)


def _zstandard() -> ModuleType:
    """Return the standard library's module of Python 3.14, or what brings it to others."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(name)
        except ImportError:
            continue
    raise ImportError(
        'Archives .tar.zst need Python 3.14 or backports.zstd. Remedy: pip install "streaming-metrics[zstd]", or '
        "pip install backports.zstd."
    )


def _refuse_several(names: Sequence[str], where: Place) -> None:
    """Raise ValueError where a webdataset sample has several images: a condition or a mask beside the image, say."""
    endings: dict[str, set[str]] = {}
    for key, ending in map(sample_of, names):
        endings.setdefault(key, set()).add(ending)
    several = sorted(set().union(*(of for of in endings.values() if len(of) > 1)))
    if several:
        told_apart = ", ".join(f".{ending}" for ending in several[:MOST_ENDINGS])
        more = f" and {len(several) - MOST_ENDINGS} more" if len(several) > MOST_ENDINGS else ""
        raise ValueError(
            f"{where}: expected one image a sample, got samples with several: {told_apart}{more}. "
            f"Remedy: put the one to take behind the source and a colon, …:{several[0]}; or …:all for each of them."
        )
