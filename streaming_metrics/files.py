"""Files that are whole or not there: what interrupts a write leaves the file that was there before."""

from __future__ import annotations

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
    path = Path(path)
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
