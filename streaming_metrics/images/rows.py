"""Rows of tables: images' bytes from parquet and arrow files, by pyarrow; the only door to it."""

from __future__ import annotations

import json
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming_metrics.images.remote import Place

PARQUET, ARROW = (".parquet", ".pq"), (".arrow", ".feather")
BATCH = 16
"""Rows of a parquet file that are held at a time."""
BUFFER = 1 << 20
MAGIC, END = b"ARROW1", b"\xff\xff\xff\xff\0\0\0\0"
"""What a file of arrow begins with, and what a stream of it, as ``datasets`` writes it, ends with."""


class Rows(Protocol):
    """An open table: values by column and row, without holding all of it."""

    schema: Any
    count: int

    def value(self, column: str, row: int) -> Any:
        """Return what stands there; whatever pyarrow raises where it does not read."""
        ...

    def values(self, column: str) -> list[Any]:
        """Return a whole column, of small values."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def open_rows(path: Place) -> Rows:
    """Return the rows of a table.

    Raises:
        ImportError: pyarrow is missing; ``pip install "streaming-metrics[tables]"``.
        ValueError: where it does not read, or is truncated.
    """
    pyarrow_of(path)
    try:
        if path.suffix.lower() in PARQUET:
            return ParquetRows(path)
        if not isinstance(path, Path):
            raise ValueError("arrow is read from local files alone; download it, or write parquet")
        return ArrowRows(path)
    except Exception as error:  # pyarrow's are OSErrors, ValueErrors and others
        kind = "parquet" if path.suffix.lower() in PARQUET else "arrow"
        line = (str(error).splitlines() or [""])[0]
        raise ValueError(
            f"{path}: expected a {kind} file, got one that does not read: {type(error).__name__}: {line}."
        ) from error


def pyarrow_of(path: Place) -> Any:
    """Return pyarrow; raise ImportError, with its remedy, where it is missing."""
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError(
            f'{path}: a table needs pyarrow. Remedy: pip install "streaming-metrics[tables]", or pip install pyarrow.'
        ) from error
    return pyarrow


class ParquetRows:
    """Rows of a parquet file: a few are held, and reading on from them is cheap; going back reads a row group again.

    Args:
        path: of the file, or one like it that opens.
    """

    def __init__(self, path: Place) -> None:
        from pyarrow import parquet

        self.file = parquet.ParquetFile(
            str(path) if isinstance(path, Path) else path.open(),
            buffer_size=BUFFER,
            pre_buffer=False,
            page_checksum_verification=True,
        )
        about = self.file.metadata
        self.schema, self.count = self.file.schema_arrow, about.num_rows
        self.ends = list(accumulate(about.row_group(group).num_rows for group in range(about.num_row_groups)))
        self.at: tuple[str, int] | None = None
        self.start, self.held, self.batches = 0, [], iter(())

    def value(self, column: str, row: int) -> Any:
        group = bisect_right(self.ends, row)
        try:
            if self.at != (column, group) or row < self.start:
                self._enter(column, group)
            while row >= self.start + len(self.held):
                self.start += len(self.held)
                self.held = next(self.batches)
        except BaseException:
            self.at = None
            raise
        return self.held[row - self.start].as_py()

    def values(self, column: str) -> list[Any]:
        return self.file.read(columns=[column], use_threads=False)[column].to_pylist()

    def close(self) -> None:
        self.file.close(force=True)

    def _enter(self, column: str, group: int) -> None:
        self.at, self.start, self.held = (column, group), self.ends[group - 1] if group else 0, []
        self.batches = self._batches(column, group)

    def _batches(self, column: str, group: int) -> Iterator[Any]:
        parts = self.file.iter_batches(BATCH, row_groups=[group], columns=[column], use_threads=False)
        return (batch.column(column) for batch in parts)


class ArrowRows:
    """Rows of an arrow file or stream, mapped into memory: nothing is read before it is asked for, unless compressed.

    Args:
        path: of the file.

    Raises:
        ValueError: where a stream does not end as one does.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow

        with path.open("rb") as file:
            is_file = file.read(len(MAGIC)) == MAGIC
            file.seek(-len(END), 2)
            if not is_file and file.read() != END:
                raise ValueError("it does not end as a stream of arrow does: truncated?")
        self.mapped = pyarrow.memory_map(str(path))
        ipc = pyarrow.ipc
        self.table: Any = (ipc.open_file(self.mapped) if is_file else ipc.open_stream(self.mapped)).read_all()
        self.schema, self.count = self.table.schema, self.table.num_rows
        self.columns: dict[str, Any] = {}
        self.ends: dict[str, list[int]] = {}

    def value(self, column: str, row: int) -> Any:
        chunks = self._checked(column).chunks
        ends = self.ends.setdefault(column, list(accumulate(map(len, chunks))))
        number = bisect_right(ends, row)
        return chunks[number][row - (ends[number] - len(chunks[number]))].as_py()

    def values(self, column: str) -> list[Any]:
        return self._checked(column).to_pylist()

    def close(self) -> None:
        self.columns, self.table = {}, None
        self.mapped.close()

    def _checked(self, column: str) -> Any:
        """Return a column whose offsets lie in the file: pyarrow follows them unasked."""
        if column not in self.columns:
            found = self.table[column]
            found.validate(full=True)
            self.columns[column] = found
        return self.columns[column]


def features_of(schema: Any) -> dict[str, Any]:
    """Return what Hugging Face's ``datasets`` says of a table's columns; nothing where it did not write it."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}
