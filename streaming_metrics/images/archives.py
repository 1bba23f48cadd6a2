"""Images in folders and archives, read where they lie: nothing is unpacked to disk."""

from __future__ import annotations

import os
import zipfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from streaming_metrics.images.base import PerProcess
from streaming_metrics.images.decode import Unreadable
from streaming_metrics.images.labels import WithPaths
from streaming_metrics.images.names import EXTENSIONS, hidden_part, sift, told
from streaming_metrics.images.remote import local_files, place_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.images.remote import Place

LARGEST = 1 << 30
"""Bytes of an image file that are read at most: an archive can say of a few that they are many."""


class Folder(WithPaths):
    """The image files below a folder, in the order of their paths.

    Args:
        root: the folder.
        names: of the images, below it.
        left_out: how many files are not counted, by reason.

    Raises:
        ValueError: where there are none.
    """

    def __init__(self, root: str | Place, names: Sequence[str], left_out: Mapping[str, int]) -> None:
        self.root, self.names, self.left_out = place_at(root), sorted(names), left_out
        require(self.names, self.root, left_out)

    def __len__(self) -> int:
        return len(self.names)

    def name(self, i: int) -> str:
        return str(self.root / self.names[i])

    def path_below(self, i: int) -> str:
        return self.names[i]

    def content_of(self, name: str) -> bytes | None:
        path = self.root / name
        return path.read_bytes() if path.is_file() else None

    def files(self) -> tuple[Path, ...] | None:
        return local_files(*(self.root / name for name in self.names))

    def head(self, i: int, most: int | None = None) -> bytes | None:
        return self._content(i, most) if isinstance(self.root, Path) else None  # at an address a request each

    def __getitem__(self, i: int) -> Tensor:
        return self.decoded(self._content(i))

    def _content(self, i: int, most: int | None = None) -> bytes:
        path = self.root / self.names[i]
        try:
            if most is None:
                return path.read_bytes()
            with path.open("rb") as file:
                return file.read(most)
        except Exception as error:  # of files OSErrors; each of fsspec's packages has its own
            raise Unreadable(str(error)) from error


class Zip(WithPaths):
    """The image files in a zip archive, in the order of their paths.

    Args:
        path: of the archive.
        only: the one ending to take; see :func:`~streaming_metrics.images.names.sift`.

    Raises:
        ValueError: where the archive does not read, or holds none.
    """

    def __init__(self, path: str | Place, only: str | None = None) -> None:
        self.path, self.only = place_at(path), only
        self.archive = PerProcess(partial(_open_zip, self.path))
        try:
            found = self.archive().infolist()
        except Exception as error:
            raise damaged(self.path, "zip", error) from error
        names, self.left_out = sift((member.filename for member in found), only)
        images = set(names)
        self.members = sorted(
            (member for member in found if member.filename in images), key=lambda m: (m.filename, m.header_offset)
        )
        require(self.members, self.path, self.left_out)

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

    def files(self) -> tuple[Path, ...] | None:
        return local_files(self.path)

    def recipe(self) -> str:
        return f"{super().recipe()} of {self.only or 'any ending'}"

    def head(self, i: int, most: int | None = None) -> bytes | None:
        return self._content(i, most) if isinstance(self.path, Path) else None

    def __getitem__(self, i: int) -> Tensor:
        return self.decoded(self._content(i))

    def _content(self, i: int, most: int | None = None) -> bytes:
        member = self.members[i]
        check_size(member.file_size)
        try:
            with self.archive().open(member) as file:
                return file.read(-1 if most is None else most)
        except Exception as error:  # zipfile, zlib, bz2 and lzma have their own
            raise Unreadable(f"{type(error).__name__}: {error}") from error


def _open_zip(path: Place) -> zipfile.ZipFile:
    return zipfile.ZipFile(path if isinstance(path, Path) else path.open())


def files_below(root: Place) -> list[str]:
    """Return the paths of all files below a folder, each folder once, whatever links lead to it.

    Hidden folders are looked into, to count what they hold, but no link in them is followed.
    """
    if not isinstance(root, Path):
        return root.files_below()
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


def check_size(size: int) -> None:
    """Raise Unreadable where an image file says that it is too large to be one."""
    if size > LARGEST:
        raise Unreadable(f"expected an image file of at most {LARGEST} bytes, got {size}")


def require(found: Sequence[object], where: Place, left_out: Mapping[str, int]) -> None:
    """Raise ValueError where no images were found, naming what is there in their place."""
    if not found:
        others = f" ({told(left_out)})" if left_out else ""
        raise ValueError(f"{where}: expected images ({', '.join(sorted(EXTENSIONS))}), found none{others}.")


def damaged(path: Place, kind: str, error: Exception) -> ValueError:
    """Return what to say of an archive that does not read."""
    return ValueError(
        f"{path}: expected a {kind} archive, got one that does not read: {type(error).__name__}: {error}."
    )
