"""Files that are whole or not there: what interrupts a write leaves the file that was there before."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LINKS = 40
"""Links that lead on to links, at most; as many as Linux follows."""


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield where to write; what stands there on the way out becomes ``path``, and an error or Ctrl-C leaves nothing.

    A pipe, a device or an open file (``/dev/stdout``) is no file to be replaced: it is sent the bytes.

    Raises:
        OSError: where it cannot be written, as on a full disk; it names ``path``.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp(), "scores.json")
        >>> with atomic_write(target) as partial:
        ...     _ = partial.write_text("{}")
        ...     target.exists()
        False
        >>> target.read_text(), partial.exists()
        ('{}', False)
    """
    path = Path(path)
    with _named(path), _sent(path) if _is_written_through(path) else _replaced(path) as partial:
        yield partial


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    path = Path(os.path.realpath(path))
    if path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    with _partial(path.name, path.parent) as partial:
        yield partial
        partial.chmod(0o666 & ~_umask())
        partial.replace(path)


@contextmanager
def _sent(path: Path) -> Iterator[Path]:
    with _partial(path.name, None) as partial:
        yield partial
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)  # after what an open file holds already
        with partial.open("rb") as source, os.fdopen(descriptor, "wb") as sink:
            shutil.copyfileobj(source, sink)


@contextmanager
def _partial(name: str, folder: Path | None) -> Iterator[Path]:
    """Yield an empty file, removed on the way out if it is still there; in the folder for such files where None."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name[:99]}.", suffix=".partial", dir=folder)
    os.close(descriptor)
    try:
        yield Path(temporary)
    finally:
        Path(temporary).unlink(missing_ok=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let an OSError speak of the path that was asked for, not of what is written meanwhile, or of none."""
    try:
        yield
    except OSError as error:
        code = error.errno or errno.EIO
        raise OSError(code, error.strerror or str(error), str(path)) from error


def _is_written_through(path: Path) -> bool:
    return (path.exists() and not (path.is_file() or path.is_dir())) or _is_open_file(path)


def _is_open_file(path: Path) -> bool:
    """Return whether a path leads to a descriptor of this process, as ``/dev/stdout`` does."""
    for _ in range(LINKS):
        if not path.is_symlink():
            break
        folder = path.parent.resolve()
        if folder.name == "fd" and folder.is_relative_to("/proc"):
            return True
        path = folder / path.readlink()
    return False


def _umask() -> int:
    """Return the process's mask of permissions, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
