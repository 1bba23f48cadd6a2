"""Sides table: scores of several generated sides beside each other, and what tells them apart, as a page shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streaming_metrics.plots.result_keys import arrow
from streaming_metrics.report.side_rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming_metrics.verdicts.contests import Contest


class SideCell(NamedTuple):
    """A side's score in digits, and whether it is the best."""

    told: str
    is_best: bool


class SidesTable(NamedTuple):
    """Table of several sides.

    Args:
        names: of the sides.
        rows: key, and a cell of each side.
        verdicts: sentences, each with what it stands on.
    """

    names: Sequence[str]
    rows: Sequence[tuple[str, Sequence[SideCell]]]
    verdicts: Sequence[tuple[str, str]] = ()

    @classmethod
    def of(cls, sides: Mapping[str, Mapping[str, float]], found: Sequence[Contest] = ()) -> SidesTable:
        """Return the table of sides' scores by key, and of their contests."""
        rows = [(row.key, [SideCell(*cell) for cell in zip(row.told, row.best)]) for row in rows_of(sides)]
        return cls(list(sides), rows, [(one.words, one.details) for one in found])

    @property
    def headed(self) -> list[tuple[str, str, Sequence[SideCell]]]:
        """Its rows, with an arrow for what is better."""
        return [(key, arrow(key), cells) for key, cells in self.rows]
