"""Judgements: an immutable sequence of them, of one study, that merges and is read and written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from streaming_metrics.ratings.judgement import FIELDS, Judgement

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class Judgements(Sequence[Judgement]):
    """Judgements of one study, in the order in which they came; no two of one rater and trial.

    Args:
        rows: equal ones count once.

    Raises:
        ValueError: where they are of several studies, or two differ under one study, rater and trial.

    Example:
        >>> one = Judgement("digits-1a2b3c4d", "opinion", "opinion", "9f", 0, ("a/0",), ("a",), 4.0, "")
        >>> both = Judgements([one]).merge(Judgements([one]))
        >>> len(both), both.where(condition="b"), both.column("answer").tolist()
        (1, Judgements(0), [4.0])
    """

    def __init__(self, rows: Iterable[Judgement] = ()) -> None:
        kept: dict[tuple[str, str, int], Judgement] = {}
        for row in rows:
            if kept.setdefault(row.key, row) != row:
                raise ValueError(
                    f"Expected one judgement of rater {row.rater} in trial {row.trial}, got two that differ: "
                    f"{kept[row.key]} and {row}. Remedy: keep the file that is right."
                )
        studies = sorted({row.study for row in kept.values()})
        if len(studies) > 1:
            raise ValueError(f"Expected judgements of one study, got {', '.join(studies)}. Remedy: read them apart.")
        self._rows = tuple(kept.values())

    @overload
    def __getitem__(self, place: int) -> Judgement: ...
    @overload
    def __getitem__(self, place: slice) -> Judgements: ...
    def __getitem__(self, place: int | slice) -> Judgement | Judgements:
        return Judgements(self._rows[place]) if isinstance(place, slice) else self._rows[place]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Judgement]:
        return iter(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Judgements) and self._rows == other._rows

    def __hash__(self) -> int:
        return hash(self._rows)

    def __repr__(self) -> str:
        return f"Judgements({len(self)})"

    def merge(self, *others: Judgements) -> Judgements:
        """Return all of them, equal ones once.

        Raises:
            ValueError: where two differ under one study, rater and trial.
        """
        return Judgements(row for one in (self, *others) for row in one)

    def where(
        self,
        *,
        task: str | None = None,
        kind: str | None = None,
        condition: str | None = None,
        category: str | None = None,
        challenge: str | None = None,
        checks: bool | None = None,
    ) -> Judgements:
        """Return those of a task, a kind, a condition among those shown, a category or challenge of prompts.

        Args:
            task, kind, condition, category, challenge: None takes all.
            checks: True takes attention checks alone, False leaves them out, None takes both.
        """
        asked = {"task": task, "kind": kind, "category": category, "challenge": challenge}
        named = {name: value for name, value in asked.items() if value is not None}

        def is_asked(row: Judgement) -> bool:
            fits = all(getattr(row, name) == value for name, value in named.items())
            return fits and (condition is None or condition in row.conditions) and checks in (None, row.is_check)

        return Judgements(filter(is_asked, self._rows))

    def column(self, name: str) -> NDArray[Any]:
        """Return a field of all rows, in order: floats where it is a number (NaN for None), else objects."""
        if name not in FIELDS:
            raise ValueError(f"Expected one of {', '.join(FIELDS)}, got {name!r}.")
        values = [getattr(row, name) for row in self._rows]
        if any(isinstance(value, str | tuple) for value in values):
            made = np.empty(len(values), dtype=object)
            made[:] = values
            return made
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    @classmethod
    def read(cls, path: str | Path) -> Judgements:
        """Return what a file holds: JSON lines, a JSON list (``.json``) or CSV (``.csv``).

        Raises:
            OSError: where there is no such file.
            ValueError: where it is damaged, naming the line.
        """
        from streaming_metrics.ratings.judgement_files import read_rows

        return cls(read_rows(path))

    def write(self, path: str | Path) -> None:
        """Write them, whole or not at all: JSON lines, a JSON list (``.json``) or CSV (``.csv``)."""
        from streaming_metrics.ratings.judgement_files import write_rows

        write_rows(path, self._rows)
