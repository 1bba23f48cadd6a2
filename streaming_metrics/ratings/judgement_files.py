"""Judgement files: JSON lines, a JSON list or CSV, read row by row so that a damaged one is named."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streaming_metrics.files.atomic import atomic_write
from streaming_metrics.ratings.judgement import FIELDS, NUMBERS, Judgement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LISTS = ("items", "conditions")
SEPARATOR = "|"


def read_rows(path: str | Path) -> Iterator[Judgement]:
    """Yield the judgements of a file.

    Raises:
        ValueError: where a line does not read, naming it.
    """
    path = Path(path)
    for place, row in _raw(path):
        try:
            yield _judgement(row() if callable(row) else row)
        except (TypeError, ValueError, KeyError, RecursionError) as error:
            raise ValueError(
                f"{path}, {place}: expected a judgement, got one that does not read: {error}. "
                "Remedy: take the file as it was written, or leave that row out."
            ) from error


def write_rows(path: str | Path, rows: Iterable[Judgement]) -> None:
    """Write judgements; the ending says how."""
    kind, told = Path(path).suffix, [asdict(row) for row in rows]
    if kind == ".json":
        text = json.dumps(told, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    elif kind == ".csv":
        text = _as_csv(told)
    else:
        text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in told)
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def _raw(path: Path) -> Iterator[tuple[str, Any]]:
    text = path.read_bytes().decode("utf-8-sig", errors="strict")
    if path.suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        for number, row in enumerate(reader, 2):
            yield f"line {number}", lambda row=row: _of_csv(row)
    elif path.suffix == ".json":
        rows = json.loads(text)
        if not isinstance(rows, list):
            raise ValueError(f"{path}: expected a list of judgements, got {type(rows).__name__}.")
        yield from ((f"row {number}", row) for number, row in enumerate(rows, 1))
    else:
        lines = enumerate(text.split("\n"), 1)
        yield from ((f"line {number}", lambda line=line: json.loads(line)) for number, line in lines if line.strip())


def _judgement(row: Any) -> Judgement:
    if not isinstance(row, dict):
        raise TypeError(f"an object with {', '.join(FIELDS[:9])}, …, got {type(row).__name__}")
    if unknown := sorted(row.keys() - {*FIELDS}):
        raise ValueError(f"unknown {', '.join(map(str, unknown))}")
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return Judgement(**fields)


def _as_csv(rows: list[dict[str, Any]]) -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: SEPARATOR.join(value) if name in LISTS else value for name, value in row.items()})
    return file.getvalue()


def _of_csv(row: dict[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = dict(row)
    for name in LISTS:
        made[name] = tuple(row[name].split(SEPARATOR))
    for name in ("answer", *NUMBERS):
        made[name] = float(row[name]) if row[name] else None
    return made | {name: int(row[name]) for name in ("trial", "scale")}
