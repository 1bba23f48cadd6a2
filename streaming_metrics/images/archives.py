"""Images in folders and archives, read where they lie: nothing is unpacked to disk."""

from __future__ import annotations

import io
import os
import posixpath
import tarfile
import zipfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from streaming_metrics.images.base import PerProcess
from streaming_metrics.images.decode import Unreadable
from streaming_metrics.images.labels import WithPaths
from streaming_metrics.images.names import EXTENSIONS, hidden_part, sample_of, sift, told, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

DEEPEST = 16
LARGEST = 1 << 30
"""Bytes of an image file that are read at most: an archive can say of a few that they are many."""
MOST_ENDINGS = 8


class Folder(WithPaths):
    """The image files below a folder, in the order of their paths.

    Args:
        root: the folder.
        names: of the images, below it.
        left_out: how many files are not counted, by reason.

    Raises:
        ValueError: where there are none.
    """

    def __init__(self, root: str | Path, names: Sequence[str], left_out: Mapping[str, int]) -> None:
        self.root, self.names, self.left_out = Path(root), sorted(names), left_out
        _require(self.names, self.root, left_out)

    def __len__(self) -> int:
        return len(self.names)

    def name(self, i: int) -> str:
        return str(self.root / self.names[i])

    def path_below(self, i: int) -> str:
        return self.names[i]

    def content_of(self, name: str) -> bytes | None:
        path = self.root / name
        return path.read_bytes() if path.is_file() else None

    def files(self) -> tuple[Path, ...]:
        return tuple(self.root / name for name in self.names)

    def head(self, i: int, most: int | None = None) -> bytes:
        try:
            with (self.root / self.names[i]).open("rb") as file:
                return file.read(-1 if most is None else most)
        except OSError as error:
            raise Unreadable(str(error)) from error

    def __getitem__(self, i: int) -> Tensor:
        return self.decoded(self.head(i))


class Zip(WithPaths):
    """The image files in a zip archive, in the order of their paths.

    Args:
        path: of the archive.
        only: the one ending to take; see :func:`~streaming_metrics.images.names.sift`.

    Raises:
        ValueError: where the archive does not read, or holds none.
    """

    def __init__(self, path: str | Path, only: str | None = None) -> None:
        self.path, self.archive = Path(path), PerProcess(partial(zipfile.ZipFile, path))
        try:
            found = self.archive().infolist()
        except Exception as error:
            raise _damaged(self.path, "zip", error) from error
        names, self.left_out = sift((member.filename for member in found), only)
        images = set(names)
        self.members = sorted(
            (member for member in found if member.filename in images), key=lambda m: (m.filename, m.header_offset)
        )
        _require(self.members, self.path, self.left_out)

    def __len__(self) -> int:
        return len(self.members)

    def name(self, i: int) -> str:
        return f"{self.path}/{self.members[i].filename}"

    def path_below(self, i: int) -> str:
        return self.members[i].filename

    def content_of(self, name: str) -> bytes | None:
        with suppress(KeyError):
            return self.archive().read(name)
        return None

    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def head(self, i: int, most: int | None = None) -> bytes:
        member = self.members[i]
        _check_size(member.file_size)
        try:
            with self.archive().open(member) as file:
                return file.read(-1 if most is None else most)
        except Exception as error:  # zipfile, zlib, bz2 and lzma have their own
            raise Unreadable(f"{type(error).__name__}: {error}") from error

    def __getitem__(self, i: int) -> Tensor:
        return self.decoded(self.head(i))


class Tar(WithPaths):
    """The image files in a tar archive, also compressed, in the order in which it holds them, as webdataset reads it.

    Args:
        path: of the archive.
        only: the one ending to take; see :func:`~streaming_metrics.images.names.sift`.

    Raises:
        ValueError: where the archive does not read to its end, holds none, or has several of one webdataset sample
            (``x.png`` and ``x.cond.png``) and ``only`` does not say which.
    """

    def __init__(self, path: str | Path, only: str | None = None) -> None:
        self.path, self.stream = Path(path), PerProcess(partial(_open_tar, path))
        try:
            members = _members_of(self.path)
        except Exception as error:
            raise _damaged(self.path, "tar", error) from error
        names, self.left_out = sift((name for name, _, _ in members), only)
        if only is None:
            _refuse_several(names, self.path)
        images = set(names)
        self.members = [member for member in members if member[0] in images]
        _require(self.members, self.path, self.left_out)

    def __len__(self) -> int:
        return len(self.members)

    def name(self, i: int) -> str:
        return f"{self.path}/{self.members[i][0]}"

    def path_below(self, i: int) -> str:
        return self.members[i][0]

    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def head(self, i: int, most: int | None = None) -> bytes | None:
        if not isinstance(self.stream(), io.BufferedReader):  # compressed: a look into each reads the whole
            return None
        _, offset, size = self.members[i]
        _check_size(size)
        try:
            with self.path.open("rb") as file:  # one for each look, since threads would share its position
                file.seek(offset)
                return file.read(size if most is None else min(size, most))
        except OSError as error:
            raise Unreadable(str(error)) from error

    def __getitem__(self, i: int) -> Tensor:
        _, offset, size = self.members[i]
        _check_size(size)
        try:
            self.stream().seek(offset)
            content = self.stream().read(size)
        except Exception as error:  # gzip, bz2 and lzma have their own
            raise Unreadable(f"{type(error).__name__}: {error}") from error
        return self.decoded(content)


def _members_of(path: Path) -> list[tuple[str, int, int]]:
    """Return name, offset and size of whatever may be an image; tarfile takes damage in the middle for the end."""
    with tarfile.open(path) as archive:
        named = [
            (m.name, m if reason else _content_of(archive, m))
            for m in archive
            if (reason := why_not(m.name)) is not None
        ]
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


def files_below(root: Path) -> list[str]:
    """Return the paths of all files below a folder, each folder once, whatever links lead to it.

    Hidden folders are looked into, to count what they hold, but no link in them is followed.
    """
    found = []
    for where, names in _walk(root):
        folder = Path(where).relative_to(root).as_posix()
        found += names if folder == "." else [f"{folder}/{name}" for name in names]
    return found


def _walk(root: Path) -> Iterator[tuple[str, list[str]]]:
    def hidden(where: Path) -> bool:
        return bool(hidden_part(where.relative_to(root).as_posix()))

    def refuse(error: OSError) -> None:
        if not hidden(Path(error.filename)):
            raise error

    seen = {os.path.realpath(root)}
    for where, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        inside = sorted((path.is_symlink(), path.name) for path in (Path(where, name) for name in folders))
        folders.clear()
        for is_link, name in inside:
            path = Path(where, name)
            real = os.path.realpath(path)
            if real not in seen and not (is_link and hidden(path)):
                seen.add(real)
                folders.append(name)
        yield where, names


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise Unreadable(f"expected an image file of at most {LARGEST} bytes, got {size}")


def _require(found: Sequence[object], where: Path, left_out: Mapping[str, int]) -> None:
    if not found:
        others = f" ({told(left_out)})" if left_out else ""
        raise ValueError(f"{where}: expected images ({', '.join(sorted(EXTENSIONS))}), found none{others}.")


def _refuse_several(names: Sequence[str], where: Path) -> None:
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


def _damaged(path: Path, kind: str, error: Exception) -> ValueError:
    return ValueError(
        f"{path}: expected a {kind} archive, got one that does not read: {type(error).__name__}: {error}."
    )
