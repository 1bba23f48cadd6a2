"""Files of matches: discriminators' scores or counts of them, as CSV or JSON lines, read in chunks, written whole."""

from __future__ import annotations

import csv
import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from streaming_metrics.files.atomic import atomic_write
from streaming_metrics.ratings.matches import Judged, Matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Who: TypeAlias = "tuple[str, str, bool, int]"
CHUNK = 4096
"""Rows that are read at a time."""
WHO = ("generator", "discriminator", "is_real", "step")
COUNTS = ("samples", "called_real", "score_sum")
TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def read_matches(path: str | Path, *, logits: bool = False) -> Matches:
    """Return the table of matches in a file.

    Args:
        path: ``.csv``, with the columns in its first line, or ``.jsonl``, an object a line: ``generator``,
            ``discriminator``, ``is_real`` and ``step`` (0 where there is none), with ``score``, one sample a row, or
            the counts ``samples``, ``called_real`` and ``score_sum``, as :func:`write_matches` writes them.
        logits: whether ``score`` is a log-odds.

    Raises:
        ValueError: for another kind of file, or naming the line that is not as expected.
        OSError: where it cannot be read.
    """
    path, matches = Path(path), Matches(logits=logits)
    rows = _rows(path)
    while chunk := list(islice(rows, CHUNK)):
        groups: dict[Who, list[tuple[float, ...]]] = {}
        for who, values in chunk:
            groups.setdefault(who, []).append(values)
        for who, values in groups.items():
            _take(matches, who, values, path)
    if not len(matches):
        raise ValueError(f"{path}: expected matches, got none. Remedy: a row a score, beside its column's name.")
    return matches


def write_matches(matches: Matches, path: str | Path) -> None:
    """Write a table of matches, as counts, to a ``.csv`` or ``.jsonl`` file; whole or not at all.

    Raises:
        ValueError: for another kind of file.
        OSError: where it cannot be written.
    """
    path = Path(path)
    _refuse_kind(path)
    columns = (*WHO, *COUNTS)
    rows = [(m.generator, m.discriminator, int(not m.generator), m.step, *judged) for m, judged in matches]
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            csv.writer(file, lineterminator="\n").writerows([columns, *rows])
        else:
            file.writelines(json.dumps(dict(zip(columns, row))) + "\n" for row in rows)


def _rows(path: Path) -> Iterator[tuple[Who, tuple[float, ...]]]:
    """Yield who met, and the score, or the counts, of each row."""
    _refuse_kind(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines: Iterable[Any] = csv.DictReader(file) if path.suffix == ".csv" else file
        for number, line in enumerate(lines, 1):
            if line == "\n":
                continue
            try:
                yield _parsed(json.loads(line) if isinstance(line, str) else line)
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(_LINE.format(path, number, error)) from error


def _parsed(row: dict[str, Any]) -> tuple[Who, tuple[float, ...]]:
    is_real = TRUTH[str(row["is_real"]).strip().lower()]
    generator = "" if is_real else str(row["generator"] or "")
    who = (generator, str(row["discriminator"] or ""), is_real, int(row.get("step") or 0))
    if row.get("score") not in (None, ""):
        return who, (float(row["score"]),)
    return who, (int(row["samples"]), int(row["called_real"]), float(row["score_sum"]))


def _take(matches: Matches, who: Who, values: list[tuple[float, ...]], path: Path) -> None:
    generator, discriminator, real, step = who
    scores = [value[0] for value in values if len(value) == 1]
    try:
        if scores:
            matches.update(generator, discriminator, scores, real=real, step=step)
        for value in values:
            if len(value) == 3:
                matches.add(generator, discriminator, _counts(*value), real=real, step=step)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _counts(samples: float, called_real: float, score: float) -> Judged:
    if not 0 <= called_real <= samples or not 0 <= score <= samples:
        raise ValueError(_COUNTS.format(samples, called_real, score))
    return Judged(int(samples), int(called_real), score)


def _refuse_kind(path: Path) -> None:
    if path.suffix not in {".csv", ".jsonl"}:
        raise ValueError(
            f"{path}: expected a file of matches, .csv or .jsonl, got {path.suffix!r}. Remedy: name it so."
        )


_LINE = (
    "{0}: expected generator, discriminator, is_real (0 or 1) and score (or samples, called_real, score_sum), got "
    "another row, number {1}: {2!r}. Remedy: mend that row."
)
_COUNTS = (
    "Matches: expected counts with 0 ≤ called_real ≤ samples and a sum of scores between, got samples={0}, "
    "called_real={1}, score_sum={2}. Remedy: write them with write_matches."
)
