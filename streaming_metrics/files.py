"""Files that are whole or not there: what interrupts a write leaves the file that was there before."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield where to write; what stands there on the way out becomes ``path``, and an error or Ctrl-C leaves nothing.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp(), "scores.json")
        >>> with whole_file(target) as partial:
        ...     _ = partial.write_text("{}")
        ...     target.exists()
        False
        >>> target.read_text(), partial.exists()
        ('{}', False)
    """
    path = Path(path).resolve()
    if path.exists() and not path.is_file():  # a pipe or a device is written to, not replaced
        yield path
        return
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(descriptor)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o666 & ~_umask())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _umask() -> int:
    """Return the process's mask of permissions, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
