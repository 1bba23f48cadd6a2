"""Outputs of a command: refused before the work where they cannot be written, or would replace what is read."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

STDOUT = Path("-")


def check_writable(path: Path | None) -> None:
    """Raise OSError where a file cannot be written, ValueError where it is ``-``."""
    if path is None:
        return
    if path == STDOUT:
        raise ValueError(
            "-: expected a file to write. Remedy: --json - alone goes to stdout; ./- is a file of that name."
        )
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        if path.exists() and not path.is_file():  # a device or a pipe is written to, where it stands
            if not os.access(path, os.W_OK):
                raise PermissionError("no permission to write to it")
            return
        with NamedTemporaryFile(prefix=f".{path.name}.", suffix=".partial", dir=path.resolve().parent):
            pass
    except OSError as error:
        why = error.strerror or str(error)
        raise OSError(
            f"{path}: expected a file that can be written, got: {why}. Remedy: make its folder, or give another path."
        ) from error


def refuse_overwriting(outputs: Sequence[Path | None], sources: Sequence[str]) -> None:
    """Raise ValueError where an output would take the place of a source, or of another output."""
    taken = {Path(text).resolve() for text in sources}
    for path in outputs:
        if path is None or path == STDOUT or (path.exists() and not path.is_file()):
            continue
        if path.resolve() in taken:
            raise ValueError(f"{path}: expected a file to write, got one that is read or written to already.")
        taken.add(path.resolve())
