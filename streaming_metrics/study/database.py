"""Database of a study's store: one connection that writes, whole transactions, and one that reads meanwhile."""

from __future__ import annotations

import os
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from streaming_metrics.study.schema import connect

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

PRIVATE = 0o600


class Database:
    """Database in one file; any thread may use it.

    Args:
        path: of the file, which is made where there is none; only its owner may read it.

    Raises:
        StoreRefused: where the file is no store, or one of a later version.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, PRIVATE))
        self.writer, self.reader = connect(path), connect(path)
        self._writing, self._reading = Lock(), Lock()

    def close(self) -> None:
        """Close the file; what was written stays."""
        for connection in (self.reader, self.writer):
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection that writes; what it wrote is on the disk on the way out, or undone by an error."""
        with self._writing:
            self.writer.execute("BEGIN IMMEDIATE")
            try:
                yield self.writer
                self.writer.execute("COMMIT")
            except BaseException:
                if self.writer.in_transaction:
                    self.writer.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: object) -> list[tuple]:
        """Return what a query finds; by a second connection, so that no reader waits for a disk that writes."""
        with self._reading:
            return self.reader.execute(query, values).fetchall()
