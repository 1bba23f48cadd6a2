"""Sources of a study's conditions: where they lie, and an outline of each that tells whether it has changed.

An outline is cheap: it is taken at every start of a server, which does not read the images again.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from streaming_metrics.images.names import is_archive, is_image

if TYPE_CHECKING:
    from collections.abc import Iterator

TAIL = 1 << 20
"""Bytes at a file's end that its outline reads: those of a zip or an .npz list each member with its checksum."""


def located(source: str, folder: Path) -> str:
    """Return a source as ``compare`` finds it, where its path is relative to a folder.

    Example:
        >>> located("samples/", Path("runs")), located("/data/real.zip", Path("runs"))
        ('runs/samples', '/data/real.zip')
        >>> located("package.module:dataset", Path("runs"))
        'package.module:dataset'
    """
    if place(source, folder) is None and ":" in source and "/" not in source.partition(":")[0]:
        return source
    return str(folder / source)


def place(source: str, folder: Path) -> Path | None:
    """Return the file or folder that a source begins with; None where there is none: ``package.module:dataset``."""
    path = source
    while path and not (folder / path).exists():
        path = path.rpartition(":")[0]
    return folder / path if path else None


def outline(source: str, folder: Path) -> str:
    """Return a digest of the names and sizes of a source's files, ``""`` where it is not there, or no file."""
    path = place(source, folder)
    if path is None:
        return ""
    digest = hashlib.sha256()
    for line in _entries(path) if path.is_dir() else [_ending(path)]:
        digest.update(line)
    return digest.hexdigest()[:16]


def _entries(folder: Path) -> Iterator[bytes]:
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(where, name)
            below = path.relative_to(folder).as_posix()
            if is_image(below) or is_archive(below):
                yield f"{below} {path.stat().st_size}\n".encode(errors="surrogateescape")


def _ending(path: Path) -> bytes:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        return f"{size} ".encode() + file.read()
