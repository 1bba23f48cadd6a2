"""Images in folders and archives, read where they lie: nothing is unpacked to disk."""

from __future__ import annotations

import os
import posixpath
import tarfile
import zipfile
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from streaming_metrics.sources.base import Images, PerProcess, Unreadable
from streaming_metrics.sources.decode import EXTENSIONS, decode, is_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
DEEPEST = 16
LARGEST = 1 << 30
"""Bytes of an image file that are read at most: an archive can say of a few that they are many."""


class Folder(Images):
    """The image files below a folder, in the order of their paths.

    Raises:
        ValueError: where there are none.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        below = (Path(where, name) for where, _, names in _walk(self.root) for name in names if is_image(name))
        self.names = sorted(path.relative_to(self.root).as_posix() for path in below)
        _require(self.names, self.root)

    def __len__(self) -> int:
        return len(self.names)

    def name(self, i: int) -> str:
        return str(self.root / self.names[i])

    def __getitem__(self, i: int) -> Tensor:
        try:
            content = (self.root / self.names[i]).read_bytes()
        except OSError as error:
            raise Unreadable(str(error)) from error
        return decode(content)


class Zip(Images):
    """The image files in a zip archive, in the order of their paths.

    Raises:
        ValueError: where the archive does not read, or holds none.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.archive = Path(path), PerProcess(partial(zipfile.ZipFile, path))
        try:
            found = [member for member in self.archive().infolist() if is_image(member.filename)]
        except Exception as error:
            raise _damaged(self.path, "zip", error) from error
        self.members = sorted(found, key=lambda member: (member.filename, member.header_offset))
        _require(self.members, self.path)

    def __len__(self) -> int:
        return len(self.members)

    def name(self, i: int) -> str:
        return f"{self.path}/{self.members[i].filename}"

    def __getitem__(self, i: int) -> Tensor:
        member = self.members[i]
        _check_size(member.file_size)
        try:
            content = self.archive().read(member)
        except Exception as error:  # zipfile, zlib, bz2 and lzma have their own
            raise Unreadable(f"{type(error).__name__}: {error}") from error
        return decode(content)


class Tar(Images):
    """The image files in a tar archive, also compressed, in the order in which it holds them, as webdataset reads it.

    Raises:
        ValueError: where the archive does not read to its end, or holds none.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.stream = Path(path), PerProcess(partial(_open_tar, path))
        try:
            self.members = _members_of(self.path)
        except Exception as error:
            raise _damaged(self.path, "tar", error) from error
        _require(self.members, self.path)

    def __len__(self) -> int:
        return len(self.members)

    def name(self, i: int) -> str:
        return f"{self.path}/{self.members[i][0]}"

    def __getitem__(self, i: int) -> Tensor:
        _, offset, size = self.members[i]
        _check_size(size)
        try:
            self.stream().seek(offset)
            content = self.stream().read(size)
        except Exception as error:  # gzip, bz2 and lzma have their own
            raise Unreadable(f"{type(error).__name__}: {error}") from error
        return decode(content)


def _members_of(path: Path) -> list[tuple[str, int, int]]:
    """Return name, offset and size of every image; tarfile itself takes damage in the middle for the end."""
    with tarfile.open(path) as archive:
        named = [(m.name, _content_of(archive, m)) for m in archive if is_image(m.name)]
        members = [(name, m.offset_data, m.size) for name, m in named if m.isreg()]
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it does not end as an archive does: truncated?")
    return members


def _content_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return the member that holds a link's bytes: an archive stores a file once, and its other names as links."""
    seen = 0
    while (member.islnk() or member.issym()) and seen < DEEPEST:
        target = member.linkname if member.islnk() else posixpath.join(posixpath.dirname(member.name), member.linkname)
        member, seen = archive.getmember(posixpath.normpath(target)), seen + 1
    return member


def _open_tar(path: str | Path) -> IO[bytes]:
    """Return the archive's bytes, decompressed as they are read."""
    return cast("IO[bytes]", tarfile.open(path).fileobj)


def _walk(root: Path) -> list[tuple[str, list[str], list[str]]]:
    def refuse(error: OSError) -> None:
        raise error

    found, seen = [], {os.path.realpath(root)}
    for where, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        real = {name: os.path.realpath(os.path.join(where, name)) for name in folders}  # noqa: PTH118
        folders[:] = [name for name in sorted(folders) if real[name] not in seen]
        seen.update(real[name] for name in folders)
        found.append((where, folders, names))
    return found


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise Unreadable(f"expected an image file of at most {LARGEST} bytes, got {size}")


def _require(found: Sequence[object], where: Path) -> None:
    if not found:
        raise ValueError(f"{where}: expected images ({', '.join(sorted(EXTENSIONS))}), found none.")


def _damaged(path: Path, kind: str, error: Exception) -> ValueError:
    return ValueError(
        f"{path}: expected a {kind} archive, got one that does not read: {type(error).__name__}: {error}."
    )
