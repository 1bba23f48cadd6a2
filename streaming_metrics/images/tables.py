"""Images in a column of tables, as Hugging Face's ``datasets`` writes them: parquet, arrow, folders of shards."""

from __future__ import annotations

from bisect import bisect_right
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from streaming_metrics.images.base import Images, PerProcess
from streaming_metrics.images.decode import Unreadable
from streaming_metrics.images.options import Options
from streaming_metrics.images.remote import local_files
from streaming_metrics.images.rows import features_of, open_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from streaming_metrics.images.remote import Place, local_files
from streaming_metrics.images.rows import Rows

BYTES = "bytes"
NAMED = ("label", "labels")
"""What a column of classes is called where there are several."""


class Tables(Images):
    """The images in a column of tables, row by row, one table after another.

    A column of images holds image files: ``Image`` of ``datasets``, which is a struct with ``bytes``, or bytes alone.
    Where nobody says which, it is the one that the schema's metadata calls an ``Image``, or else the one such struct.
    Classes are those of its ``ClassLabel``, or the values of the column that ``label=`` names.

    Args:
        paths: of the tables, all of one schema.
        column: of the images; None where there is one alone.
        options: ``label=``, the column of the classes.
        left_out: what is not counted, by reason.

    Raises:
        ImportError: pyarrow is missing.
        ValueError: where a table does not read, or has no such column, or several.
    """

    def __init__(
        self,
        paths: Sequence[Place],
        column: str | None = None,
        options: Options = Options(),  # noqa: B008
        left_out: Mapping[str, int] | None = None,
    ) -> None:
        self.paths, self.options, self.left_out = list(paths), options, left_out or {}
        self.opened = PerProcess(partial(_Opened, self.paths))
        schema, counts = self._read_schemas()
        self.column = column_of(schema, column, str(self.paths[0]))
        self.classes, self.names = _classes_of(schema, options.label, str(self.paths[0]))
        self.ends = list(accumulate(counts))
        self.labels = PerProcess(partial(_labels, self.paths, self.classes))
        if not self.ends[-1]:
            raise ValueError(f"{self.paths[0]}: expected images, found no rows in {len(self.paths)} tables.")

    def __len__(self) -> int:
        return self.ends[-1]

    def name(self, i: int) -> str:
        number, row = self._place(i)
        return f"{self.paths[number]}:{self.column}[{row}]"

    def label(self, i: int) -> str | None:
        value = None if self.classes is None else self.labels()[i]
        if value is None or not self.names:
            return None if value is None else str(value)
        return self.names[value] if 0 <= value < len(self.names) else None

    @property
    def labelled_by(self) -> str:
        return f"column {self.classes}"

    def files(self) -> tuple[Path, ...] | None:
        return local_files(*self.paths)

    def recipe(self) -> str:
        return f"{super().recipe()} {self.column} {self.options}".rstrip()

    def __getitem__(self, i: int) -> Tensor:
        number, row = self._place(i)
        try:
            value = self.opened().rows(number).value(self.column, row)
        except Exception as error:  # whatever pyarrow raises
            raise Unreadable(f"{type(error).__name__}: {error}") from error
        content = value.get(BYTES) if isinstance(value, dict) else value
        if content is None:
            path = value.get("path") if isinstance(value, dict) else None
            beside = f", only a path, {path}. Remedy: save_to_disk() of datasets writes its bytes" if path else ""
            raise Unreadable(f"expected the bytes of an image file, got none{beside}")
        return self.decoded(content)

    def _place(self, i: int) -> tuple[int, int]:
        number = bisect_right(self.ends, i)
        return number, i - (self.ends[number - 1] if number else 0)

    def _read_schemas(self) -> tuple[Any, list[int]]:
        """Return the schema, once all tables have the same columns of images, and how many rows each has."""
        first, counts = None, []
        for number in range(len(self.paths)):
            rows = self.opened().rows(number)
            first = rows.schema if first is None else first
            counts.append(rows.count)
            if rows.schema.names != first.names or rows.schema.types != first.types:
                raise ValueError(
                    f"{self.paths[number]}: expected the columns of {self.paths[0]}, {_told(first)}, got "
                    f"{_told(rows.schema)}. Remedy: name one of these files, or a folder of one kind."
                )
        return first, counts


class _Opened:
    """The one table of several that a process has open."""

    def __init__(self, paths: Sequence[Place]) -> None:
        self.paths, self.number, self.held = paths, -1, None

    def rows(self, number: int) -> Rows:
        if self.held is None or number != self.number:
            self.close()
            self.held, self.number = open_rows(self.paths[number]), number
        return self.held

    def close(self) -> None:
        if self.held is not None:
            self.held.close()
            self.held = None


def column_of(schema: Any, told: str | None, where: str) -> str:
    """Return the column of images.

    Raises:
        ValueError: where there is none, or several and nobody says which.
    """
    kinds = dict(zip(schema.names, schema.types))
    if told is not None:
        if told in kinds and _holds_files(kinds[told]):
            return told
        what = f"a column {kinds[told]}" if told in kinds else "no such column"
        raise ValueError(f"{where}: expected image files in {told!r}, got {what}; there are {_told(schema)}.")
    features = features_of(schema)
    named = [name for name in kinds if _kind(features.get(name)) == "Image"]
    found = named or [name for name, kind in kinds.items() if name not in features and _is_struct(kind)]
    if len(found) == 1 and _holds_files(kinds[found[0]]):
        return found[0]
    others = [name for name, kind in kinds.items() if _holds_files(kind)]
    got = f"several: {', '.join(found)}" if found else f"none among {_told(schema)}"
    remedy = f"say which behind a colon, {where}:{(found or others)[0]}" if found or others else "give another table"
    raise ValueError(f"{where}: expected one column of images, got {got}. Remedy: {remedy}.")


def _holds_files(kind: Any) -> bool:
    return str(kind).startswith(("binary", "large_binary")) or _is_struct(kind)


def _is_struct(kind: Any) -> bool:
    """Return whether a type is that of ``Image``, a struct with bytes."""
    fields = {kind.field(k).name: str(kind.field(k).type) for k in range(kind.num_fields)} if _has_fields(kind) else {}
    return fields.get(BYTES, "").endswith("binary")


def _has_fields(kind: Any) -> bool:
    return str(kind).startswith("struct")


def _kind(feature: Any) -> str | None:
    return feature.get("_type") if isinstance(feature, dict) else None


def _classes_of(schema: Any, told: str | None, where: str) -> tuple[str | None, list[str]]:
    """Return the column of classes, None for none, and their names in the order of their numbers, none for themselves.

    Raises:
        ValueError: where there is no column of the name that is told.
    """
    features = features_of(schema)
    if told is not None and told not in schema.names:
        raise ValueError(f"{where}: expected a column of classes {told!r}, found {_told(schema)}.")
    found = [name for name in schema.names if _kind(features.get(name)) == "ClassLabel"]
    named = [name for name in found if name in NAMED]
    column = told or (found[0] if len(found) == 1 else named[0] if len(named) == 1 else None)
    names = features[column].get("names") if column is not None and column in found else None
    return column, [str(name) for name in names or ()]


def _labels(paths: Sequence[Place], column: str | None) -> list[Any]:
    opened = _Opened(paths)
    values = [value for number in range(len(paths)) for value in opened.rows(number).values(column or "")]
    opened.close()
    return values


def _told(schema: Any) -> str:
    return ", ".join(f"{name} ({str(kind)[:40]})" for name, kind in zip(schema.names, schema.types))
