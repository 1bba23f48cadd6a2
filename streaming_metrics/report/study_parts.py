"""Parts of a study's sections: tables, win matrices, blocks with one thing to look at each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.report.charts import Chart
    from streaming_metrics.report.dots import Dots


class Table(NamedTuple):
    """Table: headings, and rows of texts, the first of which names the row; whether the last is words, not digits."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    is_said: bool = False


class Cell(NamedTuple):
    """Cell of a win matrix: a share, how strong its colour is in per cent, what it says in words."""

    text: str
    heat: int
    is_less: bool
    words: str


class HeatRow(NamedTuple):
    """Row of a win matrix: a condition, and its cells; None against itself or where they never met."""

    name: str
    cells: Sequence[Cell | None]


class Heat(NamedTuple):
    """Win matrix: how often the condition of a row was preferred to that of a column."""

    names: Sequence[str]
    rows: Sequence[HeatRow]


class Block(NamedTuple):
    """Block of a task: a heading, a text, and one thing to look at."""

    title: str
    text: str = ""
    key: Sequence[str] = ()
    dots: Sequence[Dots] = ()
    multiples: Sequence[tuple[str, Dots]] = ()
    heat: Heat | None = None
    charts: Sequence[Chart] = ()
    table: Table | None = None
    folded: str = ""


class Task(NamedTuple):
    """Section of one task, or of the raters, or of what was computed."""

    title: str
    text: str
    blocks: Sequence[Block]


class Study(NamedTuple):
    """Sections of a study."""

    name: str
    summary: str
    signature: str
    simulated: bool
    notes: Sequence[str]
    tasks: Sequence[Task]
