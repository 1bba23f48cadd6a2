"""Prompts of a study: lists of them as TSV, CSV or JSON, in DrawBench's and PartiPrompts' spellings among others."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import unicodedata
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SPELLINGS = {
    "text": ("prompt", "prompts", "text", "caption"),
    "category": ("category", "categories"),
    "challenge": ("challenge", "challenges"),
}
QUOTED = re.compile(r'"(?:[^"]|"")*"')
LONGEST = 2000
"""Characters of a prompt: more does not fit on a phone's screen beside an image."""
Row = tuple[int, "dict[str, Any]"]


@dataclass(frozen=True)
class Prompt:
    """Prompt that images were generated for, with the category and challenge that its list gives it."""

    text: str
    category: str = ""
    challenge: str = ""


def read_prompts(path: str | Path) -> tuple[Prompt, ...]:
    """Return the prompts of a list, in its order.

    Args:
        path: a ``.tsv``, ``.csv``, ``.json`` (a list of texts or objects) or ``.jsonl`` file in UTF-8, or in UTF-16
            with its mark. The first line of a table names its columns: ``prompt`` (also Prompts, text, caption), and
            if they are there ``category`` and ``challenge``, in small or capital letters: DrawBench's and
            PartiPrompts' files as they are. Empty lines are passed over.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: where a line does not read, or has no prompt; it names the line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"prompts: expected a .tsv, .csv, .json or .jsonl file, found none at {path}.")
    prompts = tuple(_prompt(row, f"{path}, line {line}") for line, row in _rows(path))
    if not prompts:
        raise ValueError(f"{path}: expected prompts, found none.")
    return prompts


def digest_of(prompts: Sequence[Prompt]) -> str:
    """Return the sha256 of prompts in their order, whatever file they came from; ``""`` for none.

    Example:
        >>> digest_of([Prompt("a red cube")])[:8]
        '46d6fbc8'
    """
    if not prompts:
        return ""
    return hashlib.sha256(json.dumps([astuple(prompt) for prompt in prompts]).encode()).hexdigest()


def normalised(text: str) -> str:
    r"""Return a text in Unicode's composed form (NFC), with single spaces.

    Example:
        >>> normalised("  a cafe\u0301\n in   Paris ")
        'a café in Paris'
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def _rows(path: Path) -> Iterator[Row]:
    kind = path.suffix.lower()
    if kind == ".tsv":
        return _table(_tab_separated(_text(path)), path)
    if kind == ".csv":
        return _table(_comma_separated(_text(path), path), path)
    if kind in (".jsonl", ".ndjson"):
        lines = enumerate(_text(path).split("\n"), 1)
        return (_object(_json(line, path, number), number) for number, line in lines if line.strip())
    if kind == ".json":
        return _json_list(_json(_text(path), path, 1), path)
    raise ValueError(f"{path}: expected a .tsv, .csv, .json or .jsonl file of prompts, got one of another ending.")


def _text(path: Path) -> str:
    """Return a file's text; that of a spreadsheet program may begin with a mark."""
    data = path.read_bytes()
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}, line {line}: expected text in UTF-8, got the byte {data[error.start]:#04x}. "
            "Remedy: save the file as UTF-8."
        ) from error


def _table(lines: Iterator[tuple[int, list[str]]], path: Path) -> Iterator[Row]:
    names = None
    for line, cells in lines:
        if not any(map(str.strip, cells)):
            continue
        if names is None:
            names = [cell.strip().lower() for cell in cells]
            _refuse_missing(names, f"{path}, line {line}")
            continue
        if len(cells) > len(names):
            raise ValueError(
                f"{path}, line {line}: expected {len(names)} columns, got {len(cells)}. "
                'Remedy: put a text that holds the separator in "quotes".'
            )
        yield line, dict(zip(names, cells))


def _tab_separated(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield lines of cells. Quotes are a text's own, as in PartiPrompts, but where a spreadsheet put a cell in them."""
    for line, row in enumerate(text.split("\n"), 1):
        yield line, [cell[1:-1].replace('""', '"') if QUOTED.fullmatch(cell) else cell for cell in row.split("\t")]


def _comma_separated(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    reader, line = csv.reader(io.StringIO(text, newline=""), strict=True), 1
    try:
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {line}: expected a table, got one whose quotes do not close ({error})."
        ) from error


def _json(text: str, path: Path, line: int) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        at = getattr(error, "lineno", 1)
        raise ValueError(f"{path}, line {line + at - 1}: expected JSON, got something else ({error}).") from error


def _json_list(found: Any, path: Path) -> Iterator[Row]:
    if not isinstance(found, list):
        raise ValueError(f"{path}: expected a list of texts or objects, got {type(found).__name__}.")
    return (_object(one, number) for number, one in enumerate(found, 1))


def _object(found: Any, number: int) -> Row:
    if isinstance(found, dict):
        return number, {key.strip().lower(): value for key, value in found.items()}
    return number, {"prompt": found}


def _prompt(row: dict[str, Any], where: str) -> Prompt:
    _refuse_missing(row, where)
    found = {}
    for field, spellings in SPELLINGS.items():
        value = next((row[name] for name in spellings if name in row), "")
        value = "" if value is None else value
        if not isinstance(value, str):
            raise ValueError(f"{where}: expected {field} to be a text, got {value!r}.")
        found[field] = normalised(value)
    if not found["text"]:
        raise ValueError(f"{where}: expected a prompt, got an empty one. Remedy: fill it in, or remove the line.")
    if len(found["text"]) > LONGEST:
        raise ValueError(f"{where}: expected a prompt of at most {LONGEST} characters, got {len(found['text'])}.")
    return Prompt(**found)


def _refuse_missing(names: Iterable[str], where: str) -> None:
    names = list(names)
    if not set(SPELLINGS["text"]) & set(names):
        known = ", ".join(SPELLINGS["text"])
        raise ValueError(
            f"{where}: expected a column of prompts ({known}), got {', '.join(map(repr, names))}. "
            "Remedy: name the columns in the first line."
        )
